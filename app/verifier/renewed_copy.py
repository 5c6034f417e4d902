"""A copy of something that the issuer publishes: fetched once, renewed in the background, judged by its age.

How long a copy lives, counted from the start of the fetch that brought it:

    0 ......... renew   used as it is
    renew ..... old     used, and the first caller starts a renewal in the background
    old ....... unusable  a caller waits for one renewal; if that fails the old copy is used (served stale) and further
                        attempts run in the background, at growing distances
    unusable .. for ever  not used: there is no value
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from .https import FetchError

logger = logging.getLogger("tokenhouse_verifier")

THREAD_NAME: Final = "tokenhouse-verifier-fetch"

T = TypeVar("T")


class WouldWait(Exception):
    """Something would have to be fetched first, and the caller said that it does not wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched(Generic[T]):
    """What a fetch brought, and how many seconds after the fetch began it is to be renewed, is old, is unusable."""

    value: T
    renew_after_s: float
    old_after_s: float
    unusable_after_s: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy(Generic[T]):
    value: T
    renew_at: float
    old_at: float
    unusable_at: float


class RenewedCopy(Generic[T]):
    """One such copy. At most one fetch runs at a time, in a thread of its own; callers wait with a bound.

    `fetch` is given the value at hand, or None; it raises FetchError. `what` names the thing in the log.
    """

    def __init__(
        self,
        fetch: Callable[[T | None], Fetched[T]],
        *,
        what: str,
        wait_s: float,
        first_retry_s: float,
        last_retry_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._what = what
        self._wait_s = wait_s
        self._first_retry_s = first_retry_s
        self._last_retry_s = last_retry_s
        self._monotonic = monotonic
        self._copy: _Copy[T] | None = None
        # The lock guards the fields below it, and is never held during a fetch.
        self._lock = threading.Lock()
        self._flight: threading.Thread | None = None
        self._attempted_at = -math.inf
        self._retry_at = -math.inf
        self._failures = 0

    def get(self, *, wait: bool) -> T | None:
        """Returns the value to use now, None where there is none; raises WouldWait instead of waiting for one."""
        copy = self._copy
        now = self._monotonic()
        if copy is not None:
            if now < copy.renew_at:
                return copy.value
            if now < copy.old_at or (self._failures and now < copy.unusable_at):
                self._start(now, seen=copy)
                return copy.value
        flight = self._start(now, seen=copy)
        if flight is not None:
            if not wait:
                raise WouldWait
            self._join(flight)
        copy = self._copy
        return None if copy is None or self._monotonic() >= copy.unusable_at else copy.value

    def get_other(self, than: T, *, after_s: float, wait: bool) -> T | None:
        """Returns a value that was fetched because `than` was not good enough; None where a fetch is not due.

        It is due `after_s` after the last one began.
        """
        copy = self._copy
        if copy is not None and copy.value is not than:
            return copy.value  # somebody else's renewal came in between
        flight = self._start(self._monotonic(), seen=copy, after_s=after_s)
        # Nobody waits while the issuer is down: junk that is never good enough would hold every thread.
        if flight is not None and not self._failures:
            if not wait:
                raise WouldWait
            self._join(flight)
        copy = self._copy
        return copy.value if copy is not None and copy.value is not than else None

    def renew_if_due(self) -> bool:
        """Starts a fetch where one is due, also the first one; waits for nothing. The refresher calls it.

        Returns whether one runs now.
        """
        copy = self._copy
        now = self._monotonic()
        return (copy is None or now >= copy.renew_at) and self._start(now, seen=copy) is not None

    def retry_after_s(self) -> int:
        """Returns for how many seconds there will be no further attempt, at least one."""
        return math.ceil(max(1.0, self._retry_at - self._monotonic()))

    def _join(self, flight: threading.Thread) -> None:
        # Counted from the fetch's start, so that an issuer that never finishes its answer holds callers only once.
        flight.join(max(0.0, min(self._wait_s, self._attempted_at + self._wait_s - self._monotonic())))

    def _start(self, now: float, *, seen: _Copy[T] | None, after_s: float = 0.0) -> threading.Thread | None:
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
            flight = threading.Thread(target=self._renew, args=(now,), name=THREAD_NAME, daemon=True)
            try:
                flight.start()
            except RuntimeError as error:  # the process has no threads left: the copy at hand is better than nothing
                logger.warning("%s could not be fetched: %s", self._what, error)
                return None
            self._attempted_at = now
            self._flight = flight
            return flight

    def _renew(self, started_at: float) -> None:
        copy = self._copy
        try:
            fetched = self._fetch(None if copy is None else copy.value)
        except Exception as error:
            with self._lock:
                self._failures += 1
                # The exponent is bounded too: an outage of a day has more than a thousand failures.
                delay_s = min(self._last_retry_s, self._first_retry_s * 2 ** min(self._failures - 1, 10))
                self._retry_at = self._monotonic() + delay_s
            if not isinstance(error, FetchError):
                raise
            logger.warning("%s could not be fetched (attempt %d): %s", self._what, self._failures, error)
            return
        with self._lock:
            self._failures = 0
            self._retry_at = -math.inf
            self._copy = _Copy(
                value=fetched.value,
                # From the start of the fetch: what it brought may have been true no longer when it arrived.
                renew_at=started_at + fetched.renew_after_s,
                old_at=started_at + fetched.old_after_s,
                unusable_at=started_at + fetched.unusable_after_s,
            )
