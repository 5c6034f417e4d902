"""WSGI: a middleware for any application or framework, and the request for those that call `admit` themselves."""

from collections.abc import Collection, Iterable
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from ..specs.rfc9068_access_token import AccessTokenClaims
from .access_token import AccessTokenVerifier
from .protected_resource import CLAIMS_KEY, Refusal, ScopeRule, admit, make_requirement_rule
from .requirement import Requirement
from .resource_request import ResourceRequest, encode_path


class TokenMiddleware:
    """Lets requests through that carry a token which verifies; the AccessTokenClaims are in the environ.

    `scope` is what every request needs, or a function of method and path (the path as the application sees it:
    decoded, with SCRIPT_NAME) that returns the needed scopes or a whole `require(...)`, or None where no token is
    needed. Name public paths exactly; a prefix or pattern may match more than what the application behind serves there.
    Answers the path of the protected-resource metadata (RFC 9728) itself.
    """

    def __init__(
        self,
        app: WSGIApplication,
        verifier: AccessTokenVerifier,
        *,
        scope: str | Collection[str] | Requirement | ScopeRule = (),
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._rule = make_requirement_rule(scope)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # PEP 3333 hands bytes over as latin-1.
        path = _get_path(environ).decode("utf-8", "replace")
        method = environ["REQUEST_METHOD"]
        published = self._verifier.published
        if path == published.path and method in ("GET", "HEAD"):
            start_response("200 OK", published.headers)
            return [published.body if method == "GET" else b""]
        requirement = self._rule(method, path)
        # An environ that comes with claims in it did not get them from here.
        environ.pop(CLAIMS_KEY, None)
        if requirement is not None:
            try:
                environ[CLAIMS_KEY] = admit(self._verifier, request_from_environ(environ), requirement)
            except Refusal as refusal:
                start_response(f"{refusal.status} {HTTPStatus(refusal.status).phrase}", refusal.headers)
                return [refusal.body]
        return self._app(environ, start_response)


def request_from_environ(environ: WSGIEnvironment) -> ResourceRequest:
    """Returns the request for `admit`: Django's `request.META` is such an environ, and Flask's `request.environ`."""
    return ResourceRequest(
        authorization=environ.get("HTTP_AUTHORIZATION"),
        dpop=environ.get("HTTP_DPOP"),
        method=environ["REQUEST_METHOD"],
        # Not in PEP 3333, but most servers have one of them.
        path=encode_path(_get_path(environ), environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""),
        peer=environ.get("REMOTE_ADDR", ""),
        forwarded_for=environ.get("HTTP_X_FORWARDED_FOR", ""),
    )


def get_claims(environ: WSGIEnvironment) -> AccessTokenClaims:
    """Returns the AccessTokenClaims of a request that came through TokenMiddleware; KeyError where it needed none."""
    claims: AccessTokenClaims = environ[CLAIMS_KEY]
    return claims


def _get_path(environ: WSGIEnvironment) -> bytes:
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    try:
        return path.encode("latin-1")
    except UnicodeEncodeError:  # not as PEP 3333 has it: somebody decoded it
        return path.encode("utf-8", "surrogateescape")
