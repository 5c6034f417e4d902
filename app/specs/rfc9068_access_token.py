"""RFC 9068 - JWT profile for access tokens: the claims, made and checked.

Signatures are rfc7515_jose's, and so is the comparison of `typ` with TYP. Encrypted access tokens are not implemented.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .protocol_error import Difference, InvalidToken
from .rfc8693_token_exchange import parse_actors
from .rfc9396_authorization_details import Details, parse_details_claim
from .shared_object import SharedObject

TYP: Final = "at+jwt"

# Claims that narrow who may use a token, or from where. Whoever checks a token without enforcing them must refuse it:
# passing over them would turn a bound token into a bearer token.
CONSTRAINING_CLAIMS: Final = ("cnf", "th_networks")

# Later times are mistakes or attempts to overflow somebody's arithmetic (the year 9999).
_LATEST_TIME_S: Final = 253_402_300_799


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTokenClaims:
    """The checked claims of an access token. `claims` is the whole claims set, read-only; times are whole seconds.

    `actors`: who acts for the subject, the present one first (RFC 8693 4.1); empty where nobody does.
    """

    issuer: str
    subject: str
    client_id: str
    scope: frozenset[str]
    audience: tuple[str, ...]
    issued_at_s: int
    expires_at_s: int
    jti: str
    auth_time_s: int | None
    acr: str | None
    actors: tuple[str, ...]
    authorization_details: Details
    claims: Mapping[str, Any]


def build_claims(
    *,
    issuer: str,
    subject: str,
    audience: str,
    client_id: str,
    scope: str,
    issued_at_s: int,
    expires_at_s: int,
    jti: str,
    auth_time_s: int | None = None,
    acr: str | None = None,
    amr: Collection[str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the claims set of section 2.2; `scope` is left out when empty, the optional ones when None.

    `extra` adds claims and never replaces one: ValueError, because that would be a mistake in our own code.
    """
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": subject,
        "aud": audience,
        "client_id": client_id,
        "iat": issued_at_s,
        "exp": expires_at_s,
        "jti": jti,
    }
    if scope:
        claims["scope"] = scope
    if auth_time_s is not None:
        claims["auth_time"] = auth_time_s
    if acr is not None:
        claims["acr"] = acr
    if amr:
        claims["amr"] = list(amr)
    if extra:
        if not claims.keys().isdisjoint(extra):
            raise ValueError("extra claims may not replace those of RFC 9068")
        claims.update(extra)
    return claims


def check_claims(
    claims: dict[str, Any],
    *,
    issuer: str,
    audience: str | Collection[str],
    now_s: float,
    leeway_s: float = 10,
    enforced: Collection[str] = (),
) -> AccessTokenClaims:
    """Returns the checked claims; raises InvalidToken that says which claim is wrong (section 4).

    `audience` is the resource's identifier, or every name that it goes by. `enforced` names the constraining claims
    that the caller enforces itself after this; a token with any other one is refused.
    Does **not** verify the signature or `typ`, and does not compare scopes.
    """
    if claims.get("iss") != issuer:
        difference = Difference(what="iss", expected=issuer, received=f"{claims.get('iss')!s:.500}")
        raise InvalidToken("the token is from another issuer", differences=[difference])
    token_audience = _check_audience(claims, (audience,) if isinstance(audience, str) else audience)
    issued_at_s, expires_at_s = _check_times(claims, now_s=now_s, leeway_s=leeway_s)
    for name in CONSTRAINING_CLAIMS:
        if name in claims and name not in enforced:
            raise InvalidToken(f"the token is constrained by {name}, which is not enforced here")
    auth_time_s, acr = claims.get("auth_time"), claims.get("acr")
    if acr is not None and not isinstance(acr, str):
        raise InvalidToken("the token's acr is not a text")
    return AccessTokenClaims(
        issuer=issuer,
        subject=_get_text(claims, "sub"),
        client_id=_get_text(claims, "client_id"),
        scope=_parse_scope(claims.get("scope", "")),
        audience=token_audience,
        issued_at_s=issued_at_s,
        expires_at_s=expires_at_s,
        jti=_get_text(claims, "jti"),
        auth_time_s=None if auth_time_s is None else int(_get_time(claims, "auth_time")),
        acr=acr,
        actors=parse_actors(claims),
        authorization_details=parse_details_claim(claims),
        claims=SharedObject(claims),
    )


def _check_audience(claims: Mapping[str, Any], accepted: Collection[str]) -> tuple[str, ...]:
    """Section 4: "The resource server MUST validate that the "aud" claim contains a resource indicator value
    corresponding to an identifier the resource server expects for itself."
    """
    wire = claims.get("aud")
    if isinstance(wire, str):
        named: tuple[str, ...] = (wire,)
    elif isinstance(wire, list) and wire and all(isinstance(one, str) for one in wire):
        named = tuple(wire)
    else:
        raise InvalidToken("the token names no audience")
    for one in named:
        if one in accepted:
            return named
    difference = Difference(what="aud", expected="\n".join(accepted), received="\n".join(named))
    raise InvalidToken("the token is for another audience", differences=[difference])


def _check_times(claims: Mapping[str, Any], *, now_s: float, leeway_s: float) -> tuple[int, int]:
    expires_at_s = _get_time(claims, "exp")
    issued_at_s = _get_time(claims, "iat")
    # Section 4: "The current time MUST be before the time represented by the "exp" claim." The leeway is for clocks.
    if now_s >= expires_at_s + leeway_s:
        raise InvalidToken("the token has expired", differences=[_late("exp", expires_at_s, now_s)])
    if issued_at_s > now_s + leeway_s:
        raise InvalidToken("the token was issued in the future", differences=[_late("iat", issued_at_s, now_s)])
    if issued_at_s > expires_at_s:
        raise InvalidToken("the token expired before it was issued")
    if "nbf" in claims and _get_time(claims, "nbf") > now_s + leeway_s:
        raise InvalidToken("the token is not valid yet", differences=[_late("nbf", claims["nbf"], now_s)])
    return int(issued_at_s), int(expires_at_s)


def _late(name: str, wire: float, now_s: float) -> Difference:
    return Difference(what=name, expected=f"{now_s:.0f}", received=f"{wire:.0f}")


def _get_time(claims: Mapping[str, Any], name: str) -> int | float:
    """Returns a NumericDate (RFC 7519 section 2), which may have a fraction."""
    wire = claims.get(name)
    # `type` and not `isinstance`: True is an int.
    if (type(wire) is int or type(wire) is float) and 0 <= wire <= _LATEST_TIME_S:
        return wire
    raise InvalidToken(f"the token's {name} is missing or not a time")


def _get_text(claims: Mapping[str, Any], name: str) -> str:
    wire = claims.get(name)
    if isinstance(wire, str) and wire:
        return wire
    raise InvalidToken(f"the token's {name} is missing or not a text")


def _parse_scope(wire: object) -> frozenset[str]:
    """RFC 6749 3.3: scope-tokens with single spaces between them."""
    if wire == "":
        return frozenset()
    if not isinstance(wire, str):
        raise InvalidToken("the token's scope is not a text")
    scope = frozenset(wire.split(" "))
    if "" in scope:
        raise InvalidToken("the token's scope is malformed")
    return scope
