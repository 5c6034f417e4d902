"""The operator invites somebody: an account without a password, and a link with which its owner chooses one."""

from app.services.account_names import username_key
from app.services.deployment import Deployment
from app.services.email_links import make_link
from app.services.manage_users import NewUser, User, check_new_user, insert_new_user, to_user
from app.services.notify_person import mail_person, sends_mail
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.services.verified_email import check_new_address
from app.storage import changes
from app.storage.database import Connection
from app.storage.users import find_user_by_name, lock_user


def invite_person(deployment: Deployment, new_user: NewUser) -> User:
    """A new person, to whom a link is on its way; or another link for one who has not chosen a password yet.

    Raises `Refusal`, also where this deployment sends no mail.
    """
    if not sends_mail(deployment):
        raise Refusal("no_mail", "an invitation is a mail: set TOKENHOUSE_SMTP_URL")
    check_new_user(new_user)
    try:
        check_new_address(new_user.email)
    except ValueError as error:
        raise Refusal("invalid_email", f"the e-mail address {error}") from error

    def work(connection: Connection) -> User:
        now = deployment.clock()
        known = find_user_by_name(connection, username_key(new_user.username))
        if known is None:
            user = insert_new_user(connection, deployment.seals, new_user, password_hash=None, now=now)
        else:
            locked = lock_user(connection, known.sub)
            is_waiting = locked is not None and locked.password_hash is None and locked.email == new_user.email
            if locked is None or not is_waiting or locked.disabled_at is not None:
                raise Refusal("user_exists", f"there is a user {new_user.username!r} already")
            user = locked
        link = make_link(deployment, connection, "invitation", user, body={}, now=now)
        mail_person(deployment, connection, user, "invitation", link.values, now)
        changes.bump(connection, "users")
        event = Event(type="user.invited", actor="operator", sub=user.sub, personal={"username": user.username})
        deployment.recorder.record(connection, event)
        return to_user(user)

    return deployment.database.transact(work)
