"""RFC 6750 - bearer tokens in the Authorization header, and the challenge that refuses them; with RFC 9449's scheme.

The form-encoded body (2.2) and the URI query (2.3) are not read: OAuth 2.1 forbids the query, and a body that can
carry a credential is one more thing to confuse.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from .protocol_error import InvalidRequest, ProtocolError

# RFC 6750 2.1: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
_B64TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_PARAMETER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# RFC 6750 section 3 allows %x20-21 / %x23-5B / %x5D-7E in error_description: no quote, no backslash, no control.
_NOT_QUOTABLE: Final = re.compile(r"[^\x20\x21\x23-\x5B\x5D-\x7E]")


AuthorizationScheme = Literal["Bearer", "DPoP"]
_SCHEMES: Final[Mapping[str, AuthorizationScheme]] = {"bearer": "Bearer", "dpop": "DPoP"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedToken:
    """An access token as it came: under which scheme, and not verified."""

    scheme: AuthorizationScheme
    unverified_token: str = field(repr=False)


def parse_presented_token(authorization: str | None) -> PresentedToken | None:
    """Returns the token of a `Bearer` (section 2.1) or `DPoP` (RFC 9449 7.1) header, None where it has neither.

    Raises InvalidRequest where the header is malformed. Does **not** look at what the token is, and not whether the
    scheme is the one that it is bound to: RFC 9449's `check_scheme` does.
    """
    scheme = _SCHEMES.get((authorization or "").partition(" ")[0].lower())
    token = None if scheme is None else parse_bearer(authorization, scheme=scheme)
    return None if scheme is None or token is None else PresentedToken(scheme=scheme, unverified_token=token)


def parse_bearer(authorization: str | None, *, scheme: str = "Bearer") -> str | None:
    """Returns the token, or None where the header is absent or speaks another scheme; raises InvalidRequest.

    Does **not** look at what the token is.
    """
    if not authorization:
        return None
    name, space, credentials = authorization.partition(" ")
    if name.lower() != scheme.lower():
        return None
    token = credentials.lstrip(" ")
    # A repeated header arrives joined by a comma, which no token has: two credentials are one too many.
    if not space or _B64TOKEN.fullmatch(token) is None:
        raise InvalidRequest("the Authorization header is malformed")
    return token


def challenge(
    error: ProtocolError | None,
    *,
    realm: str,
    scope: str | None = None,
    scheme: str = "Bearer",
    parameters: Mapping[str, str] | None = None,
) -> str:
    """Returns the value of WWW-Authenticate (section 3). `scope` is what the resource needs.

    With `error=None` no code is named. Section 3.1: "If the request lacks any authentication information [...] the
    resource server SHOULD NOT include an error code or other error information."
    Values are made safe for a quoted string, whatever they hold; a parameter's name must be a token, or ValueError.
    """
    pairs = {"realm": realm}
    if error is not None:
        pairs["error"] = error.error
        if error.description:
            pairs["error_description"] = error.description
    if scope:
        pairs["scope"] = scope
    for name, value in (parameters or {}).items():
        if name in pairs or _PARAMETER_NAME.fullmatch(name) is None:
            raise ValueError("a challenge's parameter is repeated or not named by a token")
        pairs[name] = value
    return scheme + " " + ", ".join(f'{name}="{_quotable(value)}"' for name, value in pairs.items())


def _quotable(value: str) -> str:
    return _NOT_QUOTABLE.sub("?", value.replace('"', "'").replace("\\", "/"))
