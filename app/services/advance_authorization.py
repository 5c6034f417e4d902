"""One step of an authorization: from what was asked and who is there to a code, a refusal, or a page to show."""

from dataclasses import dataclass

from app.services.authentication_context import requested_acr_values
from app.services.authorization_request import AuthorizationRequest
from app.services.choose_account import ChosenAccount, bound_session, choose_account
from app.services.client_registry import BrokenClient, Client
from app.services.decide_interaction import (
    Interaction,
    Situation,
    allowed_pairs,
    asked_pairs,
    covering_pair,
    decide_interaction,
    due_level,
    find_refusal,
)
from app.services.deployment import Deployment
from app.services.issue_code import Approval, Decision, Duration, decided_pairs, issue_code, record_denial
from app.services.limit_networks import check_choice, checks_networks, read_networks
from app.services.narrow_details import digest_requested
from app.services.requested_person import RequestedPerson, find_requested_person
from app.services.second_factors import find_factors
from app.services.transactions import Transaction
from app.services.userinfo import userinfo_resource
from app.services.validate_authorization_request import RedirectedError
from app.services.whereabouts import Whereabouts
from app.specs.protocol_error import AccessDenied, InvalidRequest, LoginRequired, ProtocolError
from app.specs.tokenhouse_networks import Networks
from app.storage.consents import ConsentRow, find_consents
from app.storage.database import Connection
from app.storage.sessions import SessionRow
from app.storage.transactions import bind_transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The authorization is finished: this goes to the redirect URI."""

    code: str
    request: AuthorizationRequest
    session: SessionRow

    def __repr__(self) -> str:
        return "Code(...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The person has something to do first."""

    interaction: Interaction
    client: Client
    session: SessionRow | None
    consents: tuple[ConsentRow, ...]


def advance(
    deployment: Deployment,
    request: AuthorizationRequest,
    sessions: tuple[SessionRow, ...],
    transaction: Transaction | None,
) -> Code | Prompt:
    """A code when nothing is left to do, else the next prompt. Raises `RedirectedError` or `ProtocolError`.

    Without a transaction (`/authorize` itself) nothing is stored unless a code is issued.
    """
    client = get_client(deployment, request)
    person = find_requested_person(deployment, client, request)
    account = choose_account(deployment, request, sessions, transaction, client_pk=client.pk, person=person)
    session = account.session
    check_hint(request, session)
    situation = _situation(deployment, request, client, account, transaction, person)
    check_can_answer(situation)
    interaction = decide_interaction(situation)
    if interaction is None and session is not None:
        allowed = (
            asked_pairs(request, userinfo=situation.userinfo)
            if client.metadata.policy.skip_consent
            else allowed_pairs(request, situation.consents, userinfo=situation.userinfo)
        )
        return _issue(
            deployment,
            request,
            client,
            account,
            session,
            allowed,
            decision=None,
            remembered_until=_end_of_memory(situation, allowed),
            transaction=transaction,
        )
    if interaction is None:
        raise AssertionError("nobody is logged in, and no prompt is due")
    if "none" in request.prompt:
        raise _redirected(request, interaction.as_error())
    return Prompt(interaction=interaction, client=client, session=session, consents=situation.consents)


def check_hint(request: AuthorizationRequest, session: SessionRow | None) -> None:
    """Raises `RedirectedError` where somebody else than the person whom `id_token_hint` names has come.

    OpenID Connect Core 3.1.2.2: "the Authorization Server MUST NOT reply with an ID Token or Access Token for a
    different user".
    """
    if request.hinted_user_id is not None and session is not None and session.user_id != request.hinted_user_id:
        raise _redirected(request, LoginRequired("somebody else has logged in than the id_token_hint names"))


def prepare_consent(
    deployment: Deployment, transaction: Transaction, sessions: tuple[SessionRow, ...]
) -> Code | Prompt:
    """What the consent page needs; from here on the transaction belongs to the person who sees the page."""
    step = advance(deployment, transaction.request, sessions, transaction)
    if isinstance(step, Prompt) and step.interaction.prompt == "consent" and transaction.session_id is None:
        session = step.session
        if session is not None:

            def bind(connection: Connection) -> None:
                bind_transaction(connection, transaction.transaction_id, session.session_id)

            deployment.database.transact(bind)
    return step


