"""What Flask, WSGI and ASGI have in common: an Authorization header in, claims or a complete refusal out."""

import json
from collections.abc import Callable, Collection
from typing import Final

from ..specs.protocol_error import InsufficientScope, ProtocolError, TemporarilyUnavailable
from ..specs.rfc6750_bearer import challenge, parse_bearer
from ..specs.rfc9068_access_token import AccessTokenClaims
from .access_token import AccessTokenVerifier

# Where the WSGI environ and the ASGI scope carry the claims.
CLAIMS_KEY: Final = "tokenhouse.access_token"

# (method, path) -> the scopes that the request needs; None means that it needs no token.
ScopeRule = Callable[[str, str], Collection[str] | None]


class Refusal(Exception):
    """A complete answer in place of the resource's: status, headers, body. `error` is None where no token was sent."""

    def __init__(self, error: ProtocolError | None, *, realm: str, scope: str) -> None:
        super().__init__("no token" if error is None else f"{error.error}: {error.description}")
        self.error = error
        self.status = 401 if error is None else error.status
        self.body = b"" if error is None else _render_body(error)
        self.headers: list[tuple[str, str]] = [
            ("Cache-Control", "no-store"),
            # PEP 3333's validator wants one for an empty body too.
            ("Content-Type", "text/plain; charset=utf-8" if error is None else "application/json"),
            ("Content-Length", str(len(self.body))),
        ]
        if error is not None:
            self.headers.extend(error.headers.items())
        # RFC 6750 section 3: the scope of a challenge is "the required scope of the access token for accessing the
        # requested resource". The fault of a 503 is ours: a challenge would make clients throw good tokens away.
        if not isinstance(error, TemporarilyUnavailable):
            named = scope if error is None or isinstance(error, InsufficientScope) else None
            self.headers.append(("WWW-Authenticate", challenge(error, realm=realm, scope=named)))


def admit(
    verifier: AccessTokenVerifier,
    authorization: str | None,
    *,
    scope: Collection[str] = (),
    verify: Callable[..., AccessTokenClaims] | None = None,
) -> AccessTokenClaims:
    """Returns the claims of the request's token; raises Refusal, and KeysNotAtHand where `verify` may.

    `verify` is `verifier.verify` unless given. Reads the Authorization header alone: a token in the query or the body
    is no token.
    """
    try:
        token = parse_bearer(authorization)
        if token is not None:
            return (verify or verifier.verify)(token, scope=scope)
        error = None
    except ProtocolError as refused:
        error = refused
    raise Refusal(error, realm=verifier.audience[0], scope=" ".join(scope)) from error


def make_scope_rule(scope: str | Collection[str] | ScopeRule) -> ScopeRule:
    """Returns a rule that asks for the same scopes everywhere, or the rule that was given."""
    if callable(scope):
        return scope
    required = tuple(scope.split()) if isinstance(scope, str) else tuple(scope)
    return lambda _method, _path: required


def _render_body(error: ProtocolError) -> bytes:
    return json.dumps({"error": error.error, "error_description": error.description}).encode("ascii")
