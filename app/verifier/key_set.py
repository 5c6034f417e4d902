"""The verifier's copy of an issuer's keys: fetched once, renewed in the background, kept while the issuer is down.

How long a copy lives, counted from the fetch (`max_age_s` is the issuer's Cache-Control, at most ours):

    0 ............ 3/4 max_age   used as it is
    3/4 max_age .. max_age       used, and the first caller starts a renewal in the background
    max_age ...... max_stale_s   old: a caller waits for one renewal; if that fails the old copy is used (served stale)
                                 and further attempts run in the background, at growing distances
    max_stale_s .. for ever      not used: callers are refused with 503

So a key that the issuer withdraws is refused after at most `max_age_s` while the issuer can be reached, and after at
most `max_stale_s` when it cannot.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from ..specs.protocol_error import TemporarilyUnavailable
from ..specs.rfc7515_jose import PublicKey
from .https import FetchError
from .issuer_keys import FetchedKeys

logger = logging.getLogger("tokenhouse_verifier")

# An issuer that forbids keeping its keys (max-age=0) would be asked at every call otherwise.
MIN_MAX_AGE_S: Final = 10.0
_FIRST_RETRY_S: Final = 2.0
_LAST_RETRY_S: Final = 60.0


class KeysNotAtHand(Exception):
    """A key would have to be waited for, and the caller said that it does not wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """One state of a key set."""

    every: tuple[PublicKey, ...]
    by_kid: Mapping[str, tuple[PublicKey, ...]]

    @classmethod
    def of(cls, keys: tuple[PublicKey, ...]) -> "Keys":
        by_kid: dict[str, tuple[PublicKey, ...]] = {}
        for key in keys:
            if key.kid is not None:
                by_kid[key.kid] = (*by_kid.get(key.kid, ()), key)
        return cls(every=keys, by_kid=by_kid)

    def candidates(self, *, kid: str | None, alg: str) -> tuple[PublicKey, ...]:
        """Returns the keys that may have signed: those of that `kid`, else every key that fits and contradicts not."""
        named = self.by_kid.get(kid) if kid is not None else None
        if named is not None:
            return named
        return tuple(key for key in self.every if alg in key.algorithms and (kid is None or key.kid is None))


class KeySet(Protocol):
    """Where the verifier takes keys from."""

    def get_keys(self, *, wait: bool) -> Keys:
        """Returns the keys to use now; raises TemporarilyUnavailable, or KeysNotAtHand without `wait`."""

    def find_newer_keys(self, than: Keys, *, wait: bool) -> Keys | None:
        """Returns keys that were fetched because `than` had no key for some token; None where that is not due."""


class FixedKeySet:
    """Keys that the operator gave; there is nothing to fetch."""

    def __init__(self, keys: tuple[PublicKey, ...]) -> None:
        self._keys = Keys.of(keys)

    def get_keys(self, *, wait: bool) -> Keys:  # noqa: ARG002 - the protocol's signature
        return self._keys

    def find_newer_keys(self, than: Keys, *, wait: bool) -> None:  # noqa: ARG002 - the protocol's signature
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    keys: Keys
    renew_at: float
    old_at: float
    unusable_at: float