def ask_again(
    deployment: Deployment, transaction: Transaction, sessions: tuple[SessionRow, ...], *, reason: str
) -> Code | Prompt:
    """The consent page once more, for an answer that cannot be obeyed: nothing that is remembered answers instead."""
    client = get_client(deployment, transaction.request)
    person = find_requested_person(deployment, client, transaction.request)
    account = choose_account(deployment, transaction.request, sessions, transaction, client_pk=client.pk, person=person)
    if account.session is None:
        return advance(deployment, transaction.request, sessions, transaction)
    situation = _situation(deployment, transaction.request, client, account, transaction, person)
    return Prompt(
        interaction=Interaction(prompt="consent", reason=reason),
        client=client,
        session=account.session,
        consents=situation.consents,
    )


def decide_consent(
    deployment: Deployment,
    transaction: Transaction,
    sessions: tuple[SessionRow, ...],
    *,
    ticked: tuple[str, ...],
    duration: Duration,
    networks: Networks | None,
    origin: Whereabouts,
) -> Code | Prompt:
    """The person pressed Allow. What became due meanwhile, a login say, comes first; unticking everything is a no.

    Raises `UnusableNetworks` where they have to choose others.
    """
    request = transaction.request
    client = get_client(deployment, request)
    person = find_requested_person(deployment, client, request)
    account = choose_account(deployment, request, sessions, transaction, client_pk=client.pk, person=person)
    session = account.session
    check_hint(request, session)
    situation = _situation(deployment, request, client, account, transaction, person)
    check_can_answer(situation)
    interaction = decide_interaction(situation)
    if session is None or (interaction is not None and interaction.prompt != "consent"):
        return advance(deployment, request, sessions, transaction)
    required = required_pairs(deployment, request)
    try:
        allowed = decided_pairs(
            request,
            ticked_pairs(request, ticked, userinfo=situation.userinfo),
            required=required,
            userinfo=situation.userinfo,
        )
    except AccessDenied as error:
        record_denial(deployment, session, request, transaction.transaction_id, origin)
        raise _redirected(request, error) from error
    declined = frozenset(asked_pairs(request, userinfo=situation.userinfo)) - set(allowed)
    if networks is not None:
        check_networks_are_open(deployment, request, client, allowed, networks)
    decision = Decision(declined=declined, duration=duration, networks=networks, origin=origin)
    return _issue(
        deployment,
        request,
        client,
        account,
        session,
        allowed,
        decision=decision,
        remembered_until=None,
        transaction=transaction,
    )


def can_choose_networks(deployment: Deployment, request: AuthorizationRequest) -> bool:
    """Whether a choice of networks would be obeyed by everybody who gets a token."""
    resources = deployment.registry.resources()
    found = [resources.find(asked.resource) for asked in request.resources]
    return all(resource is not None and checks_networks(resource) for resource in found)


def check_networks_are_open(
    deployment: Deployment,
    request: AuthorizationRequest,
    client: Client,
    allowed: tuple[tuple[str, str], ...],
    networks: Networks,
) -> None:
    """Raises `UnusableNetworks` where the application could not be used from there, `InvalidRequest` where a choice
    would not be obeyed and was not offered.
    """
    if not can_choose_networks(deployment, request):
        raise InvalidRequest("networks cannot be chosen here: an API that is asked for does not check them")
    resources = deployment.registry.resources()
    found = [resources.find(resource) for resource in dict.fromkeys(resource for resource, _ in allowed)]
    check_choice(
        client,
        [resource for resource in found if resource is not None],
        requested=read_networks(request.networks),
        chosen=networks,
    )


def deny_consent(
    deployment: Deployment, transaction: Transaction, sessions: tuple[SessionRow, ...], origin: Whereabouts
) -> RedirectedError:
    """The person pressed Deny: the answer for the client, to be raised."""
    session = bound_session(sessions, transaction)
    if session is not None:
        record_denial(deployment, session, transaction.request, transaction.transaction_id, origin)
    return _redirected(transaction.request, AccessDenied("the person denied the request"))


def get_client(deployment: Deployment, request: AuthorizationRequest) -> Client:
    """The client as it is now. Raises `InvalidRequest` when it ended meanwhile."""
    try:
        client = deployment.registry.find_client(request.client_id)
    except BrokenClient as error:
        raise InvalidRequest("the client is not known here", detail=str(error)) from error
    if client is None or client.is_disabled or not client.owns_redirect_uri(request.redirect_uri):
        raise InvalidRequest("the client is not known here", detail="it was disabled or changed meanwhile")
    return client


def required_pairs(deployment: Deployment, request: AuthorizationRequest) -> frozenset[tuple[str, str]]:
    """What of a request cannot be unticked: who the person is, and what an API declares as required."""
    resources = deployment.registry.resources()
    required = {(userinfo_resource(deployment.issuer), "openid")}
    for asked in request.resources:
        resource = resources.find(asked.resource)
        if resource is not None:
            required |= {(asked.resource, scope) for scope in asked.scope if scope in resource.required}
        if not asked.scope:
            required.add((asked.resource, ""))
    return frozenset(required)


