"""GET and POST /authorize, and the hop on our own origin from which a pending transaction goes on.

A GET that arrives with the browser's cookie is decided at once, and a code may leave with this very answer. Everything
else is stored as a transaction and goes on at `/authorize/resume`: a cross-site POST carries no SameSite=Lax cookie,
so what it says about the session would be wrong.
"""

from flask import Flask, Response, request

from app.services.advance_authorization import Code, Prompt, advance
from app.services.advance_visit import Arrived, VisitPrompt, advance_visit
from app.services.authorization_request import AuthorizationRequest
from app.services.begin_session import current_sessions
from app.services.decide_interaction import PromptName
from app.services.id_token_hint import find_user_to_continue
from app.services.open_request_object import OpenedOnce
from app.services.transactions import (
    OwnPage,
    Transaction,
    TransactionEnded,
    Visit,
    begin_transaction,
    begin_visit,
    is_csrf_token_of,
    resume_pending,
)
from app.services.userinfo import userinfo_resource
from app.services.validate_authorization_request import RedirectedError, validate_authorization_request
from app.specs.protocol_error import InvalidAuthorizationDetails, InvalidRequest, InvalidScope, InvalidTarget
from app.specs.strict_request import Parameters
from app.web.authorization_response import send_code
from app.web.reader_language import heed_application
from app.web.site import ForgedForm, Site, read_form, read_query


def add_authorize(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get("/authorize")
    def authorize_get() -> Response:
        authorization_request = _validate(site, read_query())
        sessions = current_sessions(site.deployment, site.cookies.read_browser(request))
        step = advance(site.deployment, authorization_request, sessions, None)
        if isinstance(step, Code):
            return send_code(site, step)
        return _store(site, authorization_request, prompt=step.interaction.prompt)

    @app.post("/authorize")
    def authorize_post() -> Response:
        # OpenID Connect Core 3.1.2.1 lets any site post here, so there is no CSRF token: nothing is decided yet.
        return _store(site, _validate(site, read_form()), prompt=None)

    @app.get("/authorize/resume")
    def authorize_resume() -> Response:
        pending = current_pending(site, read_query())
        sessions = current_sessions(site.deployment, site.cookies.read_browser(request))
        if isinstance(pending, Visit):
            return _go_on_visit(site, pending, advance_visit(site.deployment, pending, sessions))
        return go_on(site, pending, advance(site.deployment, pending.request, sessions, pending))


def current_transaction(site: Site, parameters: Parameters) -> Transaction:
    """As `current_pending`, where only a client's request can be answered."""
    return get_transaction(current_pending(site, parameters))


def get_transaction(pending: Transaction | Visit) -> Transaction:
    """What a client asked. Raises `InvalidRequest` for a visit to a page of ours."""
    if isinstance(pending, Visit):
        raise InvalidRequest("nothing was asked that could be answered here")
    return pending


def read_pending_form(site: Site) -> tuple[Parameters, Transaction | Visit]:
    """A form of a sign-in: ours, made in this browser for what it names. Raises `ProtocolError`."""
    site.check_own_form()
    form = read_form()
    pending = current_pending(site, form)
    if not is_csrf_token_of(pending, form.get("csrf_token")):
        raise ForgedForm("the form was not made for this sign-in")
    return form, pending


def current_pending(site: Site, parameters: Parameters) -> Transaction | Visit:
    """The transaction or visit that the parameters name, if this browser began it. Raises `ProtocolError`."""
    transaction_id = parameters.get("transaction") or ""
    secret = site.cookies.read_transaction(request, transaction_id)
    try:
        pending = resume_pending(site.deployment, transaction_id, secret)
    except TransactionEnded as ended:
        heed_application(() if ended.request is None else ended.request.ui_locales)
        raise
    if isinstance(pending, Transaction):
        heed_application(pending.request.ui_locales)
    return pending


def send_to_sign_in(site: Site, page: OwnPage, prompt: VisitPrompt) -> Response:
    """Away from a page of ours, to what the person has to do first; they come back to it by themselves."""
    visit, secret = begin_visit(site.deployment, page)
    response = site.redirect(site.url(f"{path_of(prompt)}?transaction={visit.transaction_id}"))
    site.cookies.set_transaction(request, response, visit.transaction_id, secret)
    return response


def _go_on_visit(site: Site, visit: Visit, step: Arrived | VisitPrompt) -> Response:
    if isinstance(step, Arrived):
        return site.redirect(site.url(visit.page.path))
    return site.redirect(site.url(f"{path_of(step)}?transaction={visit.transaction_id}"))


def go_on(site: Site, transaction: Transaction, step: Code | Prompt) -> Response:
    """The redirect to the client, or to the page that is due."""
    if isinstance(step, Code):
        return send_code(site, step)
    return site.redirect(site.url(f"{path_of(step.interaction.prompt)}?transaction={transaction.transaction_id}"))


def _validate(site: Site, parameters: Parameters) -> AuthorizationRequest:
    registry = site.deployment.registry
    site.deployment.notice_changes()

    opened = OpenedOnce(site.deployment, address=request.environ.get("REMOTE_ADDR", ""))

    def validate() -> AuthorizationRequest:
        return validate_authorization_request(
            parameters,
            find_client=site.find_client,
            open_request_object=opened.open,
            resources=registry.resources(),
            details_types=registry.details_types(),
            profile=site.deployment.profile,
            features=site.deployment.settings.feature_names,
            userinfo=userinfo_resource(site.deployment.issuer),
            find_hinted_user=lambda client, hint: find_user_to_continue(site.deployment, client, hint),
        )

    generation = registry.generation
    try:
        return validate()
    except RedirectedError as refusal:
        if not isinstance(refusal.error, InvalidTarget | InvalidScope | InvalidAuthorizationDetails):
            raise
        # A resource, a scope or a type that is not known may have been added a moment ago: look before saying no.
        site.deployment.notice_changes(at_once=True)
        if registry.generation == generation:
            raise
        return validate()


def path_of(prompt: PromptName) -> str:
    return "/" + prompt.replace("_", "-")


def _store(site: Site, authorization_request: AuthorizationRequest, *, prompt: PromptName | None) -> Response:
    transaction, secret = begin_transaction(site.deployment, authorization_request)
    path = "/authorize/resume" if prompt is None else path_of(prompt)
    response = site.redirect(site.url(f"{path}?transaction={transaction.transaction_id}"))
    site.cookies.set_transaction(request, response, transaction.transaction_id, secret)
    return response
