"""A person's password becomes another one: by a link in a mail, or by themselves on the pages of their account.

Whoever knew the old one may have signed in with it and granted things to himself, so both end with it: always after a
reset, and after a change unless the person wants to stay signed in elsewhere. In any case no browser but the one in
which they do it is still known as a device of theirs. Second factors stay as they are, and no
session begins: who has a new password still has to sign in with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.services.account_names import username_key
from app.services.deployment import Deployment
from app.services.email_links import LinkPurpose, OpenedLink, look_at_link, redeem_link
from app.services.end_session import end_sessions
from app.services.known_devices import forget_known_devices
from app.services.limit_guesses import forget_guesses_about
from app.services.notify_person import notify_person
from app.services.own_account import find_own_row, lock_own_row
from app.services.password_rules import check_chosen_password
from app.services.record_event import Event
from app.services.whereabouts import Whereabouts
from app.storage import changes, users
from app.storage.database import Connection
from app.storage.revocation import revoke_user_grants
from app.storage.sessions import SessionRow, lock_live_sessions_of_user
from app.storage.users import UserRow


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordChange:
    """What the page of an account sent: a new password, and whether everybody else who is signed in has to go."""

    password: str = field(repr=False)
    ends_others: bool
    origin: Whereabouts
    device_cookie: str | None = field(repr=False)


def choose_by_link(
    deployment: Deployment,
    purpose: LinkPurpose,
    secret: str,
    password: str,
    origin: Whereabouts,
    *,
    device_cookie: str | None,
) -> OpenedLink:
    """Give the person of a link a new password, and spend the link.

    Raises `LinkOver`; `WeakPassword` and `PasswordPoolBusy`, after which the link is as good as before.
    """
    owner = look_at_link(deployment, purpose, secret).owner
    check_chosen_password(deployment, password, about=names_of(owner))
    password_hash = deployment.passwords.hash(password)

    def work(connection: Connection) -> OpenedLink:
        now = deployment.clock()
        opened = redeem_link(deployment, connection, purpose, secret, now=now)
        # Others' guesses at the old password are no reason to keep its owner waiting.
        forget_guesses_about(connection, deployment.seals, username_key(opened.owner.username))
        ended = replace(deployment, connection, opened.owner, password_hash, device_cookie=device_cookie, now=now)
        _tell(deployment, connection, opened.owner, "password.reset", ended, origin, now=now)
        return opened

    return deployment.database.transact(work)


def change_password(deployment: Deployment, session: SessionRow, change: PasswordChange) -> None:
    """Give a signed-in person another password, or their first one. Their own session lives on.

    How recent their login is has been seen by the caller. Raises `WeakPassword`, `PasswordPoolBusy`, `AccountGone`.
    """
    check_chosen_password(deployment, change.password, about=names_of(find_own_row(deployment, session)))
    password_hash = deployment.passwords.hash(change.password)

    def work(connection: Connection) -> None:
        now = deployment.clock()
        user = lock_own_row(connection, session)
        ended = replace(
            deployment,
            connection,
            user,
            password_hash,
            device_cookie=change.device_cookie,
            kept_session_id=session.session_id,
            ends_others=change.ends_others,
            now=now,
        )
        _tell(deployment, connection, user, "password.changed", ended, change.origin, now=now)

    deployment.database.transact(work)


def names_of(user: UserRow) -> tuple[str, ...]:
    """What a person is called, as far as we know: nothing to make a password of."""
    claimed = (user.claims.get(name) for name in ("name", "given_name", "family_name", "nickname"))
    return (user.username, user.email, *(text for text in claimed if isinstance(text, str)))


def replace(
    deployment: Deployment,
    connection: Connection,
    user: UserRow,
    password_hash: str,
    *,
    device_cookie: str | None,
    kept_session_id: int | None = None,
    ends_others: bool = True,
    now: int,
) -> dict[str, int]:
    """Write the hash, and end what the old password opened; how much that was."""
    users.set_password_hash(connection, user.id, password_hash, set_at=now)
    changes.bump(connection, "users")
    devices = forget_known_devices(deployment, connection, user.id, but_of=device_cookie)
    if not ends_others:
        return {"sessions": 0, "grants": 0, "devices": devices}
    others = [each for each in lock_live_sessions_of_user(connection, user.id, now=now) if each != kept_session_id]
    end_sessions(deployment, connection, others, sub=user.sub, actor="user", reason="password_set", now=now)
    grants = revoke_user_grants(connection, user.id, but_of_session=kept_session_id, now=now)
    return {"sessions": len(others), "grants": grants, "devices": devices}


def _tell(
    deployment: Deployment,
    connection: Connection,
    user: UserRow,
    event_type: str,
    ended: Mapping[str, int],
    origin: Whereabouts,
    *,
    now: int,
) -> None:
    event = Event(type=event_type, actor="user", sub=user.sub, body=ended, personal=origin.personal)
    deployment.recorder.record(connection, event)
    notify_person(deployment, connection, user, "password_changed", {"address": origin.address}, now)
