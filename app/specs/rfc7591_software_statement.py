"""RFC 7591 section 2.3 - Software statements: what somebody whom the operator trusts says of a client, signed.

A statement's claims are client metadata and take precedence over what the client says itself. Nothing in a statement
tells where its keys are: they are the caller's, by the statement's issuer.
"""

from collections.abc import Mapping
from typing import Any, Final

from .protocol_error import InvalidSoftwareStatement
from .rfc4648_base64url import Base64urlError, decode_base64url
from .strict_json import StrictJsonError, parse_json_object

MAX_STATEMENT_BYTES: Final = 16_384
ALGORITHMS: Final = frozenset({"RS256", "PS256", "ES256", "EdDSA", "Ed25519"})
CLOCK_SKEW_S: Final = 60

_CLAIMS_OF_THE_TOKEN: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})


def read_unverified_issuer(statement: str) -> str:
    """Who the statement says has made it, to choose keys by. Raises InvalidSoftwareStatement."""
    issuer = _read_unverified_claims(statement).get("iss")
    # RFC 7591 2.3: a statement "MUST [...] contain an "iss" (issuer) claim denoting the party attesting to the claims".
    if not isinstance(issuer, str) or not issuer:
        raise InvalidSoftwareStatement("the software statement names no issuer")
    return issuer


def read_statement_metadata(payload: bytes, *, issuer: str, audience: str, now_s: int) -> dict[str, Any]:
    """The client metadata of a statement whose signature was verified. Raises InvalidSoftwareStatement.

    Checks `iss`, and `exp`, `nbf`, `iat` and `aud` where they are there: RFC 7591 lets a statement stand for ever.
    """
    claims = _parse(payload)
    if claims.get("iss") != issuer:
        raise InvalidSoftwareStatement("the software statement has another issuer")
    if "exp" in claims and now_s >= _time(claims, "exp") + CLOCK_SKEW_S:
        raise InvalidSoftwareStatement("the software statement has expired")
    if any(name in claims and _time(claims, name) > now_s + CLOCK_SKEW_S for name in ("nbf", "iat")):
        raise InvalidSoftwareStatement("the software statement is not valid yet")
    audiences = claims.get("aud", audience)
    if audience not in (audiences if isinstance(audiences, list) else [audiences]):
        raise InvalidSoftwareStatement("the software statement is for another server")
    return select_metadata(claims)


def reread_statement_metadata(statement: str) -> dict[str, Any]:
    """The client metadata of a statement that was verified when it was stored. Does **not** verify it again."""
    return select_metadata(_read_unverified_claims(statement))


def select_metadata(claims: Mapping[str, Any]) -> dict[str, Any]:
    """What of the claims is said of the client, and not of the statement itself."""
    return {name: value for name, value in claims.items() if name not in _CLAIMS_OF_THE_TOKEN}


def _read_unverified_claims(statement: str) -> dict[str, Any]:
    parts = statement.split(".")
    if len(statement) > MAX_STATEMENT_BYTES or len(parts) != 3 or not statement.isascii():
        raise InvalidSoftwareStatement("the software statement is not a signed JWT")
    try:
        return _parse(decode_base64url(parts[1].encode("ascii")))
    except Base64urlError as cause:
        raise InvalidSoftwareStatement("the software statement is not a signed JWT") from cause


def _parse(payload: bytes) -> dict[str, Any]:
    try:
        return parse_json_object(payload, max_bytes=MAX_STATEMENT_BYTES)
    except StrictJsonError as cause:
        raise InvalidSoftwareStatement("the software statement's claims cannot be read") from cause


def _time(claims: Mapping[str, Any], name: str) -> int:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidSoftwareStatement(f"the software statement's {name} is not a time")
    return int(value)
