"""/consent: who asks, for what, at which API, for how long; and what the person decides."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Flask, Response, request

from app.services.advance_authorization import (
    Prompt,
    advance,
    ask_again,
    can_choose_networks,
    decide_consent,
    deny_consent,
    pair_value,
    prepare_consent,
    required_pairs,
)
from app.services.begin_session import current_sessions
from app.services.client_registry import Client
from app.services.decide_interaction import asked_pairs, can_be_remembered, find_claim
from app.services.issue_code import Duration
from app.services.limit_networks import (
    UnusableNetworks,
    decide_grant_networks,
    find_address,
    parse_chosen_networks,
    read_networks,
)
from app.services.narrow_details import details_of_resources
from app.services.transactions import Transaction, account_csrf_token, is_account_csrf_token_of, is_csrf_token_of
from app.services.userinfo import userinfo_resource
from app.services.what_changed import Changes, find_changes
from app.specs.protocol_error import InvalidRequest
from app.specs.rfc9396_authorization_details import Details
from app.specs.rfc9396_details_types import DescribedDetail, describe_detail
from app.specs.tokenhouse_networks import format_networks
from app.storage.sessions import SessionRow
from app.web.authorize import current_transaction, go_on
from app.web.describe_identity import describe_identity
from app.web.describe_networks import describe_problem
from app.web.language import in_words
from app.web.pages import ConsentNetworks, ConsentPage, ConsentResource, ConsentScope, render_consent
from app.web.reader_language import heed_person
from app.web.site import ForgedForm, Site, find_whereabouts, read_form, read_query

DURATIONS: dict[str, Duration] = {"once": "once", "day": "day", "until_revoked": "until_revoked"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """A form that was filled in and cannot be obeyed: `problem` says why, and the rest is not to be typed again."""

    ticked: tuple[str, ...]
    duration: Duration
    network: str
    problem: UnusableNetworks


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
        sessions = current_sessions(site.deployment, site.cookies.read_browser(request))
        if not is_account_csrf_token_of(transaction, transaction.session_id, form.get("csrf_token")):
            if _is_from_our_page(transaction, sessions, form.get("csrf_token")):
                # The account was changed in another tab. What one person saw is not answered as another.
                return go_on(site, transaction, advance(site.deployment, transaction.request, sessions, transaction))
            raise ForgedForm("the form was not made for this sign-in")
        if form.get("decision") != "allow":
            # Whatever is not a clear yes is a no.
            raise deny_consent(site.deployment, transaction, sessions, find_whereabouts())
        duration = DURATIONS.get(form.get("duration") or "until_revoked")
        if duration is None:
            raise InvalidRequest("the duration is not one of those offered")
        try:
            networks = parse_chosen_networks(form.get("network"))
            step = decide_consent(
                site.deployment,
                transaction,
                sessions,
                ticked=form.get_all("scope"),
                duration=duration,
                networks=networks,
                origin=find_whereabouts(),
            )
        except UnusableNetworks as error:
            answers = Answers(
                ticked=form.get_all("scope"), duration=duration, network=form.get("network") or "", problem=error
            )
            return _ask_again(site, transaction, answers)
        return go_on(site, transaction, step)


def _is_from_our_page(transaction: Transaction, sessions: tuple[SessionRow, ...], csrf_token: str | None) -> bool:
    """Whether the form was ours in this transaction, for no account yet or for another one of this browser."""
    return is_csrf_token_of(transaction, csrf_token) or any(
        is_account_csrf_token_of(transaction, session.session_id, csrf_token) for session in sessions
    )


def _ask_again(site: Site, transaction: Transaction, answers: Answers) -> Response:
    sessions = current_sessions(site.deployment, site.cookies.read_browser(request))
    step = ask_again(site.deployment, transaction, sessions, reason=str(answers.problem))
    if not isinstance(step, Prompt) or step.interaction.prompt != "consent":
        return go_on(site, transaction, step)
    return _show(site, transaction, step, answers)


def _show(site: Site, transaction: Transaction, prompt: Prompt, answers: Answers | None = None) -> Response:
    session = prompt.session
    if session is None:
        raise AssertionError("nobody is logged in, and consent is asked for")
    heed_person(site.deployment, session)
    changes = find_changes(site.deployment, session, prompt.client, transaction.request, prompt.consents)
    scopes = _scopes(site, transaction, changes, answers)
    about_person = [scope for resource, scope in scopes if resource == userinfo_resource(site.deployment.issuer)]
    page = ConsentPage(
        client=site.client_card(prompt.client, transaction.request.redirect_uri),
        transaction=transaction.transaction_id,
        csrf_token=account_csrf_token(transaction, session.session_id),
        action=f"{site.base_path}/consent",
        username=session.username,
        other_account_url=f"{site.base_path}/select-account?transaction={transaction.transaction_id}",
        resources=_resources(site, transaction, prompt.client, scopes, changes),
        identity_scopes=tuple(scope for scope in about_person if scope.name != "offline_access"),
        offline_access=next((scope for scope in about_person if scope.name == "offline_access"), None),
        longest_offline=in_words(site.deployment.settings.refresh_token_absolute_lifetime_s),
        duration="until_revoked" if answers is None else answers.duration,
        asks_more=bool(changes.new or changes.other_details),
        earlier_name=changes.earlier_name,
        has_other_logo=changes.has_other_logo,
        is_other_client=changes.is_other_client,
        can_be_remembered=can_be_remembered(prompt.client, transaction.request.redirect_uri),
        networks=_networks(site, transaction, prompt.client, answers),
    )
    return site.page(render_consent(page), has_form=True, leads_to_client=True)


def _networks(site: Site, transaction: Transaction, client: Client, answers: Answers | None) -> ConsentNetworks:
    limit = decide_grant_networks(client, read_networks(transaction.request.networks), None)
    address = request.environ.get("REMOTE_ADDR", "")
    return ConsentNetworks(
        can_choose=can_choose_networks(site.deployment, transaction.request),
        limit=None if limit is None else ", ".join(format_networks(limit)),
        here=find_address(address),
        entered="" if answers is None else answers.network,
        error=None if answers is None else describe_problem(answers.problem),
    )


def _resources(
    site: Site,
    transaction: Transaction,
    client: Client,
    scopes: tuple[tuple[str, ConsentScope], ...],
    changes: Changes,
) -> tuple[ConsentResource, ...]:
    resources = site.deployment.registry.resources()
    requested = details_of_resources(site.deployment.registry, transaction.request)
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
                details=_describe(site, requested.get(asked.resource, ())),
                has_other_details=asked.resource in changes.other_details,
                earlier_details=_describe(site, changes.earlier_details.get(asked.resource, ())),
                scopes=tuple(scope for owner, scope in scopes if owner == asked.resource),
                access_token_lifetime=in_words(
                    min(lifetimes, default=site.deployment.settings.access_token_lifetime_s)
                ),
            )
        )
    return tuple(shown)


def _describe(site: Site, details: Details) -> tuple[DescribedDetail, ...]:
    types = site.deployment.registry.details_types()
    return tuple(describe_detail(types.get(detail.type).definition, detail) for detail in details)


def _scopes(
    site: Site, transaction: Transaction, changes: Changes, answers: Answers | None
) -> tuple[tuple[str, ConsentScope], ...]:
    userinfo = userinfo_resource(site.deployment.issuer)
    pairs = asked_pairs(transaction.request, userinfo=userinfo)
    required = required_pairs(site.deployment, transaction.request)
    resources = site.deployment.registry.resources()
    shown = []
    for pair in pairs:
        owner, name = pair
        if not name:
            continue
        resource = resources.find(owner)
        description = describe_identity(name) if owner == userinfo else ""
        if resource is not None:
            description = resource.descriptions.get(name, name)
        value = pair_value(pairs, pair)
        scope = ConsentScope(
            value=value,
            name=find_claim(pair) or name if owner == userinfo else name,
            description=description,
            required=pair in required,
            checked=pair not in changes.declined if answers is None else value in answers.ticked,
            is_new=pair in changes.new,
            was_declined=pair in changes.declined,
        )
        shown.append((owner, scope))
    return tuple(shown)
