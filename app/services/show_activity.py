"""How somebody's account stands, for the operator who is asked for help: reading only."""

from dataclasses import dataclass

from app.services.deployment import Deployment
from app.services.limit_guesses import find_wait_s
from app.services.log_in import username_key
from app.services.manage_users import User
from app.services.new_devices import LOGGED_IN
from app.storage.audit import list_audit_rows
from app.storage.database import Connection
from app.storage.sessions import OpenSessionRow, list_open_sessions
from app.storage.users import find_user_by_sub


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """One session: when it began and was used last (milliseconds), and from where its latest login came."""

    session_id: int
    began_at: int
    last_used_at: int
    expires_at: int
    address: str
    user_agent: str


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
    now = deployment.clock()
    with deployment.database.reading() as connection:
        logins = list_audit_rows(connection, limit=1, event_type=LOGGED_IN, sub=user.sub)
        about = (user.sub, username_key(user.username))
        return Activity(
            last_login_at=logins[0].at if logins else None,
            sessions=len(_open_sessions(deployment, connection, user, now=now)),
            waits_s=find_wait_s(connection, deployment.seals, *about, now=now),
        )


def list_user_sessions(deployment: Deployment, user: User) -> tuple[OpenSession, ...]:
    """The sessions in which somebody is signed in, the latest used first."""
    with deployment.database.reading() as connection:
        rows = _open_sessions(deployment, connection, user, now=deployment.clock())
        return tuple(_describe(deployment, connection, user, row) for row in rows)


def _open_sessions(
    deployment: Deployment, connection: Connection, user: User, *, now: int
) -> tuple[OpenSessionRow, ...]:
    row = find_user_by_sub(connection, user.sub)
    if row is None:
        return ()
    not_idle_since = now - deployment.settings.session_idle_lifetime_s * 1000
    return list_open_sessions(connection, row.id, now=now, not_idle_since=not_idle_since)


def _describe(deployment: Deployment, connection: Connection, user: User, row: OpenSessionRow) -> OpenSession:
    device = deployment.recorder.open_for_person(
        connection, user.sub, row.sealed_device, table="sessions", row=str(row.session_id)
    )
    return OpenSession(
        session_id=row.session_id,
        began_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        address=device.get("address", ""),
        user_agent=device.get("user_agent", ""),
    )
