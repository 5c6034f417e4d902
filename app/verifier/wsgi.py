"""WSGI: a middleware for any application or framework."""

from collections.abc import Collection, Iterable
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from ..specs.rfc9068_access_token import AccessTokenClaims
from .access_token import AccessTokenVerifier
from .protected_resource import CLAIMS_KEY, Refusal, ScopeRule, admit, make_scope_rule


class TokenMiddleware:
    """Lets requests through that carry a token which verifies; the AccessTokenClaims are in the environ.

    `scope` is what every request needs, or a function of method and path (the path as the application sees it:
    decoded, with SCRIPT_NAME) that returns the needed scopes, or None where no token is needed. Name public paths
    exactly; a prefix or pattern may match more than what the application behind serves there.
    """

    def __init__(
        self, app: WSGIApplication, verifier: AccessTokenVerifier, *, scope: str | Collection[str] | ScopeRule = ()
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._scope_rule = make_scope_rule(scope)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        # PEP 3333 hands bytes over as latin-1.
        scope = self._scope_rule(environ["REQUEST_METHOD"], path.encode("latin-1").decode("utf-8", "replace"))
        # An environ that comes with claims in it did not get them from here.
        environ.pop(CLAIMS_KEY, None)
        if scope is not None:
            try:
                environ[CLAIMS_KEY] = admit(self._verifier, environ.get("HTTP_AUTHORIZATION"), scope=scope)
            except Refusal as refusal:
                start_response(f"{refusal.status} {HTTPStatus(refusal.status).phrase}", refusal.headers)
                return [refusal.body]
        return self._app(environ, start_response)


def get_claims(environ: WSGIEnvironment) -> AccessTokenClaims:
    """Returns the AccessTokenClaims of a request that came through TokenMiddleware; KeyError where it needed none."""
    claims: AccessTokenClaims = environ[CLAIMS_KEY]
    return claims
