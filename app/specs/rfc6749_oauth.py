"""RFC 6749 - The OAuth 2.0 Authorization Framework: scope, client credentials in a header, the redirect back.

The error codes are in `protocol_error`, the parameters' syntax in `strict_request`, grants in `app.oauth`.
RFC 9207's `iss` is one more response parameter, which the caller puts among the others.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal
from urllib.parse import quote, unquote_to_bytes, urlencode

from .protocol_error import InvalidClient, InvalidScope

MAX_SCOPE_TOKENS: Final = 100

# Section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_BASIC = re.compile(r"[Bb][Aa][Ss][Ii][Cc] +([A-Za-z0-9+/]+={0,2})")
_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
# Appendix A.1 and A.2: client-id = *VSCHAR, client-secret = *VSCHAR
_VSCHARS = re.compile(r"[\x20-\x7e]+")
_URI_CHARACTERS = re.compile(r"[\x21\x24-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+")


# ----- Scope (section 3.3) -----


def parse_scope(value: str | None) -> tuple[str, ...]:
    """The scope tokens in the order asked, each once; none for None or "". Raises InvalidScope.

    Does **not** check that anybody knows the scopes, nor who may have them.
    """
    if not value:
        return ()
    tokens = tuple(dict.fromkeys(value.split(" ")))
    if len(tokens) > MAX_SCOPE_TOKENS:
        raise InvalidScope("scope has too many values")
    if not all(_SCOPE_TOKEN.fullmatch(token) for token in tokens):
        raise InvalidScope("scope is malformed")
    return tokens


def format_scope(scope: Iterable[str]) -> str:
    """The wire form of scope tokens."""
    return " ".join(scope)


def is_scope_token(value: str) -> bool:
    """Whether `value` is one scope token by the grammar of section 3.3."""
    return _SCOPE_TOKEN.fullmatch(value) is not None


# ----- Client credentials in the Authorization header (section 2.3.1) -----


def parse_basic_credentials(authorization: str) -> tuple[str, str]:
    """`(client_id, client_secret)` out of an `Authorization: Basic` value. Raises InvalidClient on anything odd.

    An empty identifier or secret is refused: nothing here has one. Does **not** check that the client exists, and
    adds no `WWW-Authenticate`: the caller knows the realm.
    """
    match = _BASIC.fullmatch(authorization)
    if match is None:
        raise InvalidClient("the Authorization header is malformed")
    try:
        credentials = base64.b64decode(match[1], validate=True)
    except binascii.Error as cause:
        raise InvalidClient("the Authorization header is malformed") from cause
    # The decoder forgives superfluous padding and bits: one spelling is enough.
    if base64.b64encode(credentials) != match[1].encode():
        raise InvalidClient("the Authorization header is malformed")
    raw_client_id, _, raw_secret = credentials.partition(b":")
    return _decode_credential(raw_client_id), _decode_credential(raw_secret)


def _decode_credential(raw: bytes) -> str:
    # Section 2.3.1: "The client identifier is encoded using the "application/x-www-form-urlencoded" encoding
    # algorithm per Appendix B, and the encoded value is used as the username" - and the secret likewise.
    if b"%" in raw and _BAD_PERCENT.search(raw) is not None:
        raise InvalidClient("the client credentials are malformed")
    try:
        decoded = unquote_to_bytes(raw.replace(b"+", b" ")) if b"%" in raw or b"+" in raw else raw
        text = decoded.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise InvalidClient("the client credentials are malformed") from cause
    if _VSCHARS.fullmatch(text) is None:
        raise InvalidClient("the client credentials are malformed")
    return text


# ----- The redirect back to the client (sections 4.1.2 and 4.2.2) -----


def build_redirect(
    redirect_uri: str, params: Mapping[str, str], *, response_mode: Literal["query", "fragment"] = "query"
) -> str:
    """`redirect_uri` with the response parameters added, fit for a Location header.

    Raises ValueError where `redirect_uri` could not have been registered (a fragment, a control character): that is
    a bug of the caller. Does **not** check that the URI belongs to the client.
    """
    # A last look before the value becomes a header: whatever happened upstream, no CR or LF passes here.
    if _URI_CHARACTERS.fullmatch(redirect_uri) is None:
        raise ValueError("redirect_uri holds a character that a redirect URI cannot have")
    # A space as %20, not "+": form decoders take both, scripts that read a fragment only the first.
    encoded = urlencode(params, quote_via=quote, safe="")
    if response_mode == "fragment":
        return f"{redirect_uri}#{encoded}"
    # Section 3.1.2: an existing query component "MUST be retained when adding additional query parameters".
    if "?" not in redirect_uri:
        return f"{redirect_uri}?{encoded}"
    separator = "" if redirect_uri.endswith(("?", "&")) else "&"
    return f"{redirect_uri}{separator}{encoded}"
