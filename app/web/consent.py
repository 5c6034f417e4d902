"""/consent: who asks, for what, at which API, for how long; and what the person decides."""

from urllib.parse import urlsplit

from flask import Flask, Response, request

from app.services.advance_authorization import (
    Prompt,
    decide_consent,
    deny_consent,
    pair_value,
    prepare_consent,
    required_pairs,
)
from app.services.client_registry import Client
from app.services.decide_interaction import asked_pairs, can_be_remembered
from app.services.issue_code import Duration
from app.services.log_in import current_sessions
from app.services.narrow_details import details_of_resources
from app.services.transactions import Transaction, is_csrf_token_of
from app.services.userinfo import userinfo_resource
from app.specs.protocol_error import InvalidRequest
from app.specs.rfc9396_details_types import DescribedDetail, describe_detail
from app.storage.consents import ConsentRow
from app.web.authorize import current_transaction, go_on
from app.web.pages import ConsentPage, ConsentResource, ConsentScope, render_consent
from app.web.site import ForgedForm, Site, read_form, read_query

DURATIONS: dict[str, Duration] = {"once": "once", "day": "day", "until_revoked": "until_revoked"}
IDENTITY_DESCRIPTIONS = {
    "openid": "Know that it is you, by an identifier of your account here",
    "profile": "See your name, picture and other details of your profile",
    "email": "See your e-mail address",
    "address": "See your postal address",
    "phone": "See your telephone number",
    "offline_access": "Keep this access while you are signed out",
}


def add_consent(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get("/consent")
    def consent_get() -> Response:
        transaction = current_transaction(site, read_query())
        sessions = current_sessions(site.deployment, site.cookies.read_browser(request))
        step = prepare_consent(site.deployment, transaction, sessions)
        if not isinstance(step, Prompt) or step.interaction.prompt != "consent":
            return go_on(site, transaction, step)
        return _show(site, transaction, step)

    @app.post("/consent")
    def consent_post() -> Response:
        site.check_own_form()
        form = read_form(repeatable=frozenset({"scope"}))
        transaction = current_transaction(site, form)
        if not is_csrf_token_of(transaction, form.get("csrf_token")):
            raise ForgedForm("the form was not made for this sign-in")
        sessions = current_sessions(site.deployment, site.cookies.read_browser(request))
        if form.get("decision") != "allow":
            # Whatever is not a clear yes is a no.
            raise deny_consent(site.deployment, transaction, sessions)
        duration = DURATIONS.get(form.get("duration") or "until_revoked")
        if duration is None:
            raise InvalidRequest("the duration is not one of those offered")
        step = decide_consent(site.deployment, transaction, sessions, ticked=form.get_all("scope"), duration=duration)
        return go_on(site, transaction, step)


def _show(site: Site, transaction: Transaction, prompt: Prompt) -> Response:
    about_person = [
        scope
        for resource, scope in _scopes(site, transaction, prompt.consents)
        if resource == userinfo_resource(site.deployment.issuer)
    ]
    page = ConsentPage(
        client=site.client_card(prompt.client, transaction.request),
        transaction=transaction.transaction_id,
        csrf_token=transaction.csrf_token,
        action=f"{site.base_path}/consent",
        username=prompt.session.username if prompt.session is not None else "",
        resources=_resources(site, transaction, prompt.client, prompt.consents),
        identity_scopes=tuple(scope for scope in about_person if scope.name != "offline_access"),
        offline_access=next((scope for scope in about_person if scope.name == "offline_access"), None),
        longest_offline=in_words(site.deployment.settings.refresh_token_absolute_lifetime_s),
        changed=bool(prompt.consents),
        can_be_remembered=can_be_remembered(prompt.client, transaction.request.redirect_uri),
    )
    return site.page(render_consent(page), has_form=True, leads_to_client=True)


def _resources(
    site: Site, transaction: Transaction, client: Client, consents: tuple[ConsentRow, ...]
) -> tuple[ConsentResource, ...]:
    resources = site.deployment.registry.resources()
    scopes = _scopes(site, transaction, consents)
    shown = []
    for asked in transaction.request.resources:
        resource = resources.find(asked.resource)
        if resource is None:
            raise InvalidRequest("the API that was asked for is no longer known here")
        lifetimes = [
            lifetime
            for lifetime in (
                resource.metadata.access_token_lifetime_s,
                client.metadata.policy.access_token_lifetime_s,
            )
            if lifetime is not None
        ]
        shown.append(
            ConsentResource(
                resource=asked.resource,
                resource_name=resource.name,
                host=urlsplit(asked.resource).netloc or asked.resource,
                details=_details(site, transaction, asked.resource),
                scopes=tuple(scope for owner, scope in scopes if owner == asked.resource),
                access_token_lifetime=in_words(
                    min(lifetimes, default=site.deployment.settings.access_token_lifetime_s)
                ),
            )
        )
    return tuple(shown)


def _details(site: Site, transaction: Transaction, resource: str) -> tuple[DescribedDetail, ...]:
    registry = site.deployment.registry
    types = registry.details_types()
    details = details_of_resources(registry, transaction.request).get(resource, ())
    return tuple(describe_detail(types.get(detail.type).definition, detail) for detail in details)


def _scopes(
    site: Site, transaction: Transaction, consents: tuple[ConsentRow, ...]
) -> tuple[tuple[str, ConsentScope], ...]:
    userinfo = userinfo_resource(site.deployment.issuer)
    pairs = asked_pairs(transaction.request, userinfo=userinfo)
    required = required_pairs(site.deployment, transaction.request)
    declined = {(row.resource, row.scope) for row in consents if row.decision == "declined"}
    resources = site.deployment.registry.resources()
    shown = []
    for pair in pairs:
        owner, name = pair
        if not name:
            continue
        resource = resources.find(owner)
        description = IDENTITY_DESCRIPTIONS[name] if owner == userinfo else ""
        if resource is not None:
            description = resource.descriptions.get(name, name)
        scope = ConsentScope(
            value=pair_value(pairs, pair),
            name=name,
            description=description,
            required=pair in required,
            checked=pair not in declined,
        )
        shown.append((owner, scope))
    return tuple(shown)


def in_words(seconds: int) -> str:
    """A lifetime as people say it."""
    if seconds >= 2 * 86_400:
        return f"{seconds // 86_400} days"
    if seconds % 60 or seconds < 60:
        return f"{seconds} seconds"
    minutes = seconds // 60
    return f"{minutes} {'minute' if minutes == 1 else 'minutes'}"
