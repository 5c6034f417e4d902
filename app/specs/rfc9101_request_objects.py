"""RFC 9101 - JWT-Secured Authorization Requests, and OpenID Connect Core 1.0 section 6 where that asks for less.

A request object holds the parameters of an authorization request: by value (`request`), or at an address that the
client registered (`request_uri`). Signatures are `rfc7515_jose`'s and encryption is `rfc7516_jwe`'s; fetching is a
service's. **Not** implemented: the hash of a request object in the fragment of its address (OpenID Connect Core 6.2
lets a server that caches nothing pass over it).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from .protocol_error import Difference, InvalidRequestObject, InvalidRequestUri
from .rfc4648_base64url import Base64urlError, decode_base64url
from .rfc7515_jose import InvalidJws, UnverifiedHeader, parse_unverified_header
from .strict_json import StrictJsonError, parse_json_object
from .strict_request import Parameters, has_control_character

TYPE: Final = "oauth-authz-req+jwt"
MEDIA_TYPE: Final = "application/oauth-authz-req+jwt"
SIGNING_ALGORITHMS: Final = ("RS256", "PS256", "ES256")
MAX_BYTES: Final = 32_768
MAX_LIFETIME_S: Final = 3600
"""Between `nbf` and `exp`, and since `nbf`, where both are demanded."""
MAX_AHEAD_S: Final = 60
"""How far the client's clock may be ahead of ours."""

# RFC 9101 4: "request" and "request_uri" "MUST NOT be included in Request Objects"; the rest is the JWT's own.
_FORBIDDEN: Final = ("request", "request_uri")
_OF_THE_JWT: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})
_NUMBERS: Final = frozenset({"max_age", "tokenhouse_expires_in"})
_REPEATABLE: Final = frozenset({"resource"})
_DOCUMENTS: Final[Mapping[str, type]] = {"claims": dict, "authorization_details": list, "registration": dict}

PARAMETERS: Final = frozenset(
    {
        *_NUMBERS,
        *_REPEATABLE,
        *_DOCUMENTS,
        "client_id",
        "response_type",
        "response_mode",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "prompt",
        "display",
        "login_hint",
        "id_token_hint",
        "acr_values",
        "ui_locales",
        "claims_locales",
        "dpop_jkt",
        "tokenhouse_networks",
    }
)
"""What the authorization endpoint reads: a value of the wrong type is an error in these, and none of our business in
others.
"""


# ----- By reference -----


def check_request_uri(request_uri: str, registered: Collection[str]) -> str:
    """The address to fetch: without the fragment. Raises InvalidRequestUri unless the whole of it is registered.

    OpenID Connect Core 6.2: a fragment tells versions apart, so it is compared, and never sent.
    """
    if request_uri not in registered:
        difference = Difference(what="request_uri", expected="\n".join(registered), received=request_uri)
        raise InvalidRequestUri("request_uri is not registered for this client", differences=[difference])
    return request_uri.partition("#")[0]


# ----- The header, before any key is looked for -----


def parse_request_object_header(raw_request_object: str) -> UnverifiedHeader:
    """The header of a signed or unsigned request object. Raises InvalidRequestObject.

    A key that the header brings or names is refused, and never fetched. `typ` may be missing: OpenID Connect does not
    know it. Another JWT of the client's (its client assertion, say) is told apart by `check_request_object_claims`.
    """
    try:
        header = parse_unverified_header(raw_request_object)
    except InvalidJws as cause:
        raise InvalidRequestObject("the request object is not a signed JWT", detail=str(cause)) from cause
    if header.own_keys:
        raise InvalidRequestObject(f"the request object's header brings its own key ({min(header.own_keys)})")
    if header.media_type not in (None, "application/jwt", MEDIA_TYPE):
        raise InvalidRequestObject(f"the request object's typ must be {TYPE}", detail=f"typ {header.typ!r:.100}")
    return header


def read_unsigned_claims(raw_request_object: str) -> bytes:
    """The payload of an object of `alg` none (RFC 7518 3.6: its signature is empty). Raises InvalidRequestObject.

    Whoever calls this has made sure that the client may send such ones.
    """
    parts = raw_request_object.split(".")
    if len(parts) != 3 or parts[2]:
        raise InvalidRequestObject("the request object is not an unsigned JWT")
    try:
        return decode_base64url(parts[1].encode("ascii"))
    except (Base64urlError, UnicodeEncodeError) as cause:
        raise InvalidRequestObject("the request object is not base64url") from cause


# ----- The claims -----


def parse_request_object_claims(payload: bytes) -> dict[str, Any]:
    """The claims of a request object whose signature holds. Raises InvalidRequestObject."""
    try:
        return parse_json_object(payload, max_bytes=MAX_BYTES)
    except StrictJsonError as cause:
        raise InvalidRequestObject("the request object does not hold a JSON object", detail=str(cause)) from cause


