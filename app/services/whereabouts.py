"""From where somebody does something: told to the audit trail, sealed, and to the person whose account it is."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """An address, and the words by which a browser calls itself."""

    address: str
    user_agent: str

    @property
    def personal(self) -> Mapping[str, str]:
        """As the sealed part of an event has it."""
        return {"address": self.address, "user_agent": self.user_agent}


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
