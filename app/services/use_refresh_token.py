"""The refresh grant (RFC 6749 6, RFC 9700 4.14): every condition, in the order that keeps families safe.

Whose token it is and what is asked for are checked first and spend nothing. A token that was used already is a lost
answer asked for again, as long as its successor is unused and the window is open; after that two parties hold the
family, nobody can tell which is the thief, and it ends for both.
"""

from dataclasses import dataclass, replace
from typing import Final

from app.services.authenticate_client import AuthenticatedClient
from app.services.bind_sender import SenderBinding
from app.services.client_registry import Client
from app.services.decide_tokens import Basis, TokenWish, check_grant_type_is_registered, decide_tokens
from app.services.deployment import Deployment
from app.services.grant_snapshot import GrantSnapshot
from app.services.issue_tokens import AlreadySpent, Issuance, IssuedTokens, Spend, issue_tokens
from app.services.mint_secret import is_well_formed
from app.services.narrow_details import read_details
from app.services.record_event import Event
from app.services.rotate_refresh_token import (
    NODES_MAY_DIFFER_BY_MS,
    SECRET_TYPE,
    Answered,
    RefreshStep,
    StepOvertaken,
    keep,
    may_be_retried,
    repeat,
    rotate,
)
from app.specs.protocol_error import InvalidGrant, TemporarilyUnavailable
from app.specs.rfc9396_authorization_details import Details, canonical_text
from app.storage.database import Connection
from app.storage.refresh_tokens import Family, find_family
from app.storage.revocation import revoke_grant
from app.storage.sessions import touch_session

GRANT_TYPE: Final = "refresh_token"
_TOUCH_EVERY_MS = 60_000
# Unused, then used by somebody else, then its retries used up: more often nothing can change under a request.
_MOST_LOOKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """A token request with `grant_type=refresh_token`; the client has been authenticated, the sender bound."""

    authenticated: AuthenticatedClient
    binding: SenderBinding
    refresh_token: str
    scope: tuple[str, ...] | None
    resources: tuple[str, ...]
    access_token_lifetime_s: int | None
    authorization_details: Details = ()

    @property
    def client(self) -> Client:
        """Whose request it is."""
        return self.authenticated.client

    def __repr__(self) -> str:
        return f"Refresh(client_id={self.client.client_id!r})"


def use_refresh_token(deployment: Deployment, refresh: Refresh) -> IssuedTokens:
    """Fresh tokens for a refresh token.

    Raises `InvalidGrant`, `InvalidScope`, `InvalidTarget`, `InvalidAuthorizationDetails`, `UnauthorizedClient`,
    `TemporarilyUnavailable`.
    """
    check_grant_type_is_registered(refresh.client, GRANT_TYPE)
    for _ in range(_MOST_LOOKS):
        now = deployment.clock()
        family = find_own_family(deployment, refresh)
        check_key(refresh, family)
        check_lives(deployment, refresh, family, now=now)
        issuance = _decide(deployment, refresh, family, now=now)
        try:
            return issue_tokens(deployment, issuance, now=now)
        except (AlreadySpent, StepOvertaken):
            # Somebody came between: what the token is now decides, not what it was.
            continue
    raise TemporarilyUnavailable("the refresh token is being used elsewhere", headers={"Retry-After": "1"})


def find_own_family(deployment: Deployment, refresh: Refresh) -> Family:
    """The token, if it was issued to this client; another client's looks like one that never existed."""
    if not is_well_formed(SECRET_TYPE, refresh.refresh_token):
        raise InvalidGrant("the refresh token is not valid", detail="not a refresh token of ours")
    with deployment.database.reading() as connection:
        family = find_family(connection, deployment.seals.digests(SECRET_TYPE, refresh.refresh_token))
    if family is None:
        raise InvalidGrant("the refresh token is not valid", detail="unknown refresh token")
    if family.client_pk != refresh.client.pk:
        # RFC 6749 10.4: bound to the client. The token stays as it is: somebody else's try must not end it.
        raise InvalidGrant("the refresh token is not valid", detail="it was issued to another client")
    return family


def check_key(refresh: Refresh, family: Family) -> None:
    """RFC 9449 5: a public client's refresh token works with the key that it was bound to, and no other."""
    bound_to, proved = family.token.jkt, refresh.binding.jkt
    if bound_to is not None and not refresh.client.is_confidential and proved != bound_to:
        detail = "no key was proved" if proved is None else "another key was proved"
        raise InvalidGrant("the refresh token is bound to another key", detail=detail)


