"""Whether somebody reads what comes to an address, and what follows: it is theirs, and verified for nobody else.

Only what was sent there and came back from there makes an address verified; nothing that a person says does.
"""

from app.services.account_names import email_key
from app.services.deployment import Deployment
from app.services.email_links import make_link, redeem_link
from app.services.limit_guesses import TooManyAttempts
from app.services.limit_mails import count_mail
from app.services.notify_person import mail_person, notify_person
from app.services.own_account import lock_own_row
from app.services.record_event import Event
from app.services.user_claims import check_email
from app.services.whereabouts import Whereabouts
from app.specs.rfc5322_mail_address import parse_mail_address
from app.storage import changes, users
from app.storage.database import Connection
from app.storage.sessions import SessionRow
from app.storage.users import UserRow


class EmailTaken(Exception):
    """The address is verified for another account already."""


def ask_for_verification(deployment: Deployment, session: SessionRow, origin: Whereabouts) -> str:
    """Send somebody who is signed in a link to the address that they have; that address.

    Raises `TooManyAttempts` and `AccountGone`.
    """

    def work(connection: Connection) -> str | TooManyAttempts:
        now = deployment.clock()
        user = lock_own_row(connection, session)
        refusal = count_mail(deployment, connection, email_key(user.email), origin, now=now)
        if refusal is not None:
            return refusal
        link = make_link(deployment, connection, "verify", user, body={}, now=now)
        values = {"address": origin.address, **link.values}
        mail_person(deployment, connection, user, "verify_email", values, now)
        return user.email

    return _or_raise(deployment.database.transact(work))


def verify_email(deployment: Deployment, secret: str, origin: Whereabouts) -> None:
    """Spend such a link. Raises `LinkOver` and `EmailTaken`."""

    def work(connection: Connection) -> None:
        now = deployment.clock()
        user = redeem_link(deployment, connection, "verify", secret, now=now).owner
        set_verified_email(connection, user, user.email, now=now)
        event = Event(type="email.verified", actor="user", sub=user.sub, personal=origin.personal)
        deployment.recorder.record(connection, event)

    deployment.database.transact(work)


def check_new_address(email: str) -> None:
    """Raises `Refusal` or ValueError unless mail can be sent to it."""
    check_email(email)
    parse_mail_address(email)


def ask_for_new_email(deployment: Deployment, session: SessionRow, email: str, origin: Whereabouts) -> None:
    """Send a link to the address that is to become somebody's, and tell them at the one that they have.

    Nothing changes before the link comes back. The address was checked (`check_new_address`), and how recent the login
    is was seen. Raises `TooManyAttempts` and `AccountGone`.
    """

    def work(connection: Connection) -> str | TooManyAttempts:
        now = deployment.clock()
        user = lock_own_row(connection, session)
        refusal = count_mail(deployment, connection, email_key(email), origin, now=now)
        if refusal is not None:
            return refusal
        link = make_link(deployment, connection, "email", user, body={"email": email}, now=now)
        values = {"address": origin.address, **link.values}
        mail_person(deployment, connection, user, "change_email", values, now, to=email)
        notify_person(deployment, connection, user, "email_change_asked", {"address": origin.address}, now)
        event = Event(type="email.change_asked", actor="user", sub=user.sub, personal=origin.personal)
        deployment.recorder.record(connection, event)
        return email

    _or_raise(deployment.database.transact(work))


def confirm_new_email(deployment: Deployment, secret: str, origin: Whereabouts) -> None:
    """Spend such a link: the address is theirs from now on. Raises `LinkOver` and `EmailTaken`."""

    def work(connection: Connection) -> None:
        now = deployment.clock()
        opened = redeem_link(deployment, connection, "email", secret, now=now)
        user = opened.owner
        set_verified_email(connection, user, opened.body["email"], now=now)
        event = Event(type="email.changed", actor="user", sub=user.sub, personal=origin.personal)
        deployment.recorder.record(connection, event)
        # To the address that was theirs until now.
        notify_person(deployment, connection, user, "email_changed", {"address": origin.address}, now)

    deployment.database.transact(work)


def set_verified_email(connection: Connection, user: UserRow, email: str, *, now: int) -> None:
    """Write down that an address is somebody's, in the caller's transaction. Raises `EmailTaken`."""
    check_free(connection, email, user_id=user.id)
    users.set_email(connection, user.id, email=email, email_key=email_key(email))
    claims = {**user.claims, "email": email, "email_verified": True, "updated_at": now // 1000}
    users.set_claims(connection, user.id, claims)


def check_free(connection: Connection, email: str, *, user_id: int | None) -> None:
    """Raises `EmailTaken` where the address is verified for somebody else than `user_id`.

    Holds the number of people's changes until the caller commits: of two who confirm one address, the second sees what
    the first one did.
    """
    changes.bump(connection, "users")
    for other in users.find_users_by_email(connection, email_key(email)):
        if other.id != user_id and other.claims.get("email_verified") is True:
            raise EmailTaken


def _or_raise(result: str | TooManyAttempts) -> str:
    # After the commit: what was counted stays counted.
    if isinstance(result, TooManyAttempts):
        raise result
    return result
