"""That an operator looked at what names a person, beyond what every list of people shows: an event of that person."""

from typing import Literal

from app.services.deployment import Deployment
from app.services.record_event import Event
from app.storage.database import Connection


def record_look(
    deployment: Deployment, connection: Connection, sub: str, *, what: Literal["sessions", "events"]
) -> None:
    """Record it in the caller's transaction, which commits before anything is shown."""
    event = Event(type="account.looked_at", actor="operator", sub=sub, body={"what": what})
    deployment.recorder.record(connection, event)
