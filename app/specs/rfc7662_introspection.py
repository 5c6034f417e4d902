"""RFC 7662 - OAuth 2.0 Token Introspection, and RFC 9701's signed form of the response.

What a response says of a token, and the claims of the JWT that carries it. Signing, and who may ask, are the
caller's. Encrypted responses are **not** implemented: the endpoint is reached over TLS and nothing else.
"""

from collections.abc import Mapping
from typing import Any, Final

INACTIVE: Final[Mapping[str, Any]] = {"active": False}
"""RFC 7662 2.2: the server "SHOULD NOT include any additional information about an inactive token"."""

# RFC 9701 section 5.
TYP: Final = "token-introspection+jwt"
MEDIA_TYPE: Final = f"application/{TYP}"

_MEMBERS: Final = (
    *("scope", "client_id", "sub", "aud", "iss", "exp", "iat", "jti", "acr", "auth_time", "act", "cnf"),
    *("th_networks", "authorization_details", "status"),
)


def build_response(claims: Mapping[str, Any], *, token_type: str | None) -> dict[str, Any]:
    """The response for an active token that says `claims` (section 2.2). Does **not** judge whether it is active."""
    members = {name: claims[name] for name in _MEMBERS if name in claims}
    if token_type is not None:
        members["token_type"] = token_type
    return {"active": True, **members}


def build_signed_claims(response: Mapping[str, Any], *, issuer: str, audience: str, issued_at_s: int) -> dict[str, Any]:
    """The claims of RFC 9701 section 5.

    No `sub` and no `exp` of its own: "to prevent misuse of the JWT as an access token" it must look like none.
    """
    return {"iss": issuer, "aud": audience, "iat": issued_at_s, "token_introspection": dict(response)}


def wants_signed(accept: str | None) -> bool:
    """Whether an `Accept` header asks for the signed form (RFC 9701 section 4), and prefers it to plain JSON."""
    weights = dict(_parse_accept(accept or ""))
    signed = weights.get(MEDIA_TYPE, 0.0)
    return signed > 0 and signed >= weights.get("application/json", 0.0)


def _parse_accept(accept: str) -> list[tuple[str, float]]:
    ranges = []
    for part in accept.split(",")[:20]:
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        # RFC 9110 12.4.2: a qvalue has at most three digits after the point.
        is_weight = len(weight) <= 5 and weight.isascii() and weight.replace(".", "", 1).isdigit()
        ranges.append((media_type, float(weight) if is_weight else 0.0))
    return ranges
