"""Limits on requests that go wrong: per peer, and per peer and client for failed client authentication.

Only refusals count, so nobody is slowed down for working, and registrations for which nobody vouched; in memory per
process, or in Redis where configured. When Redis does not answer the limit is not enforced: it protects against load,
and must not become the outage.
"""

import time
from contextlib import suppress

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

from app.services.whereabouts import network_of

REFUSALS_PER_PEER: RateLimitItem = RateLimitItemPerSecond(200, 10, namespace="peer")
REGISTRATIONS_PER_PEER: RateLimitItem = RateLimitItemPerMinute(60, 1, namespace="registration")
NEW_DOCUMENTS_PER_PEER: RateLimitItem = RateLimitItemPerMinute(20, 1, namespace="document")
FETCHES_PER_HOST: RateLimitItem = RateLimitItemPerMinute(60, 1, namespace="fetch")
BAD_SECRETS_PER_PEER_AND_CLIENT: RateLimitItem = RateLimitItemPerMinute(30, 1, namespace="client")


class RequestLimits:
    """Counts refusals. `retry_after_s` answers how long a caller has to stay away, or None."""

    def __init__(self, *, redis_url: str | None = None, is_enabled: bool = True) -> None:
        self.is_enabled = is_enabled
        storage = MemoryStorage() if redis_url is None else RedisStorage(redis_url)
        # A broken Redis means no limits for the while; a mistake of ours must still be seen.
        self._passed_over = () if redis_url is None else _as_tuple(storage.base_exceptions)
        self._limiter = FixedWindowRateLimiter(storage)

    def count_refusal(self, address: str) -> None:
        """A request of this peer was refused."""
        self._hit(REFUSALS_PER_PEER, network_of(address))

    def count_bad_secret(self, address: str, client_id: str) -> None:
        """This peer failed to authenticate as this client."""
        self._hit(BAD_SECRETS_PER_PEER_AND_CLIENT, network_of(address), client_id[:200])

    def count_registration(self, address: str) -> None:
        """This peer asked to register a client, and nobody vouched for it."""
        self._hit(REGISTRATIONS_PER_PEER, network_of(address))

    def registration_retry_after_s(self, address: str) -> int | None:
        """How long this peer has to wait before it may register another client."""
        return self._wait(REGISTRATIONS_PER_PEER, network_of(address))

    def count_new_document(self, address: str) -> int | None:
        """This peer makes us fetch the document of a client that nobody has met: how long it has to wait, or None."""
        return self._take(NEW_DOCUMENTS_PER_PEER, network_of(address))

    def count_fetch(self, host: str) -> int | None:
        """We are about to ask this host for something: how long we leave it alone first, or None."""
        return self._take(FETCHES_PER_HOST, host[:200])

    def retry_after_s(self, address: str) -> int | None:
        """How long this peer has to wait, in seconds; None when it need not."""
        return self._wait(REFUSALS_PER_PEER, network_of(address))

    def client_retry_after_s(self, address: str, client_id: str) -> int | None:
        """How long this peer has to wait before it may try to be this client again."""
        return self._wait(BAD_SECRETS_PER_PEER_AND_CLIENT, network_of(address), client_id[:200])

    def _take(self, item: RateLimitItem, *key: str) -> int | None:
        wait_s = self._wait(item, *key)
        if wait_s is None:
            self._hit(item, *key)
        return wait_s

    def _hit(self, item: RateLimitItem, *key: str) -> None:
        if self.is_enabled:
            with suppress(*self._passed_over):
                self._limiter.hit(item, *key)

    def _wait(self, item: RateLimitItem, *key: str) -> int | None:
        if not self.is_enabled:
            return None
        with suppress(*self._passed_over):
            if not self._limiter.test(item, *key):
                return max(1, int(self._limiter.get_window_stats(item, *key).reset_time - time.time()) + 1)
        return None


def _as_tuple(exceptions: type[Exception] | tuple[type[Exception], ...]) -> tuple[type[Exception], ...]:
    return exceptions if isinstance(exceptions, tuple) else (exceptions,)
