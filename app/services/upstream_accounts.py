"""Whose account somebody has who comes from another provider: by (issuer, subject), and by nothing else.

An e-mail address links nobody: whoever has an account here signs in to it first and links the other login then. Who has
none gets one where the provider's rule says so.
"""

from typing import Final

from app.services.account_names import email_key
from app.services.deployment import Deployment
from app.services.email_links import LinkOver, redeem_link
from app.services.identity_providers import Provider
from app.services.manage_users import NewUser, check_new_user, insert_new_user
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.services.upstream_identity import UpstreamIdentity
from app.services.whereabouts import Whereabouts
from app.storage import changes
from app.storage.database import Connection
from app.storage.linked_identities import find_link, insert_link, touch_link
from app.storage.users import UserRow, find_user, find_users_by_email, lock_user

ACTOR: Final = "provider"


class NoAccount(Exception):
    """Nobody here is who has come, and no account is made. `reason` is for the log.

    `is_taken`: an account here has the address, and is not linked. `is_uninvited`: the invitation is somebody else's.
    """

    def __init__(self, reason: str, *, is_taken: bool = False, is_uninvited: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_taken = is_taken
        self.is_uninvited = is_uninvited


class AccountClosed(Exception):
    """Whose account it is must not sign in."""


def find_account(connection: Connection, provider: Provider, identity: UpstreamIdentity, *, now: int) -> UserRow | None:
    """Whose account is linked, in the caller's transaction. Raises `AccountClosed`."""
    link = find_link(connection, provider_id=provider.id, issuer=provider.identity, subject=identity.subject)
    if link is None:
        return None
    found = find_user(connection, link.user_id)
    # Read again under the lock: an account that is being disabled at this moment lets nobody in.
    user = None if found is None else lock_user(connection, found.sub)
    if user is None or user.disabled_at is not None:
        raise AccountClosed
    touch_link(connection, link.id, label=identity.label, now=now)
    return user


def make_account(
    deployment: Deployment,
    connection: Connection,
    provider: Provider,
    identity: UpstreamIdentity,
    origin: Whereabouts,
    *,
    invitation: str | None,
    now: int,
) -> UserRow:
    """A new account for whoever has a verified address in a domain of the provider's, or was invited by theirs.

    `invitation`: the secret of the link with which they came; it is spent. Raises `NoAccount`.
    """
    rule, email = provider.document.provisioning, identity.email
    if rule == "off":
        raise NoAccount("provisioning is off")
    if email is None or not identity.email_verified:
        raise NoAccount("the provider gives no verified address", is_uninvited=invitation is not None)
    if invitation is not None:
        _redeem_invitation(deployment, connection, provider, invitation, email=email, now=now)
    elif rule == "invite":
        raise NoAccount("nobody was invited")
    elif email.rpartition("@")[2].lower() not in provider.document.email_domains:
        raise NoAccount("the address is in no domain of the provider")
    return insert_account(deployment, connection, provider, identity, origin, email=email, now=now)


def _redeem_invitation(
    deployment: Deployment, connection: Connection, provider: Provider, invitation: str, *, email: str, now: int
) -> None:
    try:
        body = redeem_link(deployment, connection, "provider_invitation", invitation, now=now).body
    except LinkOver as error:
        raise NoAccount("the invitation is over", is_uninvited=True) from error
    if body["provider"] != provider.name or email_key(body["email"]) != email_key(email):
        raise NoAccount("the invitation is for another address", is_uninvited=True)


def insert_account(
    deployment: Deployment,
    connection: Connection,
    provider: Provider,
    identity: UpstreamIdentity,
    origin: Whereabouts,
    *,
    email: str,
    now: int,
) -> UserRow:
    """The account and its link. Raises `NoAccount` where somebody has the address, verified or not.

    Whether there should be one has been decided by the caller.
    """
    # Held until the commit: of two who come to have one address at once, the second sees the first.
    changes.bump(connection, "users")
    if find_users_by_email(connection, email_key(email)):
        raise NoAccount("the address belongs to an account that is not linked", is_taken=True)
    claims: dict[str, object] = {"email_verified": provider.document.trust_email}
    if identity.name is not None:
        claims["name"] = identity.name
    new_user = NewUser(username=email, email=email, claims=claims)
    try:
        check_new_user(new_user)
        user = insert_new_user(connection, deployment.seals, new_user, password_hash=None, now=now)
    except Refusal as refusal:
        raise NoAccount(refusal.description, is_taken=refusal.error.endswith("_exists")) from refusal
    body = {"admin": False, "provider": provider.name}
    event = Event(
        type="user.created",
        actor=ACTOR,
        sub=user.sub,
        body=body,
        personal={"username": user.username, **origin.personal},
    )
    deployment.recorder.record(connection, event)
    link_account(deployment, connection, provider, identity, user, origin, actor=ACTOR, now=now)
    return user


def link_account(
    deployment: Deployment,
    connection: Connection,
    provider: Provider,
    identity: UpstreamIdentity,
    user: UserRow,
    origin: Whereabouts,
    *,
    actor: str,
    now: int,
) -> None:
    """The login is this person's from now on. Raises `AlreadyTaken` where it is somebody's already."""
    insert_link(
        connection,
        provider_id=provider.id,
        issuer=provider.identity,
        subject=identity.subject,
        user_id=user.id,
        label=identity.label,
        now=now,
    )
    event = Event(
        type="login.linked",
        actor=actor,
        sub=user.sub,
        body={"provider": provider.name},
        personal={"label": identity.label, **origin.personal},
    )
    deployment.recorder.record(connection, event)
