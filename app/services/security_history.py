"""What happened to a person's account, as they read it: page by page, with the personal parts that are theirs."""

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import Final

from app.services.deployment import Deployment
from app.services.list_audit import AuditEvent, read_event
from app.specs.protocol_error import InvalidRequest
from app.storage.audit import AuditRow, list_audit_rows_of_person
from app.storage.database import Connection
from app.storage.sessions import SessionRow

PAGE: Final = 30
# Each fresh token is an event, and none of them is news: when an application was last used stands at the application.
ROUTINE: Final = ("token.issued", "token.exchanged", "refresh_token.retried")
_MAC_BYTES: Final = 16
_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """Some events, the newest first. `older`: the cursor of the next page, None where there is none."""

    events: tuple[AuditEvent, ...]
    older: str | None


def read_history(deployment: Deployment, person: SessionRow, cursor: str | None) -> HistoryPage:
    """A page of what happened, without what happens all the time.

    Raises `InvalidRequest` for a cursor that is not ours, or not this person's.
    """
    before = None if cursor is None else _open_cursor(deployment, person, cursor)
    with deployment.database.reading() as connection:
        rows = list_audit_rows_of_person(connection, person.sub, before=before, without=ROUTINE, limit=PAGE + 1)
        events = tuple(read_event(deployment, connection, row, with_personal=True) for row in rows[:PAGE])
    has_more = len(rows) > PAGE
    return HistoryPage(events=events, older=_make_cursor(deployment, person, rows[PAGE - 1]) if has_more else None)


def read_events_after(
    deployment: Deployment, connection: Connection, sub: str, before: bytes | None, *, limit: int
) -> tuple[tuple[AuditEvent, ...], bytes | None]:
    """A batch of all that happened, and where the next one begins; None at the end."""
    rows = list_audit_rows_of_person(connection, sub, before=before, without=(), limit=limit)
    events = tuple(read_event(deployment, connection, row, with_personal=True) for row in rows)
    return events, rows[-1].event_id if len(rows) == limit else None


def _make_cursor(deployment: Deployment, person: SessionRow, row: AuditRow) -> str:
    mac = deployment.seals.digest("history", _text(person, row.event_id))[0][:_MAC_BYTES]
    return base64.urlsafe_b64encode(row.event_id + mac).decode()


def _open_cursor(deployment: Deployment, person: SessionRow, cursor: str) -> bytes:
    try:
        opened = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise InvalidRequest("there is no such page of the history") from error
    event_id, mac = opened[:_ID_BYTES], opened[_ID_BYTES:]
    macs = (digest[:_MAC_BYTES] for digest in deployment.seals.digests("history", _text(person, event_id)))
    if len(opened) != _ID_BYTES + _MAC_BYTES or not any(hmac.compare_digest(mac, each) for each in macs):
        raise InvalidRequest("there is no such page of the history")
    return event_id


def _text(person: SessionRow, event_id: bytes) -> str:
    return f"{person.sub} {event_id.hex()}"