def check_lives(deployment: Deployment, refresh: Refresh, family: Family, *, now: int) -> None:
    """Neither the token nor what it hangs on has ended; a spent token passes if its answer may be repeated.

    The end of user and client, and whatever ends while this request runs, is seen by `issue_tokens` under its lock.
    """
    token = family.token
    if family.grant_revoked_at is not None or family.grant_expires_at <= now:
        raise InvalidGrant("the grant has ended", detail="the grant was revoked or has expired")
    if token.created_at > now + NODES_MAY_DIFFER_BY_MS:
        # Ours, and no reason for anybody to log in again: some clock here was set wrong.
        come_back = {"Retry-After": "5"}
        raise TemporarilyUnavailable("the server's clock is wrong", detail="a token from the future", headers=come_back)
    if token.used_at is not None and not may_be_retried(deployment, token, now=now):
        _end_family(deployment, refresh, family, event_type="refresh_token.reused", now=now)
        raise InvalidGrant("the refresh token has been used already", detail="reused; its family has been ended")
    if token.used_at is None and token.expires_at <= now:
        # Ended and not only refused: a clock that is set back would bring it to life again.
        _end_family(deployment, refresh, family, event_type="refresh_token.expired", now=now)
        raise InvalidGrant("the refresh token is not valid", detail="it was not used for too long")
    if is_idle(deployment, family.session_last_used_at, now=now):
        raise InvalidGrant("the session has ended", detail="the session was not used for too long")


def is_idle(deployment: Deployment, session_last_used_at: int | None, *, now: int) -> bool:
    """Whether the session of an online refresh token was not used for too long; None for a token without one."""
    idle_ms = deployment.settings.session_idle_lifetime_s * 1000
    return session_last_used_at is not None and session_last_used_at <= now - idle_ms


def find_basis(family: Family) -> Basis:
    """The grant that the token hangs on."""
    return Basis(
        grant_id=family.token.grant_id,
        session_id=family.session_id,
        subject=family.sub,
        user_claims=family.user_claims,
        snapshot=GrantSnapshot.from_document(family.snapshot),
        expires_at=family.grant_expires_at,
        narrowing=family.grant_narrowing,
    )


def _decide(deployment: Deployment, refresh: Refresh, family: Family, *, now: int) -> Issuance:
    """What is issued, and what becomes of the token. Touches the session: refreshing is a use of the login."""
    token = family.token
    wish = TokenWish(
        grant_type=GRANT_TYPE,
        resources=refresh.resources,
        scope=refresh.scope,
        access_token_lifetime_s=refresh.access_token_lifetime_s,
        authorization_details=refresh.authorization_details,
    )
    # OpenID Connect Core 12.2: the ID token has the same iss, sub, aud and auth_time, and no nonce.
    issuance = decide_tokens(
        deployment, refresh.authenticated, find_basis(family), wish, sender=refresh.binding, spends=None, now=now
    )
    step = _choose_step(deployment, refresh, family, issuance, now=now)
    _touch_session(deployment, family, now=now)
    is_spent_now = token.used_at is None and rotates(refresh.client)
    spends = Spend(kind="refresh_tokens", key=token.digest) if is_spent_now else None
    return replace(issuance, refresh=step, spends=spends)


def _choose_step(
    deployment: Deployment, refresh: Refresh, family: Family, issuance: Issuance, *, now: int
) -> RefreshStep:
    token, presented = family.token, refresh.refresh_token
    asked = Answered(
        jkt=refresh.binding.jkt,
        audience=issuance.audience,
        scope=frozenset(issuance.response_scope.split()),
        authorization_details=canonical_text(read_details(issuance.authorization_details)),
    )
    if token.used_at is not None:
        return repeat(deployment, presented, token, asked, client_id=refresh.client.client_id, subject=family.sub)
    if not rotates(refresh.client):
        return keep(deployment, token, grant_expires_at=family.grant_expires_at, now=now)
    return rotate(deployment, presented, token, asked, grant_expires_at=family.grant_expires_at, now=now)


def rotates(client: Client) -> bool:
    """RFC 9700 2.2.2: refresh tokens of public clients are rotated (or bound, and then too); others by policy.

    A confidential client's refresh token is of use only together with what the client authenticates itself by (RFC 9449
    5); what it gets for it is bound to a key of its choice where the client wants no other tokens.
    """
    if not client.is_confidential:
        return True
    by_policy = client.metadata.policy.rotate_refresh_tokens
    return not client.metadata.dpop_bound_access_tokens if by_policy is None else by_policy


def _touch_session(deployment: Deployment, family: Family, *, now: int) -> None:
    session_id, last_used_at = family.session_id, family.session_last_used_at
    if session_id is None or last_used_at is None or now - last_used_at <= _TOUCH_EVERY_MS:
        return
    # Of its own: within the transaction that issues, two refreshes would wait for each other to let the session go.
    deployment.database.transact(lambda connection: touch_session(connection, session_id, now=now))


def _end_family(deployment: Deployment, refresh: Refresh, family: Family, *, event_type: str, now: int) -> None:
    """Commit the end of the grant with all that hangs on it; the caller then raises."""

    def write(connection: Connection) -> None:
        if revoke_grant(connection, family.token.grant_id, now=now):
            event = Event(
                type=event_type,
                actor="client",
                sub=family.sub,
                client_id=refresh.client.client_id,
                grant_id=family.token.grant_id,
                body={"generation": family.token.generation},
            )
            deployment.recorder.record(connection, event)

    deployment.database.transact(write)
