"""How somebody's account stands, for the operator who is asked for help.

Reading changes nothing but this: where the operator sees addresses and browsers, the person sees that they did.
"""

from dataclasses import dataclass

from app.services.account_names import username_key
from app.services.deployment import Deployment
from app.services.limit_guesses import find_wait_s
from app.services.manage_users import User
from app.services.new_devices import LOGGED_IN
from app.services.own_sessions import OwnSession, list_devices
from app.services.record_look import record_look
from app.storage.audit import list_audit_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """`last_login_at`: as far back as the audit trail reaches. `waits_s`: how long passwords or codes have to wait
    somewhere because too many were wrong; known devices and passkeys never do.
    """

    last_login_at: int | None
    sessions: int
    waits_s: int | None


def show_activity(deployment: Deployment, user: User) -> Activity:
    """When somebody was here last, and whether something keeps them out."""
    now, sessions = deployment.clock(), len(list_devices(deployment, user))
    with deployment.database.reading() as connection:
        logins = list_audit_rows(connection, limit=1, event_type=LOGGED_IN, sub=user.sub)
        about = (user.sub, username_key(user.username))
        return Activity(
            last_login_at=logins[0].at if logins else None,
            sessions=sessions,
            waits_s=find_wait_s(connection, deployment.seals, *about, now=now),
        )


def list_user_sessions(deployment: Deployment, user: User) -> tuple[OwnSession, ...]:
    """The sessions in which somebody is signed in, the latest used first.

    That the operator looked is an event of the person, and written first: what cannot be told to them is not shown.
    """
    deployment.database.transact(lambda connection: record_look(deployment, connection, user.sub, what="sessions"))
    return list_devices(deployment, user)
