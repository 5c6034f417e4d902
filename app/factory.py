"""Puts the parts together: the only place that knows every one of them."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask

from app.endpoints.backchannel_logout import backchannel_logout_endpoint
from app.endpoints.edge import Edge
from app.endpoints.health import livez, metrics_endpoint, readyz_endpoint
from app.endpoints.introspect import introspect_endpoint
from app.endpoints.public_documents import (
    CurrentDocument,
    current_jwks,
    current_metadata,
    document_endpoint,
    passkey_endpoints,
)
from app.endpoints.register import register_endpoint, registered_client_endpoint
from app.endpoints.revoke import revoke_endpoint
from app.endpoints.router import Endpoint, Endpoints
from app.endpoints.status_lists import current_aggregation, status_list_endpoint
from app.endpoints.token import token_endpoint
from app.endpoints.userinfo import userinfo_endpoint
from app.oauth.authorization_server import TokenServer
from app.services.ask_for_reset import RESET_ASKED, reset_asked_sender
from app.services.client_documents import ClientDocuments
from app.services.client_logo import ClientLogos
from app.services.clock import Clock, system_clock
from app.services.deployment import Deployment, open_deployment
from app.services.end_session import BACKCHANNEL_LOGOUT
from app.services.failpoints import Failpoint, no_failpoint
from app.services.housekeeping import Housekeeper
from app.services.limit_requests import RequestLimits
from app.services.notify_person import MAIL, sends_mail
from app.services.outbox import OutboxDispatcher, Sender
from app.services.send_logout_token import logout_token_sender
from app.services.send_mail import mail_sender
from app.services.sign_up import SIGN_UP_ASKED, sign_up_asked_sender
from app.services.status_lists import start_publishing
from app.services.write_log import configure_log
from app.settings import Settings, load_settings
from app.specs.rfc8414_metadata import well_known_paths
from app.web.account import add_account
from app.web.account_activity import add_account_activity
from app.web.account_applications import add_account_applications
from app.web.account_data import add_account_data
from app.web.account_email import add_account_email
from app.web.account_factors import add_account_factors
from app.web.account_password import add_account_password
from app.web.account_security import add_account_security
from app.web.account_sessions import add_account_sessions
from app.web.authorize import add_authorize
from app.web.check_session import add_check_session
from app.web.consent import add_consent
from app.web.cookies import Cookies
from app.web.errors import add_errors
from app.web.home import add_home
from app.web.invited import add_invited
from app.web.linked_logins import add_linked_logins
from app.web.login import add_login
from app.web.login_line import LoginLine
from app.web.logout import add_logout
from app.web.look import Looks
from app.web.mail_texts import mail_renderer
from app.web.pages import prepare_templates, render_busy
from app.web.passkey_sign_in import add_passkey_sign_in
from app.web.passkeys import add_passkeys
from app.web.reader_language import add_language
from app.web.reset import add_reset
from app.web.second_factor import add_second_factor
from app.web.select_account import add_select_account
from app.web.signup import add_signup
from app.web.site import Site
from app.web.upstream import add_upstream
from app.web.upstream_callback import add_upstream_callback

GET = frozenset({"GET", "HEAD"})
POST = frozenset({"POST"})


class Tokenhouse(Flask):
    """The application: Flask for people behind the door for programs; `deployment` and `close` for its host."""

    deployment: Deployment
    housekeeper: Housekeeper
    outbox: OutboxDispatcher

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No view is asynchronous, so none has to be looked at in every request."""
        return func

    def close(self) -> None:
        """End the threads, write what waits, close the database."""
        self.outbox.stop()
        self.housekeeper.stop()
        self.deployment.close()


def create_app(
    settings: Settings | None = None, *, clock: Clock = system_clock, failpoints: Failpoint = no_failpoint
) -> Tokenhouse:
    """The WSGI application of a deployment. Raises `SettingsError` or `DeploymentError`, both with readable text."""
    settings = load_settings() if settings is None else settings
    configure_log(settings.log_level)
    deployment = open_deployment(settings, clock=clock, failpoint=failpoints)
    start_publishing(deployment)
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url is not None else None
    limits = RequestLimits(redis_url=redis_url, is_enabled=settings.rate_limits != "off")
    app = Tokenhouse("app.web", template_folder="templates", static_folder=None)
    app.deployment = deployment
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    # An OPTIONS answer of Flask's own making would carry none of our headers; nobody asks a page for one.
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    # What a view did not expect goes on to the edge, which says that it is our fault; Flask would hand it to our
    # handler of refusals as an HTTP exception among others.
    app.config["PROPAGATE_EXCEPTIONS"] = True
    looks = Looks(settings.appearance, base_path=settings.issuer_path)
    prepare_templates(app, base_path=settings.issuer_path, server_name=settings.server_name, looks=looks)
    add_pages(app, deployment, limits, looks)
    documents = list_documents(deployment)
    endpoints = [
        endpoint
        for endpoint in list_endpoints(deployment, limits, documents)
        if endpoint.feature is None or endpoint.feature in settings.feature_names
    ]
    pages = LoginLine(
        app.wsgi_app,
        at_work=settings.password_hash_workers,
        waiting=settings.password_hash_queue,
        render=lambda sentence: _render_busy_page(app, sentence),
        issuer_is_https=settings.is_https,
    )
    programs = Endpoints(pages, deployment, limits, endpoints)
    routes = [*(endpoint.path for endpoint in endpoints), *(str(rule) for rule in app.url_map.iter_rules())]
    edge = Edge(programs, settings, known_routes=routes, documents=documents, access_log=deployment.log)
    app.wsgi_app = edge  # type: ignore[method-assign]
    app.housekeeper = Housekeeper(deployment)
    app.housekeeper.start()
    app.outbox = OutboxDispatcher(deployment, list_senders(deployment))
    app.outbox.start()
    return app


