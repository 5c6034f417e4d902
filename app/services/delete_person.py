"""The end of an account: whatever it opened ends, and what it was is forgotten. The audit trail stays whole.

The person's own key is destroyed, so that their part of the trail cannot be read any more by anybody, while its chain
still verifies. Other nodes drop their copies of the key when they notice the change, within a second.
"""

from typing import Literal

from app.services.deployment import Deployment
from app.services.end_session import end_user_sessions
from app.services.notify_person import forget_dead_mail, notify_person
from app.services.record_event import Event
from app.storage import changes
from app.storage.database import Connection
from app.storage.empty_person import empty_person, lock_administrators
from app.storage.revocation import revoke_user_grants
from app.storage.users import lock_user, set_disabled


class LastAdministrator(Exception):
    """Nobody could administer this server any more."""


class NoSuchPerson(Exception):
    """They are gone already."""


def delete_person(deployment: Deployment, sub: str, *, actor: Literal["user", "operator"]) -> None:
    """Delete an account. Raises `LastAdministrator` where that one would delete themselves, and `NoSuchPerson`."""

    def work(connection: Connection) -> None:
        now = deployment.clock()
        # First of all, and in one order for everybody: two who go at once see each other.
        administrators = lock_administrators(connection)
        row = lock_user(connection, sub)
        if row is None:
            raise NoSuchPerson
        if actor == "user" and administrators == (row.id,):
            raise LastAdministrator
        # The root row before what hangs on it: whatever is being issued meanwhile waits, or is found afterwards.
        set_disabled(connection, row.id, now)
        ended = {
            "sessions": end_user_sessions(
                deployment, connection, row.id, sub=sub, actor=actor, reason="account_deleted", now=now
            ),
            "grants": revoke_user_grants(connection, row.id, now=now),
        }
        by = {"by": "operator"} if actor == "operator" else {}
        notify_person(deployment, connection, row, "account_deleted", by, now)
        forget_dead_mail(deployment, connection, row.email)
        empty_person(connection, row.id, sub=sub, now=now)
        changes.bump(connection, "users")
        deployment.recorder.record(connection, Event(type="account.deleted", actor=actor, sub=sub, body=ended))

    deployment.database.transact(work)
    deployment.recorder.forget_person(sub)
