"""The end of an authorization: consent remembered, grant and code written, all in one transaction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from app.services.authentication_context import choose_acr, requested_acr_values
from app.services.authorization_request import AuthorizationRequest
from app.services.client_registry import Client
from app.services.decide_interaction import asked_pairs, client_identity, find_claim, is_claim
from app.services.deployment import Deployment
from app.services.grant_snapshot import GrantSnapshot, RefreshKind
from app.services.identifiers import new_grant_id, new_sid
from app.services.limit_networks import decide_grant_networks, read_networks
from app.services.mint_secret import mint_secret
from app.services.narrow_details import belongs_to, read_details
from app.services.record_event import Event
from app.services.rotate_keys import LONGEST_TOKEN_LIFETIME_MS
from app.services.subjects import get_client_subject
from app.services.what_changed import client_as_shown
from app.services.whereabouts import Whereabouts
from app.specs.protocol_error import AccessDenied, InvalidRequest
from app.specs.rfc9396_authorization_details import details_claim
from app.specs.tokenhouse_networks import Networks, format_networks
from app.storage.accounts import touch_session_client
from app.storage.consents import ConsentRow, remember_consents
from app.storage.database import Connection
from app.storage.grants import GrantRow, insert_code, insert_grant, lock_live_session
from app.storage.sessions import SessionRow, find_or_insert_sid, touch_session
from app.storage.single_use import redeem_once

Duration = Literal["once", "day", "until_revoked"]
DAY_MS = 86_400_000
LONGEST_TRUST_IN_A_DOCUMENT_MS = 90 * DAY_MS
_TOUCH_EVERY_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the person chose on the consent page. `declined`: (resource, scope) pairs that were unticked.

    `networks`: from where they let it be used, None for anywhere. `origin`: from where they said so.
    """

    declined: frozenset[tuple[str, str]]
    duration: Duration
    networks: Networks | None
    origin: Whereabouts


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Who approved what; whose session is `is_one_of_several` where their browser holds others too.

    `decision` is None where nothing was asked; `allowed` then comes from memory.

    `remembered_until`: when the first of the remembered decisions that it rests on ends; None for never.
    `details_digests`: of the authorization details that are asked for, by resource.
    """

    request: AuthorizationRequest
    client: Client
    session: SessionRow
    is_one_of_several: bool
    allowed: tuple[tuple[str, str], ...]
    decision: Decision | None
    remembered_until: int | None
    transaction_id: str | None
    userinfo: str
    details_digests: Mapping[str, bytes]


def decided_pairs(
    request: AuthorizationRequest,
    ticked: Iterable[tuple[str, str]],
    *,
    required: frozenset[tuple[str, str]],
    userinfo: str,
) -> tuple[tuple[str, str], ...]:
    """What is allowed of what was asked: the ticked and the required; nothing that was not asked comes in.

    Raises `AccessDenied` when all that can be unticked was.
    """
    asked = asked_pairs(request, userinfo=userinfo)
    chosen = set(ticked)
    allowed = tuple(pair for pair in asked if pair in chosen or pair in required)
    # Whether it lasts after a sign-out is no permission by itself: unticking that alone is no refusal of the rest.
    optional = [pair for pair in asked if pair not in required and pair[1] != "offline_access"]
    if optional and not chosen.intersection(optional):
        raise AccessDenied("the person allowed nothing of what was asked")
    return allowed


def issue_code(deployment: Deployment, approval: Approval) -> str:
    """A new authorization code, to be sent to the request's redirect URI.

    Spends the transaction: of two decisions sent at once one is obeyed. Raises `AccessDenied` when session, user or
    client ended meanwhile, `InvalidRequest` when the transaction was over.
    """
    now = deployment.clock()
    code = mint_secret("ac")
    digest, digest_key_id = deployment.seals.digest("ac", code)
    grant_id = new_grant_id()
    request, session = approval.request, approval.session
    duration = _duration(approval, now)
    refresh_tokens = _refresh_kind(approval, duration)
    # Before the transaction: the first one of a sector is written.
    client_subject = get_client_subject(deployment, approval.client, session.sub)

    def write(connection: Connection) -> None:
        deployment.failpoint("authorize.before_redeem")
        if approval.transaction_id is not None and not redeem_once(
            connection, "authorization_transactions", approval.transaction_id, now=now
        ):
            raise InvalidRequest("this sign-in has been finished already")
        live = lock_live_session(connection, session_id=session.session_id, client_pk=approval.client.pk, now=now)
        if live is None:
            raise AccessDenied("the session has ended")
        sid = live.sid or find_or_insert_sid(
            connection,
            session_id=session.session_id,
            client_pk=approval.client.pk,
            sid=new_sid(),
            client_subject=client_subject,
            now=now,
        )
        if live.sid is not None and approval.is_one_of_several:
            touch_session_client(connection, session_id=session.session_id, client_pk=approval.client.pk, now=now)
        if now - session.last_used_at > _TOUCH_EVERY_MS:
            touch_session(connection, session.session_id, now=now)
        if approval.decision is not None:
            _remember(connection, approval, approval.decision, now=now)
        insert_grant(
            connection,
            GrantRow(
                grant_id=grant_id,
                user_id=session.user_id,
                client_pk=approval.client.pk,
                # An offline grant outlives the session that it began in.
                session_id=None if refresh_tokens == "offline" else session.session_id,
                parent_grant_id=None,
                snapshot=replace(
                    _snapshot(deployment, approval, sid, refresh_tokens),
                    client_subject=None if client_subject == session.sub else client_subject,
                ).to_document(),
                duration=duration,
                policy_version=approval.client.policy_version,
                created_at=now,
                expires_at=_grant_expiry(
                    deployment, approval, refresh_tokens, session_expires_at=live.expires_at, now=now
                ),
                revoked_at=None,
            ),
        )
        insert_code(
            connection,
            digest=digest,
            digest_key_id=digest_key_id,
            grant_id=grant_id,
            request=_code_request(approval),
            now=now,
            expires_at=now + deployment.settings.authorization_code_lifetime_s * 1000,
        )
        deployment.recorder.record(
            connection,
            Event(
                type="grant.created",
                actor="user",
                sub=session.sub,
                client_id=request.client_id,
                grant_id=grant_id,
                body={
                    "allowed": [list(pair) for pair in approval.allowed],
                    "duration": duration,
                    "refresh_tokens": refresh_tokens,
                    "asked": approval.decision is not None,
                    # The operator answered for the person, who was shown nothing: their history says so.
                    "skipped_by_policy": approval.client.metadata.policy.skip_consent and approval.decision is None,
                    # The types alone: what details hold is the grant's, which ends and leaves, as an event does not.
                    "authorization_details": [detail["type"] for detail in request.authorization_details],
                },
                personal={} if approval.decision is None else approval.decision.origin.personal,
            ),
        )

    deployment.database.transact(write)
    return code


def record_denial(
    deployment: Deployment,
    approval_of: SessionRow,
    request: AuthorizationRequest,
    transaction_id: str,
    origin: Whereabouts,
) -> None:
    """The person said no: the transaction is over, and nothing is remembered but the event."""
    now = deployment.clock()

    def write(connection: Connection) -> None:
        if not redeem_once(connection, "authorization_transactions", transaction_id, now=now):
            raise InvalidRequest("this sign-in has been finished already")
        event = Event(
            type="consent.denied",
            actor="user",
            sub=approval_of.sub,
            client_id=request.client_id,
            personal=origin.personal,
        )
        deployment.recorder.record(connection, event)

    deployment.database.transact(write)


def _remember(connection: Connection, approval: Approval, decision: Decision, *, now: int) -> None:
    # The memory knows no networks: an answer that holds for some must not give more the next time, unasked.
    if decision.duration == "once" or decision.networks is not None:
        return
    expires_at = now + DAY_MS if decision.duration == "day" else _end_of_trust(approval, now)
    allowed = set(approval.allowed)
    remember_consents(
        connection,
        [
            ConsentRow(
                resource=resource,
                scope=scope,
                decision="allowed" if (resource, scope) in allowed else "declined",
                policy_version=approval.client.policy_version,
                expires_at=expires_at,
                details_digest=approval.details_digests.get(resource),
                client_identity_digest=client_identity(approval.client, approval.request.redirect_uri),
                client_shown=client_as_shown(approval.client),
            )
            for resource, scope in asked_pairs(approval.request, userinfo=approval.userinfo)
        ],
        user_id=approval.session.user_id,
        client_pk=approval.client.pk,
        now=now,
    )


def _end_of_trust(approval: Approval, now: int) -> int | None:
    """Until when an answer can count at all: who buys an expired domain must not inherit what was said to its owner."""
    return now + LONGEST_TRUST_IN_A_DOCUMENT_MS if approval.client.is_document else None


def _snapshot(
    deployment: Deployment, approval: Approval, sid: str, refresh_tokens: RefreshKind | None
) -> GrantSnapshot:
    scope: dict[str, list[str]] = {}
    claims = approval.request.claims
    allowed_claims = tuple(find_claim(pair) or "" for pair in approval.allowed if is_claim(pair, approval.userinfo))
    for resource, name in approval.allowed:
        if name == "offline_access" or is_claim((resource, name), approval.userinfo):
            continue
        names = scope.setdefault(resource, [])
        if name:
            names.append(name)
    event = approval.session.events[0]
    networks = decide_grant_networks(
        approval.client,
        read_networks(approval.request.networks),
        None if approval.decision is None else approval.decision.networks,
    )
    return GrantSnapshot(
        scope={resource: tuple(names) for resource, names in scope.items()},
        auth_time_s=event.at // 1000,
        acr=choose_acr(deployment.acr_names, event.level, requested_acr_values(approval.request, approval.client)),
        amr=tuple(sorted(event.method.split())),
        sid=sid,
        access_token_lifetime_s=approval.request.access_token_lifetime_s,
        refresh_tokens=refresh_tokens,
        networks=() if networks is None else tuple(format_networks(networks)),
        authorization_details=_allowed_details(deployment, approval, scope),
        claims=claims,
        allowed_claims=allowed_claims,
        claims_locales=approval.request.claims_locales if claims.names else (),
    )


def _allowed_details(
    deployment: Deployment, approval: Approval, resources: Iterable[str]
) -> tuple[Mapping[str, Any], ...]:
    """Those of the resources that were allowed: who unticked all of an API has not allowed its details either."""
    types, registered = deployment.registry.details_types(), deployment.registry.resources()
    details = read_details(approval.request.authorization_details)
    return tuple(
        details_claim(
            tuple(
                detail
                for detail in details
                if any(belongs_to(detail, resource, types=types, resources=registered) for resource in resources)
            )
        )
    )


def _refresh_kind(approval: Approval, duration: Duration) -> RefreshKind | None:
    if duration == "once" or "refresh_token" not in approval.client.metadata.grant_types:
        return None
    is_offline = (approval.userinfo, "offline_access") in approval.allowed
    return "offline" if is_offline else "online"


def _duration(approval: Approval, now: int) -> Duration:
    if approval.decision is not None:
        return approval.decision.duration
    is_for_long = approval.remembered_until is None or approval.remembered_until > now + DAY_MS
    return "until_revoked" if is_for_long else "day"


def _grant_expiry(
    deployment: Deployment,
    approval: Approval,
    refresh_tokens: RefreshKind | None,
    *,
    session_expires_at: int,
    now: int,
) -> int:
    settings = deployment.settings
    if refresh_tokens is None:
        # Nothing hangs on it for longer than its code and its last access token live.
        longest = now + settings.authorization_code_lifetime_s * 1000 + LONGEST_TOKEN_LIFETIME_MS
    else:
        longest = now + settings.refresh_token_absolute_lifetime_s * 1000
    longest = min(longest, _end_of_trust(approval, now) or longest)
    if refresh_tokens == "online":
        longest = min(longest, session_expires_at)
    if approval.decision is None:
        # What was allowed for a day ends with that day, also where this answer came from memory at its very end.
        return min(longest, approval.remembered_until or longest)
    if approval.decision.duration == "once":
        return min(longest, session_expires_at)
    return min(longest, now + DAY_MS) if approval.decision.duration == "day" else longest


def _code_request(approval: Approval) -> dict[str, Any]:
    """What only the exchange of this code compares; all that lasts longer is in the grant's snapshot."""
    request = approval.request
    return {
        "redirect_uri": request.redirect_uri if request.redirect_uri_was_sent else None,
        "code_challenge": request.code_challenge,
        "nonce": request.nonce,
        "dpop_jkt": request.dpop_jkt,
    }
