"""Throttling of logins: counted in the database, before a password is hashed.

Three counters stand before a name from an unknown device: its network's, the name's from that network, and the name's
from everywhere. Unknown names count like known ones. A device on which the person has logged in before has a counter
of its own and none of these: nobody else's failures can lock the owner out.
"""

import ipaddress
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from app.services.limit_guesses import Guess, GuessLimit, TooManyAttempts

# A network is often a whole office. In IPv6 it is a /64, which one person has to themselves.
LOGINS_FROM_NETWORK = GuessLimit(name="address", free=50, given_back_after_s=30, starts_anew=False)
# One attacker at one address reaches this long before the next, and hurts nobody who comes from elsewhere.
LOGINS_OF_ACCOUNT_FROM_NETWORK = GuessLimit(name="account_from_network", free=10, given_back_after_s=600)
LOGINS_OF_ACCOUNT = GuessLimit(name="account", free=20, given_back_after_s=300)
LOGINS_ON_KNOWN_DEVICE = GuessLimit(name="device", free=20, given_back_after_s=600)


def login_guesses(*, username_key: str, address: str, known_device: str | None) -> tuple[Guess, ...]:
    """Under which limits a password is tried.

    `known_device` is the secret of a device that this very person has used before.
    """
    if known_device is not None:
        return (Guess(LOGINS_ON_KNOWN_DEVICE, known_device),)
    network = network_of(address)
    return (
        Guess(LOGINS_FROM_NETWORK, network),
        Guess(LOGINS_OF_ACCOUNT_FROM_NETWORK, f"{network} {username_key}"),
        Guess(LOGINS_OF_ACCOUNT, username_key),
    )


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