def pair_value(pairs: tuple[tuple[str, str], ...], pair: tuple[str, str]) -> str:
    """How a pair is named in the form: by its scope, and by the resource too where two resources share the name."""
    resource, scope = pair
    is_shared = sum(1 for _, other in pairs if other == scope) > 1
    return f"{scope} {resource}" if is_shared else scope


def ticked_pairs(
    request: AuthorizationRequest, ticked: tuple[str, ...], *, userinfo: str
) -> tuple[tuple[str, str], ...]:
    """The pairs that the form's values name; values that name nothing asked for are passed over."""
    pairs = asked_pairs(request, userinfo=userinfo)
    return tuple(pair for pair in pairs if pair_value(pairs, pair) in ticked)


def _situation(
    deployment: Deployment,
    request: AuthorizationRequest,
    client: Client,
    account: ChosenAccount,
    transaction: Transaction | None,
    person: RequestedPerson | None,
) -> Situation:
    now = deployment.clock()
    session = account.session
    consents: tuple[ConsentRow, ...] = ()
    if session is not None and not client.metadata.policy.skip_consent:
        with deployment.database.reading() as connection:
            consents = find_consents(connection, user_id=session.user_id, client_pk=client.pk, now=now)
    return Situation(
        request=request,
        client=client,
        account=account,
        consents=consents,
        details_digests=digest_requested(deployment.registry, request),
        began_at=transaction.began_at if transaction is not None else now,
        now=now,
        userinfo=userinfo_resource(deployment.issuer),
        acr_names=deployment.acr_names,
        reachable=_reachable(deployment, request, client, session),
        person=person,
    )


def _reachable(
    deployment: Deployment, request: AuthorizationRequest, client: Client, session: SessionRow | None
) -> frozenset[str]:
    # Nobody who is asked for no more than a password pays for a look at what else they have.
    is_asked = request.claims.acr is not None or requested_acr_values(request, client)
    if session is None or not is_asked:
        return frozenset()
    with deployment.database.reading() as connection:
        return find_factors(connection, session.user_id).levels


def due_level_of(
    deployment: Deployment, transaction: Transaction, sessions: tuple[SessionRow, ...]
) -> tuple[SessionRow, str] | None:
    """Whose login is to be made stronger, and to which level; None where that is not what is due."""
    client = get_client(deployment, transaction.request)
    person = find_requested_person(deployment, client, transaction.request)
    account = choose_account(deployment, transaction.request, sessions, transaction, client_pk=client.pk, person=person)
    situation = _situation(deployment, transaction.request, client, account, transaction, person)
    # A login that is due comes first: a second factor alone must not stand in for it (`prompt=login`, `max_age`).
    interaction = decide_interaction(situation)
    level = due_level(situation) if interaction is not None and interaction.prompt == "second_factor" else None
    return None if account.session is None or level is None else (account.session, level)


def check_can_answer(situation: Situation) -> None:
    """Raises `RedirectedError` where this person can give no answer that the client would take."""
    refusal = find_refusal(situation)
    if refusal is not None:
        raise _redirected(situation.request, refusal)


def _issue(
    deployment: Deployment,
    request: AuthorizationRequest,
    client: Client,
    account: ChosenAccount,
    session: SessionRow,
    allowed: tuple[tuple[str, str], ...],
    *,
    decision: Decision | None,
    remembered_until: int | None,
    transaction: Transaction | None,
) -> Code:
    approval = Approval(
        request=request,
        client=client,
        session=session,
        is_one_of_several=account.is_one_of_several,
        allowed=allowed,
        decision=decision,
        remembered_until=remembered_until,
        transaction_id=transaction.transaction_id if transaction is not None else None,
        userinfo=userinfo_resource(deployment.issuer),
        details_digests=digest_requested(deployment.registry, request),
    )
    return Code(code=issue_code(deployment, approval), request=request, session=session)


def _end_of_memory(situation: Situation, allowed: tuple[tuple[str, str], ...]) -> int | None:
    resting_on = {*allowed, *(covering_pair(pair, userinfo=situation.userinfo) for pair in allowed)}
    ends = (row.expires_at for row in situation.consents if (row.resource, row.scope) in resting_on)
    return min((end for end in ends if end is not None), default=None)


def _redirected(request: AuthorizationRequest, error: ProtocolError) -> RedirectedError:
    return RedirectedError(error, request.target)
