"""/login/callback/NAME: back from another provider, each on the errand for which they left."""

from flask import Flask, Response, request

from app.services.identity_providers import Provider
from app.services.log_in import SecondFactorDue
from app.services.transactions import Pending
from app.services.upstream_accounts import AccountClosed, NoAccount
from app.services.upstream_identity import UpstreamIdentity
from app.services.upstream_logins import finish_login
from app.services.upstream_trip import Return, come_back, cookie_id_of
from app.specs.protocol_error import AccessDenied
from app.specs.strict_request import Parameters
from app.web.authorize import current_pending
from app.web.language import gettext
from app.web.linked_logins import finish_link
from app.web.login import arrival_of, let_in
from app.web.site import Site, read_query
from app.web.upstream import Turned, get_provider, identify, show_turned, way_to_login


def add_upstream_callback(app: Flask, site: Site) -> None:
    """Add the route."""

    @app.get("/login/callback/<name>")
    def callback(name: str) -> Response:
        provider = get_provider(site, name)
        parameters = read_query()
        returned = come_back(
            site.deployment, provider, parameters, lambda cookie_id: site.cookies.read_upstream(request, cookie_id)
        )
        finish = finish_link if returned.errand.purpose == "link" else _finish_login
        response = finish(site, provider, parameters, returned)
        site.cookies.forget_upstream(response, cookie_id_of(returned.digest))
        return response


def _finish_login(site: Site, provider: Provider, parameters: Parameters, returned: Return) -> Response:
    # Before the provider is asked anything: where nothing is waited for, nobody has to prove anything.
    pending = current_pending(site, Parameters.of({"transaction": returned.errand.transaction_id}))
    way = way_to_login(site, pending.transaction_id)
    try:
        identity = identify(site, provider, parameters, returned)
        return _let_in(site, provider, identity, returned, pending)
    except Turned as turned:
        return show_turned(site, turned, way)


def _let_in(site: Site, provider: Provider, identity: UpstreamIdentity, returned: Return, pending: Pending) -> Response:
    try:
        outcome = finish_login(site.deployment, provider, identity, returned, arrival_of(site, pending))
    except NoAccount as error:
        raise Turned(
            AccessDenied("the login belongs to no account here", detail=error.reason),
            _no_account_sentence(provider, error),
        ) from error
    except AccountClosed as error:
        raise Turned(
            AccessDenied("the account must not sign in"), gettext("This account cannot be used to sign in.")
        ) from error
    if isinstance(outcome, SecondFactorDue):
        return site.redirect(site.url(f"/second-factor?transaction={pending.transaction_id}"))
    return let_in(site, pending, outcome)


def _no_account_sentence(provider: Provider, error: NoAccount) -> str:
    name = provider.document.display_name
    if error.is_uninvited:
        return gettext(
            "The invitation is for another e-mail address than the one that %(name)s has verified, or it is over.",
            name=name,
        )
    if error.is_taken:
        return gettext(
            "There is an account here with the e-mail address that %(name)s gave, and it is not linked to %(name)s. "
            "Sign in to it in another way, and link %(name)s in your account then.",
            name=name,
        )
    return gettext(
        "No account here is linked to your account at %(name)s. If you have an account here, sign in to it in another "
        "way, and link %(name)s in your account then.",
        name=name,
    )