def _render_busy_page(app: Flask, sentence: str) -> str:
    with app.app_context():
        return render_busy(sentence)


def list_senders(deployment: Deployment) -> dict[str, Sender]:
    """Who delivers what is in the outbox, by the kind of the message."""
    senders = {BACKCHANNEL_LOGOUT: logout_token_sender(deployment, deployment.fetcher)}
    if sends_mail(deployment):
        render = mail_renderer(issuer=deployment.issuer, server_name=deployment.settings.server_name)
        senders[MAIL] = mail_sender(deployment, render)
        senders[RESET_ASKED] = reset_asked_sender(deployment)
    if deployment.settings.signup == "on":
        senders[SIGN_UP_ASKED] = sign_up_asked_sender(deployment)
    return senders


def add_pages(app: Flask, deployment: Deployment, limits: RequestLimits, looks: Looks) -> None:
    """The door of people."""
    enabled = deployment.settings.feature_names
    site = Site(
        deployment=deployment,
        limits=limits,
        logos=ClientLogos(deployment.fetcher, deployment.clock),
        documents=ClientDocuments(deployment, limits),
        cookies=Cookies.of_issuer(deployment.issuer, has_browser_state="session_management" in enabled),
        base_path=deployment.settings.issuer_path,
        looks=looks,
    )
    add_language(app)
    add_errors(app, site)
    add_home(app, site)
    add_authorize(app, site)
    add_login(app, site)
    add_second_factor(app, site)
    if "upstream_logins" in enabled:
        add_upstream(app, site)
        add_upstream_callback(app, site)
        add_linked_logins(app, site)
        add_invited(app, site)
    if deployment.settings.offers_passkeys:
        add_passkey_sign_in(app, site)
        add_passkeys(app, site)
    add_select_account(app, site)
    add_consent(app, site)
    add_account(app, site)
    add_account_activity(app, site)
    add_account_applications(app, site)
    add_account_data(app, site)
    add_account_sessions(app, site)
    add_account_security(app, site)
    add_account_password(app, site)
    add_account_factors(app, site)
    if sends_mail(deployment):
        add_reset(app, site)
        add_account_email(app, site)
    if deployment.settings.signup == "on":
        add_signup(app, site)
    if "session_management" in enabled:
        add_check_session(app, site)
    if "rp_initiated_logout" in enabled:
        add_logout(app, site)


def list_documents(deployment: Deployment) -> dict[str, CurrentDocument]:
    """What everybody may read, by path; the edge answers a plain GET of it by itself."""
    metadata = current_metadata(deployment)
    paths = {
        # Those beneath the issuer's path come without it: the edge takes it off.
        *(path for path in well_known_paths(deployment.issuer) if path.startswith("/.well-known/")),
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    }
    if "openid" not in deployment.settings.feature_names:
        paths = {path for path in paths if "openid-configuration" not in path}
    published = {"/jwks": current_jwks(deployment), "/status-lists": current_aggregation(deployment)}
    if deployment.settings.offers_passkeys and not deployment.settings.issuer_path:
        published["/.well-known/passkey-endpoints"] = passkey_endpoints(deployment)
    return {**published, **dict.fromkeys(sorted(paths), metadata)}


def list_endpoints(
    deployment: Deployment, limits: RequestLimits, documents: Mapping[str, CurrentDocument]
) -> list[Endpoint]:
    """The door of programs, as a table."""
    return [
        Endpoint(
            path="/token",
            methods=POST,
            handler=token_endpoint(TokenServer(deployment)),
            reads_form=True,
            has_cors=True,
        ),
        Endpoint(
            path="/revoke",
            methods=POST,
            handler=revoke_endpoint(deployment),
            reads_form=True,
            has_cors=True,
            feature="token_revocation",
        ),
        Endpoint(
            path="/backchannel-logout/",
            methods=POST,
            handler=backchannel_logout_endpoint(deployment),
            reads_form=True,
            feature="upstream_logins",
        ),
        # No page of a browser introspects: only clients that keep a secret may.
        Endpoint(
            path="/introspect",
            methods=POST,
            handler=introspect_endpoint(deployment),
            reads_form=True,
            feature="token_introspection",
        ),
        Endpoint(
            path="/userinfo",
            methods=GET | POST,
            handler=userinfo_endpoint(deployment),
            reads_form=True,
            has_cors=True,
            feature="openid",
        ),
        Endpoint(
            path="/register",
            methods=POST,
            handler=register_endpoint(deployment, limits),
            reads_json=True,
            has_cors=True,
            feature="client_registration",
        ),
        Endpoint(
            path="/register/",
            methods=frozenset({"GET", "PUT", "DELETE"}),
            handler=registered_client_endpoint(deployment, limits),
            reads_json=True,
            has_cors=True,
            feature="client_registration",
        ),
        *(
            Endpoint(path=path, methods=GET, handler=document_endpoint(current), has_cors=True, is_limited=False)
            for path, current in documents.items()
        ),
        Endpoint(
            path="/status-lists/",
            methods=GET,
            handler=status_list_endpoint(deployment),
            reads_query=True,
            has_cors=True,
            is_limited=False,
        ),
        Endpoint(path="/livez", methods=GET, handler=livez, is_limited=False),
        Endpoint(path="/readyz", methods=GET, handler=readyz_endpoint(deployment), is_limited=False),
        Endpoint(path="/metrics", methods=GET, handler=metrics_endpoint(deployment), is_limited=False),
    ]
