"""Throttling of logins: counted in the database, before a password is hashed.

An attempt is counted first and forgiven when it turns out to be the right person's, so that parallel guesses cannot
exceed the limit. Unknown names count like known ones (by HMAC). A device on which the person has logged in before has
a counter of its own: nobody else's failures can lock the owner out.
"""

import ipaddress
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from app.services.seals import Seals
from app.storage.database import Connection
from app.storage.throttle import count_attempt, forget_attempts, forgive_attempt

WINDOW_MS = 15 * 60_000
ATTEMPTS_PER_ACCOUNT = 10
ATTEMPTS_PER_KNOWN_DEVICE = 20
ATTEMPTS_PER_ADDRESS = 50


class TooManyAttempts(Exception):
    """Come back in `retry_after_s` seconds."""

    def __init__(self, retry_after_s: int, *, what: str) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s
        self.what = what


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A counted attempt, to be forgiven if it succeeds: `reset` start anew, `uncounted` lose this one attempt."""

    reset: tuple[bytes, ...]
    uncounted: tuple[bytes, ...]


def count_login_attempt(
    connection: Connection, seals: Seals, *, username_key: str, address: str, known_device: str | None, now: int
) -> Attempt | TooManyAttempts:
    """Count an attempt; the refusal comes back as a value, because the count must be committed either way.

    `known_device` is the secret of a device that this very person has used before.
    """
    if known_device is not None:
        limits = [("device", seals.digest("throttle-device", known_device)[0], ATTEMPTS_PER_KNOWN_DEVICE)]
    else:
        limits = [
            ("address", seals.digest("throttle-address", network_of(address))[0], ATTEMPTS_PER_ADDRESS),
            ("account", seals.digest("throttle-account", username_key)[0], ATTEMPTS_PER_ACCOUNT),
        ]
    for what, key, limit in limits:
        count = count_attempt(connection, key, now=now, window_ms=WINDOW_MS)
        if count.attempts > limit:
            return TooManyAttempts(max(1, (count.window_ends_at - now + 999) // 1000), what=what)
    return Attempt(
        reset=tuple(key for what, key, _ in limits if what != "address"),
        uncounted=tuple(key for what, key, _ in limits if what == "address"),
    )


def forgive_login_attempt(connection: Connection, attempt: Attempt) -> None:
    """The password was right: the account's counter starts anew, the address keeps its other failures.

    An address is often a whole office: who gets in must not use up the attempts of those who come after, and an
    attacker's own good login must not wash their guesses away.
    """
    for key in attempt.reset:
        forget_attempts(connection, key)
    for key in attempt.uncounted:
        forgive_attempt(connection, key)


def uncount_login_attempt(connection: Connection, attempt: Attempt) -> None:
    """No password was looked at: nothing was guessed, and a server that is busy must not lock people out."""
    for key in (*attempt.reset, *attempt.uncounted):
        forgive_attempt(connection, key)


# Asked twice by every request, and mostly about few addresses.
@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What is counted as one address: an IPv4 address, or the /64 of an IPv6 one; anything else as it stands."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), 64), strict=False))
    return str(parsed)


class FairShare:
    """At most so many logins of one address at a time: one address cannot fill the password queue."""

    def __init__(self, places_per_address: int) -> None:
        self._places = places_per_address
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def place(self, address: str) -> Iterator[None]:
        """Hold a place. Raises `TooManyAttempts`."""
        network = network_of(address)
        with self._lock:
            if self._taken[network] >= self._places:
                raise TooManyAttempts(1, what="share")
            self._taken[network] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[network] -= 1
                if not self._taken[network]:
                    del self._taken[network]
