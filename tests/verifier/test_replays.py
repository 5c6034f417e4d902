from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from app.specs.protocol_error import TemporarilyUnavailable
from app.specs.rfc9449_dpop import REPLAY_WINDOW_S
from app.verifier import InProcessReplays
from app.verifier.redis_replays import RedisReplays
from tests.redis_server import running_redis
from tests.verifier.issuer import MovableClock


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_a_proof_is_new_once_in_its_window_wherever_that_begins(clock: MovableClock) -> None:
    replays = InProcessReplays(monotonic=clock)
    for offset in (0, REPLAY_WINDOW_S - 1, 1, REPLAY_WINDOW_S * 0.5):
        clock.advance(offset)
        number = int(clock.now_s * 10)
        assert replays.add(key(number))
        for _ in range(4):
            assert not replays.add(key(number))
            clock.advance(REPLAY_WINDOW_S / 4 - 0.01)
        assert not replays.add(key(number))


def test_old_proofs_are_forgotten(clock: MovableClock) -> None:
    replays = InProcessReplays(monotonic=clock, max_proofs_per_window=10)
    for _ in range(20):
        assert all(replays.add(key(number)) for number in range(10))
        clock.advance(2 * REPLAY_WINDOW_S)


def test_a_full_memory_refuses_instead_of_forgetting(clock: MovableClock) -> None:
    replays = InProcessReplays(monotonic=clock, max_proofs_per_window=10)
    assert all(replays.add(key(number)) for number in range(10))
    with pytest.raises(TemporarilyUnavailable, match="too many DPoP proofs") as refusal:
        replays.add(key(10))
    assert refusal.value.headers["Retry-After"] == str(REPLAY_WINDOW_S)
    assert not replays.add(key(3))
    clock.advance(REPLAY_WINDOW_S)
    assert not replays.add(key(3))
    assert replays.add(key(10))


# ----- One memory for several processes -----


def test_a_proof_that_one_process_has_seen_is_refused_by_the_others_and_without_the_memory_all_are() -> None:
    with running_redis() as server:
        one, other = RedisReplays(server.url), RedisReplays(server.url)
        with ThreadPoolExecutor(8) as pool:
            news = list(pool.map(lambda number: (one, other)[number % 2].add(key(1)), range(40)))
        assert news.count(True) == 1
        assert other.add(key(2))
        assert not one.add(key(2))
        remaining_s = redis.Redis.from_url(server.url).ttl(b"tokenhouse-dpop:" + key(2))
        assert REPLAY_WINDOW_S - 5 <= remaining_s <= REPLAY_WINDOW_S
        server.stop()
        for replays in (one, other):
            with pytest.raises(TemporarilyUnavailable) as refusal:
                replays.add(key(3))
            assert refusal.value.headers["Retry-After"] == "1"
        server.start()
        assert one.add(key(3))
        assert not other.add(key(3))
