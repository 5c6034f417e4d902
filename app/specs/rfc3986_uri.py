"""RFC 3986 - Uniform Resource Identifiers, read strictly: what is odd is refused, nothing is repaired.

Every parser of URLs that repairs (drops a tab, turns a backslash, folds a case) disagrees with some other one, and
that difference is what an open redirector is made of. Relative references are **not** read; nothing is normalised.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

MAX_URI_CHARACTERS: Final = 2048

# Section 2: unreserved, reserved and "%". No control, space, backslash, quote or character outside ASCII.
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_URI = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*):(?://(?P<authority>[^/?#]*))?"
    r"(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?"
)
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>[1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?")
# What a browser takes for an IPv4 address: a last label that is a number, also in octal or hexadecimal.
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uri:
    """The parts as they were written. `host` keeps the brackets of an IPv6 literal; None means "not there"."""

    scheme: str
    userinfo: str | None
    host: str | None
    port: int | None
    path: str
    query: str | None
    fragment: str | None


def parse_uri(value: str) -> Uri:
    """The parts of an absolute URI of at most 2,048 characters (RFC 3986 section 3).

    Raises ValueError with a readable sentence. Does **not** check the scheme or the host's meaning: see
    `check_web_host`.
    """
    if not 0 < len(value) <= MAX_URI_CHARACTERS:
        raise ValueError(f"must have between 1 and {MAX_URI_CHARACTERS} characters")
    if _CHARACTERS.fullmatch(value) is None:
        raise ValueError("holds a character that a URI cannot have (RFC 3986 section 2)")
    if _BAD_PERCENT.search(value) is not None:
        raise ValueError("holds a malformed percent-encoding")
    match = _URI.fullmatch(value)
    if match is None:
        raise ValueError("must be an absolute URI")
    outside_authority = (match["path"], match["query"] or "", match["fragment"] or "")
    if any("[" in part or "]" in part for part in outside_authority) or "#" in (match["fragment"] or ""):
        raise ValueError("holds a bracket or a second '#' where a URI cannot have one")
    userinfo, host, port = _split_authority(match["authority"])
    return Uri(
        scheme=match["scheme"],
        userinfo=userinfo,
        host=host,
        port=port,
        path=match["path"],
        query=match["query"],
        fragment=match["fragment"],
    )


def _split_authority(authority: str | None) -> tuple[str | None, str | None, int | None]:
    if authority is None:
        return None, None, None
    userinfo, at, host_and_port = authority.rpartition("@")
    if set(userinfo) & set("@[]"):
        raise ValueError("holds more than one '@', or a bracket, before its host")
    match = _HOST_AND_PORT.fullmatch(host_and_port)
    if match is None or int(match["port"] or 0) > 65535:
        raise ValueError("holds a malformed host or port")
    return userinfo if at else None, match["host"], int(match["port"]) if match["port"] else None


def check_web_host(host: str | None) -> None:
    """Raises ValueError unless `host` is written in the one form in which browsers understand it.

    That is: a lower-case ASCII name (IDNA names as punycode), a dotted-quad IPv4 address or a bracketed IPv6 address
    in its shortest form. Does **not** check that the name exists, nor whether the address is public.
    """
    if not host:
        raise ValueError("must name a host")
    if host.startswith("["):
        _check_ipv6_literal(host)
        return
    if host != host.lower():
        raise ValueError("must write its host in lower case, because URIs are compared character by character")
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("must name a host by an ASCII domain name (punycode where needed) or an address")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        _check_ipv4_address(host)
    for label in labels:
        if label.startswith("xn--"):
            _check_punycode(label)


def _check_ipv6_literal(host: str) -> None:
    try:
        canonical = f"[{ipaddress.IPv6Address(host[1:-1])}]"
    except ValueError:
        canonical = ""
    # A zone ("%eth0") is the business of one machine, and means nothing to another.
    if host != canonical or "%" in host:
        raise ValueError("must write an IPv6 address in its shortest form")


def _check_ipv4_address(host: str) -> None:
    try:
        ipaddress.IPv4Address(host)
    except ValueError as cause:
        raise ValueError("must write an IPv4 address as four decimal numbers") from cause


def _check_punycode(label: str) -> None:
    try:
        decoded = label[4:].encode("ascii").decode("punycode")
    except (ValueError, OverflowError) as cause:
        raise ValueError("holds a malformed punycode label") from cause
    if decoded.isascii():
        raise ValueError("holds a malformed punycode label")
