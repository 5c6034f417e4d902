"""DPoP proofs that all processes and machines of an API have seen, in one Redis (RFC 9449 11.1)."""

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..specs.protocol_error import TemporarilyUnavailable
from ..specs.rfc9449_dpop import REPLAY_WINDOW_S

TIMEOUT_S = 1.0


class RedisReplays:
    """A `ReplayStore` that every process of the API shares: a proof is taken by one of them, once.

    `url`: `redis://…` or `rediss://…`. Where Redis does not answer within `timeout_s` seconds the request is refused
    with 503: whoever could make it unreachable must not get a replay through. What Redis forgets (by an eviction, or a
    restart without persistence) can be replayed for REPLAY_WINDOW_S; that is **not** noticed here.
    """

    is_immediate = False

    def __init__(self, url: str, *, prefix: str = "tokenhouse-dpop:", timeout_s: float = TIMEOUT_S) -> None:
        self._prefix = prefix.encode()
        # No second try: one whose first answer was lost would find its own proof, and call it a replay.
        self._redis = Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
        )

    def add(self, replay_key: bytes) -> bool:
        """Remembers 32 bytes; returns whether they are new. Raises TemporarilyUnavailable without an answer."""
        try:
            return bool(self._redis.set(self._prefix + replay_key, b"", nx=True, ex=REPLAY_WINDOW_S))
        except RedisError as error:
            raise TemporarilyUnavailable(
                "whether the DPoP proof is new cannot be said", headers={"Retry-After": "1"}
            ) from error
