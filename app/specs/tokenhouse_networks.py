"""Tokenhouse - networks: a token that is good only from certain addresses, by the claim `th_networks`.

CIDR networks read strictly and written in one way, the test whether an address is within them, and the narrowing of
one set by another. Not a specification of others: model.md's names. An address is what the connection shows, or what
the operator's own proxies say; a name is never looked up.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address
from typing import Any, Final

from .protocol_error import InvalidToken

CLAIM: Final = "th_networks"
PARAMETER: Final = "tokenhouse_networks"

MAX_NETWORKS: Final = 32
# How many entries of X-Forwarded-For are looked at, from the right.
MAX_HOPS: Final = 50

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Networks = tuple[Network, ...]

# `10.0.0.0/255.0.0.0`, `/08` and zones are spellings of others; one network has one text here.
_PREFIX_LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,2}")


# ----- Reading and writing -----


def parse_network(text: str) -> Network:
    """Returns the network of `address/length` (RFC 4632, RFC 4291 2.3), or of one bare address; raises ValueError.

    Bits behind the length must be zero: `10.1.2.3/8` is a mistake of somebody who meant something else. A network of
    IPv4 addresses in IPv6 form (`::ffff:10.0.0.0/104`) is the IPv4 network.
    """
    written_address, slash, written_length = text.partition("/")
    address = _parse_plain_address(written_address)
    if slash and _PREFIX_LENGTH.fullmatch(written_length) is None:
        raise ValueError("is not an address, a slash and a prefix length")
    length = int(written_length) if slash else address.max_prefixlen
    if length > address.max_prefixlen:
        raise ValueError("has a prefix length that is too long")
    if isinstance(address, IPv4Address):
        return _make_network(IPv4Network, address, length)
    if address.ipv4_mapped is not None and length >= 96:
        return _make_network(IPv4Network, address.ipv4_mapped, length - 96)
    return _make_network(IPv6Network, address, length)


def parse_networks(texts: Iterable[str]) -> Networks:
    """Returns the canonical form of at least one and at most 32 networks: sorted, nothing twice; raises ValueError."""
    networks: list[Network] = []
    for text in texts:
        if len(networks) == MAX_NETWORKS:
            raise ValueError(f"names more than {MAX_NETWORKS} networks")
        networks.append(parse_network(text))
    if not networks:
        raise ValueError("names no network")
    return _canonical(networks)


def parse_networks_claim(claims: Mapping[str, Any]) -> Networks | None:
    """Returns the networks that a token is limited to, None where it is not; raises InvalidToken if they are malformed.

    What cannot be read is refused and never passed over: it was meant as a limit.
    """
    if CLAIM not in claims:
        return None
    texts = claims[CLAIM]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidToken(f"the token's {CLAIM} is not a list of networks")
    try:
        return parse_networks(texts)
    except ValueError as error:
        raise InvalidToken(f"the token's {CLAIM} {error}") from error


def format_networks(networks: Networks) -> list[str]:
    """Returns the claim's value."""
    return [str(network) for network in networks]


# ----- Addresses -----


def parse_address(text: str) -> Address:
    """Returns the address, an IPv4 one also where it is written in IPv6 (`::ffff:192.0.2.1`); raises ValueError."""
    address = _parse_plain_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_within(address: Address, networks: Iterable[Network]) -> bool:
    """Returns whether one of the networks holds the address, which must come from `parse_address`."""
    return any(address.version == network.version and address in network for network in networks)


def find_client_address(peer: str, forwarded_for: str, trusted_proxies: Networks) -> Address | None:
    """Returns the last address before our own proxies, None where none can be had: no rule may let that in.

    `peer` is the connection's other end; `forwarded_for` counts only where that is a trusted proxy, and is read from
    the right, because only what our proxies appended is true.
    """
    try:
        address = parse_address(peer)
        hops = [entry for entry in forwarded_for.split(",")[-MAX_HOPS:] if forwarded_for]
        while hops and is_within(address, trusted_proxies):
            address = parse_address(hops.pop().strip())
    except ValueError:
        return None
    return address


# ----- Sets of networks -----


def intersect(one: Networks, other: Networks) -> Networks:
    """Returns what lies in both; empty where nothing does, which a caller must refuse and never take for "no limit"."""
    common: list[Network] = []
    for left in one:
        for right in other:
            if _is_part(left, right):
                common.append(left)
            elif _is_part(right, left):
                common.append(right)
    return _canonical(common)


def narrow(limits: Iterable[Networks | None]) -> Networks | None:
    """Returns what all limits allow together, None where none of them limits anything; None among them is no limit.

    An empty result means that they exclude each other: refuse.
    """
    narrowed: Networks | None = None
    for limit in limits:
        if limit is not None:
            narrowed = limit if narrowed is None else intersect(narrowed, limit)
    return narrowed


def _is_part(part: Network, whole: Network) -> bool:
    if isinstance(part, IPv4Network):
        return isinstance(whole, IPv4Network) and part.subnet_of(whole)
    return isinstance(whole, IPv6Network) and part.subnet_of(whole)


def _canonical(networks: Sequence[Network]) -> Networks:
    four = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    six = collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
    return (*four, *six)


def _parse_plain_address(text: str) -> Address:
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError("is not an IPv4 or IPv6 address") from None
    # A zone is the business of one machine, and means nothing to another.
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError("has a zone, which means nothing to another machine")
    return address


def _make_network(kind: type[IPv4Network] | type[IPv6Network], address: Address, length: int) -> Network:
    try:
        return kind((int(address), length))
    except ValueError:
        raise ValueError("has bits set behind its prefix length") from None
