"""Refusals for people: a redirect to the client where that is safe, else a page with a code and a way out."""

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as NotThisMethod

from app.services.hash_password import PasswordPoolBusy
from app.services.limit_guesses import TooManyAttempts
from app.services.refusals import record_refusal
from app.services.transactions import TransactionEnded
from app.services.validate_authorization_request import RedirectedError
from app.specs.protocol_error import (
    InvalidRequest,
    MethodNotAllowed,
    ProtocolError,
    TemporarilyUnavailable,
    TooManyRequests,
)
from app.specs.strict_request import check_header_size
from app.storage.database import DatabaseUnavailable
from app.web.authorization_response import send_error
from app.web.come_back import busy_sentence, too_many_sentence
from app.web.explain_error import explain
from app.web.language import gettext, ngettext
from app.web.pages import ErrorPage, render_error
from app.web.site import NotYet, Site, read_query, way_back

RETRY_AFTER_S = 2
# They issue codes, spend what another provider answered, or end a session: the protocol says that GET does.
_ACT_ON_GET = frozenset({"/authorize", "/authorize/resume", "/login/callback/<name>", "/logout"})


class NotFound(InvalidRequest):
    """There is no such page."""

    status = 404


def add_errors(app: Flask, site: Site) -> None:
    """Add the handlers."""

    @app.errorhandler(NotYet)
    def not_yet(first: NotYet) -> Response:
        """No refusal: the person does something else first."""
        return first.response

    @app.errorhandler(RedirectedError)
    def redirected(refusal: RedirectedError) -> Response:
        """For the client to handle, so it does not count against the peer."""
        return send_error(site, refusal, address=_address(), where=request.path)

    @app.errorhandler(ProtocolError)
    def refused(error: ProtocolError) -> Response:
        return _page(site, error)

    @app.errorhandler(DatabaseUnavailable)
    def unavailable(error: DatabaseUnavailable) -> Response:
        """Our own fault: it does not count against the peer, and nothing of the sign-in is lost."""
        come_back = {"Retry-After": str(RETRY_AFTER_S)}
        return _page(
            site,
            TemporarilyUnavailable("try again in a moment", detail=str(error), headers=come_back),
            counts_against_peer=False,
        )

    @app.errorhandler(TooManyAttempts)
    def too_many(error: TooManyAttempts) -> Response:
        """For pages that have no better place for the sentence. What was guessed is counted already."""
        come_back = {"Retry-After": str(error.retry_after_s)}
        refusal = TooManyRequests("too many attempts", detail=error.what, headers=come_back)
        return _page(site, refusal, sentence=too_many_sentence(error.retry_after_s), counts_against_peer=False)

    @app.errorhandler(PasswordPoolBusy)
    def busy(_error: PasswordPoolBusy) -> Response:
        refusal = TemporarilyUnavailable("try again in a moment", headers={"Retry-After": "1"})
        return _page(site, refusal, sentence=busy_sentence(), counts_against_peer=False)

    @app.errorhandler(HTTPException)
    def not_routed(error: HTTPException) -> Response:
        if error.code == 405:
            response = _page(site, MethodNotAllowed("this page is not opened this way"))
            response.headers["Allow"] = ", ".join(sorted(getattr(error, "valid_methods", None) or ["GET"]))
            return response
        if error.code == 404:
            return _page(site, NotFound("there is no such page"))
        return _page(site, InvalidRequest("the request cannot be read", detail=f"HTTP {error.code}"))

    @app.before_request
    def check_method() -> None:
        """RFC 9110 9.2.1: a HEAD changes nothing; what a GET of these would do has no harmless half."""
        rule = request.url_rule
        if request.method == "HEAD" and rule is not None and rule.rule in _ACT_ON_GET:
            raise NotThisMethod(valid_methods=sorted((rule.methods or set()) - {"HEAD"}))

    @app.before_request
    def check_size_and_limit() -> Response | None:
        check_header_size([value for name, value in request.environ.items() if name[:5] == "HTTP_"])
        retry_after_s = site.limits.retry_after_s(_address())
        if retry_after_s is None:
            return None
        sentence = ngettext(
            "Too many requests from your network were refused. Please try again in %(num)s second.",
            "Too many requests from your network were refused. Please try again in %(num)s seconds.",
            retry_after_s,
        )
        response = Response(sentence, status=429, content_type="text/plain")
        response.headers["Retry-After"] = str(retry_after_s)
        response.headers["Cache-Control"] = "no-store"
        return response


def _page(
    site: Site, error: ProtocolError, *, sentence: str | None = None, counts_against_peer: bool = True
) -> Response:
    address = _address()
    if counts_against_peer:
        site.limits.count_refusal(address)
    is_logout = request.path in ("/logout", "/logged-out")
    client_id = _named_client() if request.path == "/authorize" or is_logout else None
    incident = record_refusal(site.deployment, error, where=request.path, address=address, client_id=client_id)
    authorization_request = error.request if isinstance(error, TransactionEnded) else None
    client = None
    if authorization_request is not None:
        client = site.deployment.registry.find_readable_client(authorization_request.client_id)
    back_uri = way_back(client, authorization_request)
    back_label = None
    if is_logout and error.status < 500:
        # Whatever the application got wrong, the person came to log out.
        back_uri, back_label = f"{site.base_path}/logout", gettext("Log out here")
    html = render_error(
        ErrorPage(
            title=gettext("Logout error") if is_logout else gettext("Authorization error"),
            error=error.error,
            explanation=explain(error) if sentence is None else sentence,
            description=error.description,
            incident=incident,
            back_uri=back_uri,
            back_label=back_label,
            client_name=client.name if client is not None else None,
        )
    )
    response = site.page(html, status=error.status)
    response.headers.update(dict(error.headers))
    return response


def _named_client() -> str | None:
    """Whom the query names, believed for the audit trail only; nobody where it cannot be read."""
    try:
        return read_query().get("client_id")
    except InvalidRequest:
        return None


def _address() -> str:
    address: str = request.environ.get("REMOTE_ADDR", "")
    return address
