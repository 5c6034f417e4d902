"""The audit trail, as the operator reads it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from app.services.deployment import Deployment
from app.services.record_look import record_look
from app.services.refusal import Refusal
from app.services.seals import SealError
from app.storage.audit import AuditRow, list_audit_rows
from app.storage.database import Connection

MAX_EVENTS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One event. `personal` is empty unless it was asked for, and for ever once the person's key is destroyed."""

    event_id: str
    at: int
    type: str
    actor: str
    sub: str | None
    client_id: str | None
    grant_id: str | None
    incident: str | None
    body: Mapping[str, Any]
    personal: Mapping[str, str] = field(default_factory=dict, repr=False)


def list_audit(
    deployment: Deployment,
    *,
    limit: int = 100,
    event_type: str | None = None,
    sub: str | None = None,
    client_id: str | None = None,
    incident: str | None = None,
    since: int | None = None,
    with_personal: bool = False,
) -> tuple[AuditEvent, ...]:
    """The newest events that fit, the newest first. Raises `Refusal` for a limit out of bounds.

    `with_personal`: everybody of whom something was opened gets an event that says so, before it is shown.
    """
    if not 1 <= limit <= MAX_EVENTS:
        raise Refusal("invalid_limit", f"the limit must be 1 to {MAX_EVENTS}")

    def read(connection: Connection) -> tuple[AuditEvent, ...]:
        rows = list_audit_rows(
            connection,
            limit=limit,
            event_type=event_type,
            sub=sub,
            client_id=client_id,
            incident=incident,
            since=since,
        )
        return tuple(read_event(deployment, connection, row, with_personal=with_personal) for row in rows)

    def read_and_record(connection: Connection) -> tuple[AuditEvent, ...]:
        events = read(connection)
        for seen in sorted({event.sub for event in events if event.sub is not None and event.personal}):
            record_look(deployment, connection, seen, what="events")
        return events

    if with_personal:
        return deployment.database.transact(read_and_record)
    with deployment.database.reading() as connection:
        return read(connection)


def read_event(deployment: Deployment, connection: Connection, row: AuditRow, *, with_personal: bool) -> AuditEvent:
    """The event of a row; `with_personal`: with what is sealed in it, as far as that opens still."""
    body = orjson.loads(row.body)
    return AuditEvent(
        event_id=str(uuid.UUID(bytes=row.event_id)),
        at=row.at,
        type=row.type,
        actor=body.pop("actor", ""),
        sub=row.sub,
        client_id=row.client_id,
        grant_id=row.grant_id,
        incident=row.incident,
        body=body,
        personal=_open_personal(deployment, connection, row) if with_personal else {},
    )


def _open_personal(deployment: Deployment, connection: Connection, row: AuditRow) -> Mapping[str, str]:
    try:
        return deployment.recorder.read_personal(connection, row)
    except SealError:
        # One row that does not open must not hide the others.
        return {"unreadable": "the sealed part of this event does not open"}
