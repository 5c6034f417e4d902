"""Throttling of logins: counted in the database, before a password is hashed.

Four counters stand before a name from an unknown device: its network's, the name's from that network, the name's from
everywhere, and that of the names which the network tries. Unknown names count like known ones. A device on which the
person has logged in before has a counter of its own and none of these: nobody else's failures can lock the owner out.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from app.services.limit_guesses import (
    CountedGuesses,
    Guess,
    GuessLimit,
    TooManyAttempts,
    count_guesses,
    forgive_guesses,
    uncount_guesses,
)
from app.services.seals import Seals
from app.services.whereabouts import network_of
from app.storage.database import Connection
from app.storage.throttle import forgive_guess

# A network is often a whole office. In IPv6 it is a /64, which one person has to themselves.
LOGINS_FROM_NETWORK = GuessLimit(name="address", free=50, given_back_after_s=30, starts_anew=False)
# One attacker at one address reaches this long before the next, and hurts nobody who comes from elsewhere.
LOGINS_OF_ACCOUNT_FROM_NETWORK = GuessLimit(name="account_from_network", free=10, given_back_after_s=600)
# Of many accounts, a password or two each: what a list of passwords from elsewhere looks like.
ACCOUNTS_FROM_NETWORK = GuessLimit(name="accounts_from_network", free=20, given_back_after_s=180, starts_anew=False)
LOGINS_OF_ACCOUNT = GuessLimit(name="account", free=20, given_back_after_s=300)
LOGINS_ON_KNOWN_DEVICE = GuessLimit(name="device", free=20, given_back_after_s=600)


def count_login(
    connection: Connection,
    seals: Seals,
    *,
    username_key: str,
    address: str,
    known_device: str | None,
    is_alarmed: bool,
    now: int,
) -> CountedGuesses | TooManyAttempts:
    """Count one password that is about to be tried; a refusal comes back as a value, see `count_guesses`.

    `known_device` is the secret of a device that this very person has used before. `is_alarmed`: whether passwords from
    elsewhere are being tried on this site.
    """
    if known_device is not None:
        guess = Guess(LOGINS_ON_KNOWN_DEVICE, known_device, about=username_key)
        return count_guesses(connection, seals, (guess,), now=now)
    network, tightened = network_of(address), GuessLimit.tightened if is_alarmed else _as_it_is
    guesses = (
        Guess(tightened(LOGINS_FROM_NETWORK), network),
        Guess(tightened(LOGINS_OF_ACCOUNT_FROM_NETWORK), f"{network} {username_key}", about=username_key),
        Guess(tightened(LOGINS_OF_ACCOUNT), username_key, about=username_key),
    )
    counted = count_guesses(connection, seals, guesses, now=now)
    if isinstance(counted, TooManyAttempts) or not _is_first_try(counted):
        return counted
    # One account more at which this network tries its luck.
    another = count_guesses(connection, seals, (Guess(tightened(ACCOUNTS_FROM_NETWORK), network),), now=now)
    if isinstance(another, TooManyAttempts):
        uncount_guesses(connection, counted, now=now)
        return another
    return CountedGuesses(counts=(*counted.counts, *another.counts))


def forgive_login(connection: Connection, seals: Seals, counted: CountedGuesses, *, address: str, now: int) -> None:
    """The password was right: what was counted is forgiven, and whoever mistyped first was nobody's victim."""
    forgive_guesses(connection, counted, now=now)
    if counted.find(LOGINS_OF_ACCOUNT_FROM_NETWORK) is not None and not _is_first_try(counted):
        first = Guess(ACCOUNTS_FROM_NETWORK, network_of(address)).key(seals)
        forgive_guess(connection, first, ACCOUNTS_FROM_NETWORK.bucket, blocked_until=-1, now=now)


def _is_first_try(counted: CountedGuesses) -> bool:
    here = counted.find(LOGINS_OF_ACCOUNT_FROM_NETWORK)
    return here is not None and here.failures == 1


def _as_it_is(limit: GuessLimit) -> GuessLimit:
    return limit


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
