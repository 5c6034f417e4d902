"""Fault 16: the host of a client's keys is down, or hangs, while many of its assertions arrive. And rotation there."""

import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services.client_keys import ASK_AGAIN_AFTER_MS, DEADLINE_S, FRESH_FOR_S, STALE_FOR_MS
from tests.actors.asserting import Asserting, make_asserting
from tests.actors.key_host import KeyHost
from tests.actors.signing_key import SigningKey
from tests.attacks.good_conduct import assert_json_error
from tests.world import World

MANY = 40
# Others are served as if nothing were wrong: far below what one who waits for the host would take, on a busy machine.
UNAFFECTED_S = DEADLINE_S * 4


@pytest.fixture
def world(reaching_world: World) -> World:
    return reaching_world


@pytest.fixture
def host(receiver_tls: ssl.SSLContext) -> Iterator[KeyHost]:
    with KeyHost(receiver_tls) as host:
        yield host


@pytest.fixture
def key() -> SigningKey:
    return SigningKey()


def at_host(world: World, host: KeyHost, key: SigningKey) -> Asserting:
    return make_asserting(world, key=key, jwks_uri=host.url())


def statuses(machine: Asserting, *, times: int = MANY) -> list[int]:
    with ThreadPoolExecutor(20) as threads:
        return sorted(threads.map(lambda _: machine.try_get_token().status, range(times)))


@pytest.mark.requirement("OpenID Connect Core 1.0", "10.1.1", "an unfamiliar kid: the keys are retrieved again")
def test_a_client_changes_its_keys_at_its_address(world: World, host: KeyHost, key: SigningKey) -> None:
    host.publish(key)
    machine = at_host(world, host, key)
    assert machine.get_token()
    machine.key = SigningKey()
    host.publish(key, machine.key)
    assert_json_error(machine.try_get_token(), "invalid_client", 401)
    world.clock.move(seconds=ASK_AGAIN_AFTER_MS / 1000)
    assert machine.get_token()
    machine.key = key
    assert machine.get_token()
    assert host.times_asked == 2


def test_59_unknown_kids_cause_one_look_a_minute(world: World, host: KeyHost, key: SigningKey) -> None:
    host.publish(key)
    machine = at_host(world, host, key)
    assert machine.get_token()
    world.clock.move(seconds=ASK_AGAIN_AFTER_MS / 1000)
    machine.key = SigningKey()
    assert statuses(machine, times=20).count(200) == 0
    assert host.times_asked == 2
    machine.key = key
    assert machine.get_token()


def test_16_while_the_host_is_down_the_last_keys_serve_on_and_then_no_more(
    world: World, host: KeyHost, key: SigningKey
) -> None:
    host.publish(key)
    machine = at_host(world, host, key)
    assert machine.get_token()
    host.fail()
    world.clock.move(seconds=FRESH_FOR_S + 1)
    assert statuses(machine) == [200] * MANY
    assert host.times_asked == 2
    world.clock.move(seconds=STALE_FOR_MS / 1000)
    # Who would be one too many to wait for the host is told to come back; afterwards it is known that nothing comes.
    assert set(statuses(machine, times=5)) <= {401, 503}
    assert_json_error(machine.try_get_token(), "invalid_client", 401)
    host.publish(key)
    world.clock.move(seconds=ASK_AGAIN_AFTER_MS / 1000)
    assert machine.get_token()


def test_16_a_client_whose_host_was_never_there_is_refused_quickly(
    world: World, host: KeyHost, key: SigningKey
) -> None:
    host.fail()
    machine = at_host(world, host, key)
    assert set(statuses(machine)) <= {401, 503}
    assert host.times_asked == 1
    assert_json_error(machine.try_get_token(), "invalid_client", 401)


def test_16_a_host_that_hangs_holds_up_its_own_client_alone(world: World, host: KeyHost, key: SigningKey) -> None:
    neighbour = make_asserting(world)
    hanging = [at_host(world, host, key) for _ in range(3)]
    host.hang()
    over = threading.Event()

    def insist(machine: Asserting) -> set[int]:
        seen = set()
        while not over.is_set():
            seen.add(machine.try_get_token().status)
        return seen

    with ThreadPoolExecutor(9) as threads:
        insisting = [threads.submit(insist, machine) for machine in hanging * 3]
        try:
            host.wait_until_asked()
            for _ in range(10):
                began = time.monotonic()
                assert neighbour.get_token()
                assert time.monotonic() - began < UNAFFECTED_S
        finally:
            over.set()
        # Refused, or told to come back; never answered as if the server were broken.
        assert set().union(*(each.result() for each in insisting)) <= {401, 503}
    assert host.times_asked <= len(hanging)


def test_16_a_hanging_host_does_not_stop_a_client_whose_keys_are_known(
    world: World, host: KeyHost, key: SigningKey
) -> None:
    host.publish(key)
    machine = at_host(world, host, key)
    assert machine.get_token()
    host.hang()
    world.clock.move(seconds=FRESH_FOR_S + 1)
    assert statuses(machine) == [200] * MANY
    assert host.times_asked == 2
