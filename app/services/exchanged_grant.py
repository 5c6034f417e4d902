"""The grant that an exchanged token hangs on, written in the transaction that issues the token.

What was exchanged is held meanwhile: it cannot end between the look at it and the commit, and whatever ends it
afterwards finds the child.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.services.machine_token import MachineToken, is_still_live
from app.services.record_event import Event, EventRecorder
from app.specs.protocol_error import InvalidRequest
from app.storage.clients import lock_live_client
from app.storage.database import Connection
from app.storage.grants import GrantRow, insert_grant, lock_live_grant
from app.storage.lineage import lock_live_token


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangedGrant:
    """A child grant, and whose it is. `act`: the claim that every token of the grant carries.

    `machine_token`: what was exchanged, where it is a machine's JWT: a place and no row.
    """

    row: GrantRow
    subject: str
    client_id: str
    parent_jti: str
    act: Mapping[str, Any]
    audience: str
    scope: tuple[str, ...]
    machine_token: MachineToken | None = None


def write_exchanged_grant(connection: Connection, recorder: EventRecorder, grant: ExchangedGrant, *, now: int) -> None:
    """Hold what is exchanged, then store the grant. Raises `InvalidRequest` where it has ended meanwhile."""
    if not _lock_subject(connection, grant, now=now):
        # RFC 8693 2.2.2: a subject token that is "invalid for any reason" is an invalid_request.
        detail = "token, grant, session, user or client has ended meanwhile"
        raise InvalidRequest("subject_token is not valid", detail=detail)
    insert_grant(connection, grant.row)
    event = Event(
        type="token.exchanged",
        actor="client",
        sub=grant.subject,
        client_id=grant.client_id,
        grant_id=grant.row.grant_id,
        body={
            "parent": grant.row.parent_grant_id,
            "parent_jti": grant.parent_jti,
            "act": grant.act,
            "aud": grant.audience,
            "scope": " ".join(grant.scope),
            "expires_at": grant.row.expires_at // 1000,
        },
    )
    recorder.record(connection, event)


def _lock_subject(connection: Connection, grant: ExchangedGrant, *, now: int) -> bool:
    row = grant.row
    # The clients first, in one order for everybody: disabling a client holds it and goes on to the grants.
    for client_pk in sorted({row.client_pk, row.origin_client_pk or row.client_pk}):
        if not lock_live_client(connection, client_pk):
            return False
    parent = row.parent_grant_id
    # Where the parent was narrowed meanwhile, what was exchanged ended with that, and is found dead below.
    if parent is not None and lock_live_grant(connection, parent, session_id=row.session_id, now=now) is None:
        return False
    if grant.machine_token is not None:
        # Whoever ends it holds the client first, so it has either ended by now or its end waits for the child.
        return is_still_live(connection, grant.machine_token)
    assert row.parent_jti is not None  # noqa: S101 - every exchange is of a token
    return lock_live_token(connection, row.parent_jti, now=now)
