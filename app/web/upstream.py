"""/login/with/NAME: away to another provider; and what everybody meets who comes back from one."""

from dataclasses import dataclass

from flask import Flask, Response, request

from app.services.identity_providers import Provider, find_provider
from app.services.refusals import record_refusal
from app.services.upstream_channel import ProviderUnavailable
from app.services.upstream_identity import UpstreamIdentity, UpstreamRefused, fetch_identity, find_endpoints
from app.services.upstream_logins import demanded_max_age_s
from app.services.upstream_trip import Errand, Return, depart
from app.specs.oidc_relying_party import ErrorAnswer, InvalidAnswer, read_authentication_response
from app.specs.protocol_error import AccessDenied, InvalidRequest, ProtocolError, TemporarilyUnavailable
from app.specs.strict_request import Parameters
from app.web.authorize import current_pending, read_pending_form
from app.web.errors import NotFound
from app.web.language import gettext
from app.web.login import client_of
from app.web.pages import ErrorPage, ProviderButton, render_error
from app.web.site import Site, read_query
from app.web.upstream_pages import ContinuePage, render_continue

RETRY_AFTER_S = 10


@dataclass(frozen=True, slots=True)
class Way:
    """A way back for who did not get on: a path of ours, and what it is called."""

    path: str
    label: str


class Turned(Exception):
    """A person whom a provider has sent back cannot go on; they read why, and which way leads out."""

    def __init__(self, error: ProtocolError, sentence: str) -> None:
        super().__init__(error.description)
        self.error = error
        self.sentence = sentence


def add_upstream(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get("/login/with/<name>")
    def continue_get(name: str) -> Response:
        provider = _get_open(site, name)
        pending = current_pending(site, read_query())
        page = ContinuePage(
            client=client_of(site, pending),
            transaction=pending.transaction_id,
            csrf_token=pending.csrf_token,
            provider=ProviderButton(
                name=name,
                display_name=provider.document.display_name,
                action=f"{site.base_path}/login/with/{name}",
            ),
            login_url=way_to_login(site, pending.transaction_id).path,
        )
        return site.page(render_continue(page), has_form=True, leads_to_client=True)

    @app.post("/login/with/<name>")
    def continue_post(name: str) -> Response:
        _form, pending = read_pending_form(site)
        provider = _get_open(site, name)
        client_of(site, pending)
        errand = Errand(purpose="login", transaction_id=pending.transaction_id, max_age_s=demanded_max_age_s(pending))
        return send_away(site, provider, errand, way_to_login(site, pending.transaction_id))


def send_away(site: Site, provider: Provider, errand: Errand, way: Way) -> Response:
    """To the provider, with a cookie by which this browser is known again; or a page that says why not."""
    if errand.max_age_s is not None and provider.document.kind == "oauth":
        sentence = gettext(
            "%(name)s cannot tell when you signed in there, and a new sign-in is asked for. Please sign in in another "
            "way.",
            name=provider.document.display_name,
        )
        return show_turned(site, Turned(AccessDenied("the provider knows no auth_time"), sentence), way)
    try:
        with site.deployment.provider_channels.open(provider.id) as channel:
            endpoints = find_endpoints(site.deployment, provider, channel)
    except ProviderUnavailable as error:
        return show_turned(site, _unavailable(provider, error), way)
    departure = depart(site.deployment, provider, endpoints, errand)
    response = site.redirect(departure.url)
    site.cookies.set_upstream(request, response, departure.cookie_id, departure.cookie_secret)
    return response


def identify(site: Site, provider: Provider, parameters: Parameters, returned: Return) -> UpstreamIdentity:
    """Who has come back. Raises `Turned`."""
    name = provider.document.display_name
    if provider.is_disabled:
        raise Turned(
            AccessDenied("the provider is disabled"),
            gettext("Signing in with %(name)s is switched off here.", name=name),
        )
    try:
        with site.deployment.provider_channels.open(provider.id) as channel:
            endpoints = find_endpoints(site.deployment, provider, channel)
            sends_iss = endpoints.metadata is not None and endpoints.metadata.sends_iss
            answer = read_authentication_response(parameters, issuer=provider.identity, sends_iss=sends_iss)
            if isinstance(answer, ErrorAnswer):
                raise _refused_there(provider, answer)
            return fetch_identity(site.deployment, provider, endpoints, returned.sent, answer.code, channel)
    except ProviderUnavailable as error:
        raise _unavailable(provider, error) from error
    except (InvalidAnswer, UpstreamRefused) as error:
        raise Turned(
            AccessDenied("what the provider answered does not prove who has come", detail=str(error)),
            gettext("What %(name)s answered does not prove who you are. Please try again.", name=name),
        ) from error


def show_turned(site: Site, turned: Turned, way: Way) -> Response:
    """The page for whoever cannot go on: nothing is lost, and one way leads out."""
    address = request.environ.get("REMOTE_ADDR", "")
    incident = record_refusal(site.deployment, turned.error, where=request.path, address=address)
    html = render_error(
        ErrorPage(
            title=gettext("Authorization error"),
            error=turned.error.error,
            explanation=turned.sentence,
            description=turned.error.description,
            incident=incident,
            back_uri=way.path,
            back_label=way.label,
        )
    )
    response = site.page(html, status=turned.error.status)
    response.headers.update(dict(turned.error.headers))
    return response


def way_to_login(site: Site, transaction_id: str) -> Way:
    """Back to the other ways to sign in, with the same request."""
    return Way(f"{site.base_path}/login?transaction={transaction_id}", gettext("Sign in in another way"))


def _refused_there(provider: Provider, answer: ErrorAnswer) -> Turned:
    name = provider.document.display_name
    if answer.error == "access_denied":
        sentence = gettext("You did not sign in at %(name)s, or did not allow it.", name=name)
    else:
        sentence = gettext("%(name)s could not sign you in.", name=name)
    # No word of the provider's is shown or repeated but its code, and that only to the operator.
    return Turned(AccessDenied("the provider answered with an error", detail=answer.error), sentence)


def _unavailable(provider: Provider, error: ProviderUnavailable) -> Turned:
    sentence = gettext(
        "%(name)s cannot be reached just now. Please try again in a moment, or sign in in another way.",
        name=provider.document.display_name,
    )
    come_again = {"Retry-After": str(RETRY_AFTER_S)}
    return Turned(
        TemporarilyUnavailable("the provider cannot be reached", detail=error.reason, headers=come_again), sentence
    )


def get_provider(site: Site, name: str) -> Provider:
    """The provider of a path, a disabled one too. Raises `NotFound`."""
    provider = find_provider(site.deployment, name)
    if provider is None:
        raise NotFound("there is no such page")
    return provider


def _get_open(site: Site, name: str) -> Provider:
    provider = get_provider(site, name)
    if not provider.lets_in:
        raise InvalidRequest("nobody signs in by this provider here")
    return provider
