"""All that a client holds ends, because the client does: and everybody whose access that was finds it in their history.

One transaction, so that nobody is told of what did not happen, and nothing happens of which they are not told. Of a
client of very many people the events are made in batches, so that only the database holds them all at once.
"""

from typing import Final, Literal

from app.services.deployment import Deployment
from app.services.record_event import Event
from app.storage import clients
from app.storage.account_grants import forget_all_remembered, list_people_of_client
from app.storage.clients import ClientRow
from app.storage.database import Connection
from app.storage.registrations import delete_registration_tokens
from app.storage.revocation import revoke_client_grants

PEOPLE_AT_A_TIME: Final = 500

Reason = Literal["client_disabled", "client_removed", "client_became_public"]


def end_client(deployment: Deployment, connection: Connection, row: ClientRow, *, actor: str, now: int) -> int:
    """End a client for good, with all that it holds; how many grants ended. The caller announces and records it.

    `actor`: who removes it, for the history of the people whom it concerns.
    """
    # The root row first: whatever is being issued meanwhile waits for it, or is found by the statement after it.
    clients.set_removed(connection, row.id, now)
    clients.expire_client_secrets(connection, row.id, now)
    delete_registration_tokens(connection, row.id)
    return end_holdings(deployment, connection, row, actor=actor, reason="client_removed", now=now)


def end_holdings(
    deployment: Deployment, connection: Connection, row: ClientRow, *, actor: str, reason: Reason, now: int
) -> int:
    """End every grant to a client and forget every answer to it; how many grants. The caller has locked its row.

    Whoever lost access gets an event with the client's name as it was: nobody can ask a removed client for it.
    """
    after = 0
    while people := list_people_of_client(connection, row.id, now=now, after=after, limit=PEOPLE_AT_A_TIME):
        for person in people:
            body = {"client_name": row.metadata.get("client_name"), "grants": person.grants, "reason": reason}
            event = Event(type="grant.revoked", actor=actor, sub=person.sub, client_id=row.client_id, body=body)
            deployment.recorder.record(connection, event)
        after = people[-1].user_id
    # Who was asked once is asked again: access that ended must not come back by an answer from before.
    forget_all_remembered(connection, row.id)
    return revoke_client_grants(connection, row.id, now=now)
