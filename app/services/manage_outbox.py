"""What has not arrived, as the operator manages it."""

from dataclasses import dataclass
from typing import Final

from app.services.deployment import Deployment
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.storage import outbox
from app.storage.database import Connection, after_commit
from app.storage.outbox import OutboxView

MOST_LISTED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingMessage:
    """A message that has not arrived. What it says is not shown; times are milliseconds."""

    message_id: str
    kind: str
    client_id: str | None
    recipient: str
    created_at: int
    expires_at: int
    attempts: int
    next_attempt_at: int | None
    last_error: str | None
    dead_at: int | None


def list_messages(deployment: Deployment, *, only_dead: bool = False) -> tuple[WaitingMessage, ...]:
    """What has not arrived, the oldest first; at most 10,000."""
    with deployment.database.reading() as connection:
        views = outbox.list_messages(connection, only_dead=only_dead, most=MOST_LISTED)
    return tuple(_to_message(view) for view in views)


def retry_message(deployment: Deployment, message_id: str) -> WaitingMessage:
    """Try a message again at once, dead or not, for as long as a new one is tried. Raises `Refusal`."""

    def work(connection: Connection) -> WaitingMessage:
        view = _get(connection, message_id)
        _revive(deployment, connection, view.row.message_id)
        return _to_message(_get(connection, message_id))

    return deployment.database.transact(work)


def retry_dead_messages(deployment: Deployment) -> int:
    """Try every dead message again; how many."""

    def work(connection: Connection) -> int:
        dead = outbox.list_dead_ids(connection)
        for message_id in dead:
            _revive(deployment, connection, message_id)
        return len(dead)

    return deployment.database.transact(work)


def drop_message(deployment: Deployment, message_id: str) -> WaitingMessage:
    """Give a message up: nobody is told. Raises `Refusal`."""

    def work(connection: Connection) -> WaitingMessage:
        view = _get(connection, message_id)
        outbox.delete_messages(connection, [view.row.message_id])
        _record(deployment, connection, "outbox.dropped", view.row.message_id)
        return _to_message(view)

    return deployment.database.transact(work)


def _revive(deployment: Deployment, connection: Connection, message_id: bytes) -> None:
    now = deployment.clock()
    outbox.revive(connection, message_id, now=now, expires_at=now + deployment.settings.outbox_deadline_s * 1000)
    after_commit(connection, deployment.outbox_changed.set)
    _record(deployment, connection, "outbox.retried", message_id)


def _record(deployment: Deployment, connection: Connection, event_type: str, message_id: bytes) -> None:
    event = Event(type=event_type, actor="operator", body={"message": message_id.hex()})
    deployment.recorder.record(connection, event)


def _get(connection: Connection, message_id: str) -> OutboxView:
    try:
        view = outbox.find_message(connection, bytes.fromhex(message_id))
    except ValueError:
        view = None
    if view is None:
        raise Refusal("unknown_message", f"there is no message {message_id!r} in the outbox")
    return view


def _to_message(view: OutboxView) -> WaitingMessage:
    row = view.row
    return WaitingMessage(
        message_id=row.message_id.hex(),
        kind=row.kind,
        client_id=view.client_id,
        recipient=row.recipient,
        created_at=row.created_at,
        expires_at=row.expires_at,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        last_error=row.last_error,
        dead_at=row.dead_at,
    )
