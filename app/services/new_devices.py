"""A sign-in from a device on which the person was never seen: their activity says so, and a mail tells them."""

from app.services.deployment import Deployment
from app.services.notify_person import notify_person
from app.storage.audit import has_event
from app.storage.database import Connection
from app.storage.known_devices import has_known_device
from app.storage.users import UserRow

LOGGED_IN = "login.succeeded"


def has_logged_in_before(connection: Connection, user: UserRow) -> bool:
    """Whether this is not the very first login ever, as far back as devices are known or the audit trail reaches."""
    return has_known_device(connection, user.id) or has_event(connection, sub=user.sub, event_type=LOGGED_IN)


def tell_of_new_device(
    deployment: Deployment, connection: Connection, user: UserRow, *, address: str, user_agent: str, now: int
) -> None:
    """Tell the person by mail, in the transaction of the login."""
    values = {"device": user_agent, "address": address}
    notify_person(deployment, connection, user, "new_device", values, now)
