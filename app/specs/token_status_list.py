"""draft-ietf-oauth-status-list - Token Status List: whether a signed token has been revoked, in one bit each.

The reference in a token, the list's claims made, and the list's claims checked. Signing, `typ` and fetching are the
caller's. Lists are made with one bit per token; lists of others may have two, four or eight. **Not** implemented: the
CWT form, aggregation inside the list (`aggregation_uri`), historical resolution (section 8.4).
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .protocol_error import InvalidToken
from .rfc4648_base64url import Base64urlError, decode_base64url, encode_base64url

TYP: Final = "statuslist+jwt"
MEDIA_TYPE: Final = f"application/{TYP}"

MAX_ENTRIES: Final = 2**20
MAX_URI_CHARACTERS: Final = 2048
_BITS: Final = (1, 2, 4, 8)
_LATEST_TIME_S: Final = 253_402_300_799


class InvalidStatusList(ValueError):
    """A list that must not be used; the text says why and repeats nothing of the list."""


# ----- The reference in a token (section 6) -----


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReference:
    """Where a token's status stands. The URI is the token's word: fetch it only below an address that is trusted."""

    uri: str
    index: int


def status_claim(uri: str, index: int) -> dict[str, Any]:
    """Returns the value of the claim `status` (sections 6.1 and 6.2)."""
    return {"status_list": {"idx": index, "uri": uri}}


def parse_status_claim(claims: Mapping[str, Any]) -> StatusReference | None:
    """Returns the reference, or None where a token has no `status`; raises InvalidToken where it cannot be read.

    A status that is kept in some other way than in a list is refused too: passing it over would let revoked tokens in.
    Does **not** check that the list is the issuer's.
    """
    if "status" not in claims:
        return None
    status = claims["status"]
    reference = status.get("status_list") if isinstance(status, dict) else None
    if not isinstance(reference, dict):
        raise InvalidToken("the token's status is not kept in a status list")
    index, uri = reference.get("idx"), reference.get("uri")
    # `type` and not `isinstance`: True is an int.
    if type(index) is not int or index < 0:
        raise InvalidToken("the token's status has no index")
    if not isinstance(uri, str) or not 0 < len(uri) <= MAX_URI_CHARACTERS:
        raise InvalidToken("the token's status names no list")
    return StatusReference(uri=uri, index=index)


# ----- The list (sections 4 and 5.1) -----


def build_status_list_claims(
    *, uri: str, issued_at_s: int, expires_at_s: int, ttl_s: int, statuses: bytes
) -> dict[str, Any]:
    """Returns the claims of a list of one bit per token; bit `index` is `statuses[index >> 3] >> (index & 7) & 1`.

    Section 4.1: "The bits within each byte are counted from the least significant bit "0" to the most significant bit
    ("7")". The same statuses give the same claims.
    """
    return {
        "sub": uri,
        "iat": issued_at_s,
        "exp": expires_at_s,
        "ttl": ttl_s,
        # "Implementations are RECOMMENDED to use the highest compression level available."
        "status_list": {"bits": 1, "lst": encode_base64url(zlib.compress(statuses, 9))},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusList:
    """A checked list: true from `issued_at_s` to `expires_at_s`, whenever it was fetched.

    `ttl_s` is for how long the issuer wants it to be kept without asking again.
    """

    uri: str
    issued_at_s: float
    expires_at_s: float
    ttl_s: float | None
    bits: int
    statuses: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """The number of entries."""
        return len(self.statuses) * 8 // self.bits

    def get_status(self, index: int) -> int:
        """Returns the entry: 0 valid, 1 invalid, 2 suspended (section 7.1). Raises InvalidStatusList out of range."""
        position = index * self.bits
        if index < 0 or position >> 3 >= len(self.statuses):
            # Section 8.3: "the token's index is out of bounds [...] MUST be rejected".
            raise InvalidStatusList("the status list has no entry for the token")
        return self.statuses[position >> 3] >> (position & 7) & (1 << self.bits) - 1

    def is_set(self, index: int) -> bool:
        """Returns whether the token is anything else than valid; raises InvalidStatusList out of range."""
        return self.get_status(index) != 0


def check_status_list_claims(
    claims: Mapping[str, Any],
    *,
    uri: str,
    now_s: float,
    max_entries: int = MAX_ENTRIES,
    leeway_s: float = 10,
    max_lifetime_s: float | None = None,
) -> StatusList:
    """Returns the list; raises InvalidStatusList that says what is wrong with it (section 8.3).

    `leeway_s` is for an issuer whose clock is ahead; `exp` has none, because it is the bound on how long an old list is
    believed. `max_lifetime_s` is that bound counted from `iat`, where the caller wants a nearer one; without it a list
    must have an `exp`. Does **not** verify the signature or `typ`, and not that this list is newer than another.
    """
    # "The subject claim in the Status List Token MUST be equal to the uri claim in the Referenced Token".
    if claims.get("sub") != uri:
        raise InvalidStatusList("the status list is another one: its sub is not the address that was asked")
    issued_at_s = _get_time(claims, "iat")
    if issued_at_s > now_s + leeway_s:
        raise InvalidStatusList("the status list was issued in the future")
    expires_at_s = _get_end(claims, issued_at_s, max_lifetime_s)
    if now_s >= expires_at_s:
        raise InvalidStatusList("the status list has expired")
    ttl_s = claims.get("ttl")
    if ttl_s is not None and not (type(ttl_s) in (int, float) and 0 < ttl_s <= _LATEST_TIME_S):
        raise InvalidStatusList("the status list's ttl is not a positive number")
    bits, statuses = _parse_list(claims.get("status_list"), max_entries)
    return StatusList(
        uri=uri, issued_at_s=issued_at_s, expires_at_s=expires_at_s, ttl_s=ttl_s, bits=bits, statuses=statuses
    )


def _get_end(claims: Mapping[str, Any], issued_at_s: float, max_lifetime_s: float | None) -> float:
    if "exp" not in claims and max_lifetime_s is None:
        raise InvalidStatusList("the status list has no exp, so that nothing bounds how long it is true")
    expires_at_s = _get_time(claims, "exp") if "exp" in claims else float("inf")
    return expires_at_s if max_lifetime_s is None else min(expires_at_s, issued_at_s + max_lifetime_s)


def _get_time(claims: Mapping[str, Any], name: str) -> float:
    wire = claims.get(name)
    if (type(wire) is int or type(wire) is float) and 0 <= wire <= _LATEST_TIME_S:
        return wire
    raise InvalidStatusList(f"the status list's {name} is missing or not a time")


def _parse_list(status_list: object, max_entries: int) -> tuple[int, bytes]:
    if not isinstance(status_list, dict):
        raise InvalidStatusList("the status list's claim status_list is missing")
    bits, encoded = status_list.get("bits"), status_list.get("lst")
    if type(bits) is not int or bits not in _BITS:
        raise InvalidStatusList("the status list has not one, two, four or eight bits per token")
    if not isinstance(encoded, str) or not encoded.isascii():
        raise InvalidStatusList("the status list is not base64url")
    try:
        compressed = decode_base64url(encoded.encode("ascii"))
    except Base64urlError:
        raise InvalidStatusList("the status list is not base64url") from None
    return bits, _inflate(compressed, max_bytes=max_entries * bits // 8)


def _inflate(compressed: bytes, *, max_bytes: int) -> bytes:
    """A few kilobytes can unpack to gigabytes: no more than one byte too many is ever unpacked."""
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(compressed, max_bytes + 1)
    except zlib.error:
        raise InvalidStatusList("the status list is not zlib") from None
    if len(inflated) > max_bytes:
        raise InvalidStatusList("the status list has more entries than are accepted")
    if not inflater.eof or inflater.unused_data:
        raise InvalidStatusList("the status list is cut off or has something after its end")
    if not inflated:
        raise InvalidStatusList("the status list is empty")
    return inflated
