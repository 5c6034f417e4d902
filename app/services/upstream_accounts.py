"""Whose account somebody has who comes from another provider: by (issuer, subject), and by nothing else.

An e-mail address links nobody: whoever has an account here signs in to it first and links the other login then. Who has
none gets one where the provider's rule says so.
"""

from typing import Final

from app.services.deployment import Deployment
from app.services.identity_providers import Provider
from app.services.manage_users import NewUser, check_new_user, insert_new_user
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.services.upstream_identity import UpstreamIdentity
from app.services.user_claims import email_key
from app.storage import changes
from app.storage.database import Connection
from app.storage.linked_identities import find_link, insert_link, touch_link
from app.storage.users import UserRow, find_user, find_users_by_email

ACTOR: Final = "provider"


class NoAccount(Exception):
    """Nobody here is who has come, and no account is made. `reason` is for the log.

    `is_taken`: an account here has the address, and is not linked.
    """

    def __init__(self, reason: str, *, is_taken: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_taken = is_taken


class AccountClosed(Exception):
    """Whose account it is must not sign in."""


def find_account(connection: Connection, provider: Provider, identity: UpstreamIdentity, *, now: int) -> UserRow | None:
    """Whose account is linked, in the caller's transaction. Raises `AccountClosed`."""
    link = find_link(connection, provider_id=provider.id, issuer=provider.identity, subject=identity.subject)
    if link is None:
        return None
    user = find_user(connection, link.user_id)
    if user is None or user.disabled_at is not None:
        raise AccountClosed
    touch_link(connection, link.id, label=identity.label, now=now)
    return user


def make_account(
    deployment: Deployment, connection: Connection, provider: Provider, identity: UpstreamIdentity, *, now: int
) -> UserRow:
    """A new account for whoever has a verified address in a domain of the provider's. Raises `NoAccount`."""
    if provider.document.provisioning != "domain":
        raise NoAccount(f"provisioning is {provider.document.provisioning}")
    email = identity.email
    if email is None or not identity.email_verified:
        raise NoAccount("the provider gives no verified address")
    domain = email.rpartition("@")[2].lower()
    if domain not in provider.document.email_domains:
        raise NoAccount("the address is in no domain of the provider")
    return insert_account(deployment, connection, provider, identity, email=email, now=now)


def insert_account(
    deployment: Deployment,
    connection: Connection,
    provider: Provider,
    identity: UpstreamIdentity,
    *,
    email: str,
    now: int,
) -> UserRow:
    """The account and its link. Raises `NoAccount` where somebody has the address, verified or not.

    Whether there should be one has been decided by the caller.
    """
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
    changes.bump(connection, "users")
    body = {"admin": False, "provider": provider.name}
    event = Event(type="user.created", actor=ACTOR, sub=user.sub, body=body, personal={"username": user.username})
    deployment.recorder.record(connection, event)
    link_account(deployment, connection, provider, identity, user, actor=ACTOR, now=now)
    return user


def link_account(
    deployment: Deployment,
    connection: Connection,
    provider: Provider,
    identity: UpstreamIdentity,
    user: UserRow,
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
        personal={"label": identity.label},
    )
    deployment.recorder.record(connection, event)
