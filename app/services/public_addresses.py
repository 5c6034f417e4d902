"""Which addresses belong to the open Internet, for connections to places that others chose.

A list of our own: in Python 3.11 `ipaddress`'s `is_global` is true of multicast, NAT64, 6to4, `::127.0.0.1` and
`fec0::/10`, and each of these leads, or can lead, to a machine that only our side of a firewall reaches.
Does **not** know a NAT64 prefix of the operator's own, nor that a public address may be one of our own machines.
"""

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# The IANA special-purpose registries (RFC 6890), and what cloud machines find at fixed addresses.
_NOT_PUBLIC: Final = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by a carrier's customers"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "a cloud's host"),
    ("169.254.0.0/16", "link-local, where clouds keep their metadata"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved for protocols"),
    ("192.0.2.0/24", "documentation"),
    ("192.31.196.0/24", "a sink for reverse lookups"),
    ("192.52.193.0/24", "a multicast tunnel"),
    ("192.88.99.0/24", "a 6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("192.175.48.0/24", "a sink for reverse lookups"),
    ("198.18.0.0/15", "benchmarks"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved or broadcast"),
    # The first match names the reason, so the narrow ones stand before what contains them.
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "an IPv4 address in disguise"),
    ("::ffff:0:0:0/96", "an IPv4 address in disguise"),
    ("::/96", "an IPv4 address in disguise"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "NAT64"),
    ("100::/64", "discarded"),
    ("2001::/32", "Teredo"),
    ("2001::/23", "reserved for protocols"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("2620:4f:8000::/48", "a sink for reverse lookups"),
    ("3ffe::/16", "given back"),
    ("3fff::/20", "documentation"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
    # All that is left beside 2000::/3, the only part of IPv6 that is given to hosts of the Internet (RFC 4291 2.4).
    ("::/3", "not assigned"),
    ("4000::/2", "not assigned"),
    ("8000::/1", "not assigned"),
)
_DENIED: Final = tuple((ipaddress.ip_network(network), why) for network, why in _NOT_PUBLIC)


def find_denial(address: Address) -> str | None:
    """Why a connection to the address is refused, in words that follow "is"; None for an address of the Internet."""
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return "bound to one network interface"
    return next((why for network, why in _DENIED if address in network), None)