def check_request_object_claims(
    claims: Mapping[str, Any], *, issuer: str, client_id: str, now_s: int, is_strict: bool
) -> None:
    """Raises InvalidRequestObject unless the object is this client's, for this server, and for now.

    `is_strict`: `iss`, `aud`, `client_id`, `exp` and `nbf` must all be there, the last two within an hour. Otherwise
    what is there must be right (OpenID Connect Core 6.1 has them "SHOULD" or not at all).
    """
    for name in _FORBIDDEN:
        if name in claims:
            raise InvalidRequestObject(f"the request object must not hold {name}")
    # RFC 9101 10.8: so a client assertion, which has the client_id there, is never taken for a request object.
    if claims.get("sub") == client_id:
        raise InvalidRequestObject("the request object's sub must not be the client_id")
    for name in ("iss", "client_id"):
        if (is_strict or name in claims) and claims.get(name) != client_id:
            difference = Difference(what=name, expected=client_id, received=str(claims.get(name)))
            raise InvalidRequestObject(f"the request object's {name} is not the client_id", differences=[difference])
    if (is_strict or "aud" in claims) and not _is_for(claims.get("aud"), issuer, alone=is_strict):
        difference = Difference(what="aud", expected=issuer, received=str(claims.get("aud")))
        raise InvalidRequestObject("the request object's aud is not this server", differences=[difference])
    _check_times(claims, now_s=now_s, is_strict=is_strict)


def _is_for(audience: Any, issuer: str, *, alone: bool) -> bool:
    if isinstance(audience, list):
        return audience == [issuer] if alone else issuer in audience
    return bool(audience == issuer)


def _check_times(claims: Mapping[str, Any], *, now_s: int, is_strict: bool) -> None:
    for name in ("exp", "nbf", "iat"):
        if name in claims and not _is_number(claims[name]):
            raise InvalidRequestObject(f"the request object's {name} is not a number")
    expires_at, not_before = claims.get("exp"), claims.get("nbf")
    if is_strict and (expires_at is None or not_before is None):
        raise InvalidRequestObject("the request object has no exp or no nbf")
    if expires_at is not None and now_s >= expires_at:
        late = Difference(what="exp", expected=f"after {now_s}", received=str(expires_at))
        raise InvalidRequestObject("the request object has expired", differences=[late])
    if not_before is not None and not_before > now_s + MAX_AHEAD_S:
        early = Difference(what="nbf", expected=f"at most {now_s + MAX_AHEAD_S}", received=str(not_before))
        raise InvalidRequestObject("the request object is not valid yet", differences=[early])
    if is_strict and not_before is not None and expires_at is not None:
        if expires_at - not_before > MAX_LIFETIME_S:
            raise InvalidRequestObject(f"the request object lives longer than {MAX_LIFETIME_S} s")
        if now_s - not_before > MAX_LIFETIME_S:
            raise InvalidRequestObject(f"the request object's nbf is more than {MAX_LIFETIME_S} s ago")


def read_request_parameters(claims: Mapping[str, Any]) -> Parameters:
    """The claims as request parameters. Raises InvalidRequestObject for a value of the wrong JSON type.

    RFC 9101 4: "Parameter names and string values MUST be included as JSON strings ... numerical values MUST be
    included as JSON numbers"; what is JSON itself (`claims`, `authorization_details`) stands there as it is. Claims of
    the JWT are left out. Numbers are taken as text too: it reads in one way only, and some libraries write it.
    """
    parameters: dict[str, str | Sequence[str]] = {}
    for name, value in claims.items():
        if name not in _OF_THE_JWT:
            parameters[name] = _read_value(name, value)
    return Parameters.of(parameters)


def _read_value(name: str, value: Any) -> str | Sequence[str]:
    if name in _REPEATABLE and isinstance(value, list) and all(isinstance(one, str) for one in value):
        for one in value:
            _check_text(name, one)
        return list(value)
    if name in _DOCUMENTS and isinstance(value, _DOCUMENTS[name]):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if name in _NUMBERS and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        if name in PARAMETERS:
            raise InvalidRequestObject(f"the request object's {name} is of the wrong JSON type")
        # A claim that is no parameter of ours is passed over, whatever it holds.
        return ""
    if name in _DOCUMENTS:
        raise InvalidRequestObject(f"the request object's {name} must be JSON, not text that holds JSON")
    _check_text(name, value)
    return value


def _check_text(name: str, value: str) -> None:
    # What a query cannot bring in, an object must not either.
    if has_control_character(value):
        raise InvalidRequestObject(f"the request object's {name:.40} holds a control character")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# ----- Beside the object -----


def complete_parameters(outer: Parameters, inner: Parameters, *, client_id: str, may_complete: bool) -> Parameters:
    """The parameters that count. Raises InvalidRequestObject.

    RFC 9101 6.3: the server "MUST only use the parameters in the Request Object, even if the same parameter is provided
    in the query parameter". With `may_complete`, what the object leaves out is taken from beside it (OpenID Connect
    Core 6.1), where `response_type` and `client_id` must not contradict it.
    """
    values: dict[str, str | Sequence[str]] = {}
    if may_complete:
        for name in ("response_type", "client_id"):
            if name in inner and name in outer and inner.get(name) != outer.get(name):
                raise InvalidRequestObject(f"{name} beside the request object is another than in it")
        values = {name: outer.get_all(name) for name in outer.names if name not in _FORBIDDEN}
    values |= {name: inner.get_all(name) for name in inner.names}
    return Parameters.of({**values, "client_id": client_id})
