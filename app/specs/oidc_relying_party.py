"""OpenID Connect Core 1.0 and RFC 6749 - a client's own part of a login: what it asks, and how it reads the answers.

Only the code flow with PKCE by S256 (RFC 7636), the answer in the query. RFC 9207's `iss` is compared here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from .rfc6749_oauth import build_redirect
from .strict_json import StrictJsonError, parse_json_object
from .strict_request import Parameters

MAX_TOKEN_RESPONSE_BYTES: Final = 65_536
MAX_USERINFO_BYTES: Final = 65_536
MAX_CODE_CHARACTERS: Final = 4096

_ERROR = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,100}")
# RFC 6750 2.1: b64token, in a header.
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


class InvalidAnswer(ValueError):
    """What came back is no answer to what was asked; the text repeats nothing secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationRequest:
    """What is asked of a provider. `max_age_s` and `prompt` only where a login is demanded."""

    client_id: str
    redirect_uri: str
    scope: str
    state: str = field(repr=False)
    nonce: str | None = field(repr=False)
    code_challenge: str
    max_age_s: int | None = None
    prompt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeAnswer:
    """An authorization response that holds a code."""

    code: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """An authorization response that holds an error: the code only, for no word of it is ours to show."""

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """A token response."""

    access_token: str = field(repr=False)
    id_token: str | None = field(repr=False)


def build_authentication_request(authorization_endpoint: str, request: AuthenticationRequest) -> str:
    """The URL to which the browser goes (section 3.1.2.1)."""
    parameters = {
        "response_type": "code",
        "client_id": request.client_id,
        "redirect_uri": request.redirect_uri,
        "scope": request.scope,
        "state": request.state,
        "nonce": request.nonce,
        "code_challenge": request.code_challenge,
        "code_challenge_method": "S256",
        "max_age": None if request.max_age_s is None else str(request.max_age_s),
        "prompt": request.prompt,
    }
    return build_redirect(authorization_endpoint, {name: value for name, value in parameters.items() if value})


def read_authentication_response(parameters: Parameters, *, issuer: str, sends_iss: bool) -> CodeAnswer | ErrorAnswer:
    """The code or the error. Raises InvalidAnswer. Whether `state` is one of ours has been seen by the caller.

    RFC 9207 2.4: "Clients MUST ... compare the result to the issuer identifier of the authorization server where the
    authorization request was sent to ... If the value does not match the expected issuer identifier, clients MUST
    reject the authorization response and MUST NOT proceed"; and one without where it was announced, likewise.
    """
    sent_issuer = parameters.get("iss")
    if sent_issuer is None and sends_iss:
        raise InvalidAnswer("iss is missing, although the provider says that it sends it")
    if sent_issuer is not None and sent_issuer != issuer:
        raise InvalidAnswer("iss is another provider's")
    error, code = parameters.get("error"), parameters.get("code")
    if error is not None:
        return ErrorAnswer(error=error if _ERROR.fullmatch(error) is not None else "unreadable")
    if not code or len(code) > MAX_CODE_CHARACTERS:
        raise InvalidAnswer("code is missing, or too long")
    return CodeAnswer(code=code)


def build_token_request(*, code: str, redirect_uri: str, code_verifier: str, further: Mapping[str, str]) -> bytes:
    """The form of section 3.1.3.1 and RFC 7636 4.5; `further` authenticates the client in the body."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": code_verifier,
        **further,
    }
    return urlencode(form).encode("ascii")


def basic_credentials(client_id: str, client_secret: str) -> str:
    """What stands before base64 in `Authorization: Basic` (RFC 6749 2.3.1: both form-encoded first)."""
    return f"{quote_plus(client_id)}:{quote_plus(client_secret)}"


def read_token_response(body: bytes, *, needs_id_token: bool) -> TokenAnswer:
    """The tokens of a response with status 200. Raises InvalidAnswer. Does **not** look into them."""
    document = _read_object(body, what="the token response", max_bytes=MAX_TOKEN_RESPONSE_BYTES)
    access_token, id_token = document.get("access_token"), document.get("id_token")
    token_type = document.get("token_type")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise InvalidAnswer("the token response is not of type Bearer")
    if not isinstance(access_token, str) or _TOKEN.fullmatch(access_token) is None:
        raise InvalidAnswer("the token response holds no access token")
    if needs_id_token and not isinstance(id_token, str):
        raise InvalidAnswer("the token response holds no ID token")
    return TokenAnswer(access_token=access_token, id_token=id_token if needs_id_token else None)


def read_token_error(body: bytes) -> str:
    """The error code of a refusal, for the log."""
    try:
        error = _read_object(body, what="the token response", max_bytes=MAX_TOKEN_RESPONSE_BYTES).get("error")
    except InvalidAnswer:
        return "unreadable"
    return error if isinstance(error, str) and _ERROR.fullmatch(error) is not None else "unreadable"


def read_userinfo(body: bytes) -> dict[str, Any]:
    """The claims of a UserInfo response in JSON. Raises InvalidAnswer. Whose they are is for the caller to check."""
    return _read_object(body, what="the UserInfo response", max_bytes=MAX_USERINFO_BYTES)


def find_member(document: Mapping[str, Any], path: str) -> Any:
    """The member that a path of names with dots between leads to; None where it leads nowhere."""
    value: Any = document
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return value


def _read_object(body: bytes, *, what: str, max_bytes: int) -> dict[str, Any]:
    try:
        return parse_json_object(body, max_bytes=max_bytes)
    except StrictJsonError as error:
        raise InvalidAnswer(f"{what} cannot be read: {error}") from error
