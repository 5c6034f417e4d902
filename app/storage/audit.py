"""The audit trail: rows are only ever added, and leave only by their age."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select

from app.storage.prepared import Prepared
from app.storage.tables import audit_events


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One event. `body` is canonical JSON; `sealed_personal` opens with the person's key or the deployment's."""

    event_id: bytes
    at: int
    type: str
    schema_version: int
    sub: str | None
    client_id: str | None
    grant_id: str | None
    incident: str | None
    body: bytes
    sealed_personal: bytes | None


_INSERT = Prepared(insert(audit_events).values({column.name: bindparam(column.name) for column in audit_events.c}))


def insert_audit_rows(connection: Connection, rows: Iterable[AuditRow]) -> None:
    """Append events."""
    for row in rows:
        _INSERT.run(connection, {name: getattr(row, name) for name in AuditRow.__slots__})


def list_audit_rows(
    connection: Connection,
    *,
    limit: int,
    event_type: str | None = None,
    sub: str | None = None,
    client_id: str | None = None,
    incident: str | None = None,
    since: int | None = None,
) -> tuple[AuditRow, ...]:
    """The newest `limit` events that fit, the newest first."""
    query = select(audit_events).order_by(audit_events.c.event_id.desc()).limit(limit)
    for column, wanted in (
        (audit_events.c.type, event_type),
        (audit_events.c.sub, sub),
        (audit_events.c.client_id, client_id),
        (audit_events.c.incident, incident),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if since is not None:
        query = query.where(audit_events.c.at >= since)
    return tuple(AuditRow(**row) for row in connection.execute(query).mappings())


def has_event(connection: Connection, *, sub: str, event_type: str) -> bool:
    """Whether such a thing has ever happened to a person, as far back as the trail reaches."""
    query = select(audit_events.c.event_id).where(audit_events.c.sub == sub, audit_events.c.type == event_type)
    return connection.execute(query.limit(1)).first() is not None


def list_audit_rows_of_person(
    connection: Connection, sub: str, *, before: bytes | None, without: Iterable[str], limit: int
) -> tuple[AuditRow, ...]:
    """The newest `limit` events about a person that are older than the event `before`, the newest first."""
    query = (
        select(audit_events)
        .where(audit_events.c.sub == sub)
        .order_by(audit_events.c.at.desc(), audit_events.c.event_id.desc())
        .limit(limit)
    )
    excluded = tuple(without)
    if excluded:
        query = query.where(audit_events.c.type.not_in(excluded))
    if before is not None:
        # An identifier begins with its time (RFC 9562 5.7).
        at = int.from_bytes(before[:6], "big")
        is_older = (audit_events.c.at < at) | ((audit_events.c.at == at) & (audit_events.c.event_id < before))
        query = query.where(audit_events.c.at <= at, is_older)
    return tuple(AuditRow(**row) for row in connection.execute(query).mappings())