class FetchedKeySet:
    """Keys that are fetched. At most one fetch runs at a time, in a thread of its own; callers wait with a bound."""

    def __init__(
        self,
        fetch: Callable[[], FetchedKeys],
        *,
        max_age_s: float,
        max_stale_s: float,
        unknown_key_interval_s: float,
        wait_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._max_age_s = max_age_s
        self._max_stale_s = max_stale_s
        self._unknown_key_interval_s = unknown_key_interval_s
        self._wait_s = wait_s
        self._monotonic = monotonic
        self._copy: _Copy | None = None
        # The lock guards the fields below it, and is never held during a fetch.
        self._lock = threading.Lock()
        self._flight: threading.Thread | None = None
        self._attempted_at = float("-inf")
        self._retry_at = float("-inf")
        self._failures = 0

    def get_keys(self, *, wait: bool) -> Keys:
        copy = self._copy
        now = self._monotonic()
        if copy is not None and now < copy.renew_at:
            return copy.keys
        if copy is not None and (now < copy.old_at or (self._failures and now < copy.unusable_at)):
            self._start(now, seen=copy)
            return copy.keys
        copy = self._wait_for_copy(now, seen=copy, wait=wait)
        if copy is None or self._monotonic() >= copy.unusable_at:
            retry_after_s = math.ceil(max(1.0, self._retry_at - self._monotonic()))
            raise TemporarilyUnavailable(
                "the authorization server's keys are not available", headers={"Retry-After": str(retry_after_s)}
            )
        return copy.keys

    def find_newer_keys(self, than: Keys, *, wait: bool) -> Keys | None:
        copy = self._copy
        if copy is not None and copy.keys is not than:
            return copy.keys  # somebody else's renewal came in between
        flight = self._start(self._monotonic(), seen=copy, after_s=self._unknown_key_interval_s)
        # Nobody waits while the issuer is down: junk with invented key ids would hold every thread.
        if flight is not None and not self._failures:
            if not wait:
                raise KeysNotAtHand
            self._join(flight)
        copy = self._copy
        return copy.keys if copy is not None and copy.keys is not than else None

    def _wait_for_copy(self, now: float, *, seen: _Copy | None, wait: bool) -> _Copy | None:
        flight = self._start(now, seen=seen)
        if flight is not None:
            if not wait:
                raise KeysNotAtHand
            self._join(flight)
        return self._copy

    def _join(self, flight: threading.Thread) -> None:
        # Counted from the fetch's start, so that an issuer that never finishes its answer holds callers only once.
        flight.join(max(0.0, min(self._wait_s, self._attempted_at + self._wait_s - self._monotonic())))

    def _start(self, now: float, *, seen: _Copy | None, after_s: float = 0.0) -> threading.Thread | None:
        """Returns the fetch that runs, begun now if it may; None where the last one is too recent or has failed.

        None also where a fetch ended since the caller saw the copy that it is not content with: it looks again.
        """
        with self._lock:
            if self._copy is not seen:
                return None
            # A thread does not survive a fork, and is_alive() says so: a worker process never waits for its parent's.
            if self._flight is not None and self._flight.is_alive():
                return self._flight
            if now < self._retry_at or now < self._attempted_at + after_s:
                return None
            flight = threading.Thread(target=self._renew, args=(now,), name="tokenhouse-verifier-keys", daemon=True)
            try:
                flight.start()
            except RuntimeError as error:  # the process has no threads left: the copy at hand is better than nothing
                logger.warning("the keys could not be fetched: %s", error)
                return None
            self._attempted_at = now
            self._flight = flight
            return flight

    def _renew(self, started_at: float) -> None:
        try:
            fetched = self._fetch()
        except Exception as error:
            with self._lock:
                self._failures += 1
                # The exponent is bounded too: an outage of a day has more than a thousand failures.
                delay_s = min(_LAST_RETRY_S, _FIRST_RETRY_S * 2 ** min(self._failures - 1, 10))
                self._retry_at = self._monotonic() + delay_s
            if not isinstance(error, FetchError):
                raise
            logger.warning("the keys could not be fetched (attempt %d): %s", self._failures, error)
            return
        allowed_s = self._max_age_s if fetched.max_age_s is None else fetched.max_age_s
        max_age_s = min(self._max_age_s, max(MIN_MAX_AGE_S, allowed_s))
        with self._lock:
            self._failures = 0
            self._retry_at = float("-inf")
            self._copy = _Copy(
                keys=Keys.of(fetched.keys),
                # From the start of the fetch: what it brought may have been true no longer when it arrived.
                renew_at=started_at + max_age_s * 3 / 4,
                old_at=started_at + max_age_s,
                unusable_at=started_at + max(max_age_s, self._max_stale_s),
            )
