"""Clients that registered themselves and are not used leave: anybody may have left them here."""

from typing import Final

from app.services.deployment import Deployment
from app.services.end_client import end_client
from app.services.record_event import Event
from app.storage import changes
from app.storage.clients import find_client_by_pk
from app.storage.database import Connection
from app.storage.registrations import find_unused_clients, remove_if_unused

BATCH: Final = 20
_DAY_MS: Final = 86_400_000


def remove_unused_clients(deployment: Deployment, connection: Connection, *, now: int) -> int:
    """End one batch of them; how many. Their days are counted from the last use, or from registration."""
    # A day more: uses are known to the day only.
    unused_since = now - (deployment.settings.registration_unused_days + 1) * _DAY_MS
    found = find_unused_clients(connection, unused_since=unused_since, limit=BATCH)
    if not found:
        return 0
    changes.bump(connection, "clients")
    removed = 0
    for client_pk, client_id in found:
        # Once more, with the row in hand: somebody may have used it meanwhile.
        if not remove_if_unused(connection, client_pk, unused_since=unused_since, now=now):
            continue
        row = find_client_by_pk(connection, client_pk)
        assert row is not None  # noqa: S101 - a removed client keeps its row
        ended = end_client(deployment, connection, row, actor="server", now=now)
        event = Event(
            type="client.removed", actor="server", client_id=client_id, body={"grants": ended, "reason": "unused"}
        )
        deployment.recorder.record(connection, event)
        removed += 1
    return removed
