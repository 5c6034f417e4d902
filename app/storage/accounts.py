"""The accounts behind the sessions of one browser, and which of them a client used last."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update

from app.storage.tables import session_clients, sessions, users


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """The person of a session, by all the names that somebody may call them.

    `last_used_at`: when the client that asks used the session last; None where it never did.
    """

    session_id: int
    username: str
    username_key: str
    email: str
    email_key: str
    claims: dict[str, Any]
    last_used_at: int | None


def find_accounts(connection: Connection, session_ids: Sequence[int], *, client_pk: int) -> tuple[AccountRow, ...]:
    """Who is behind some sessions, as one client knows them."""
    query = (
        select(
            sessions.c.id,
            users.c.username,
            users.c.username_key,
            users.c.email,
            users.c.email_key,
            users.c.claims,
            session_clients.c.session_id,
            session_clients.c.last_used_at,
        )
        .select_from(
            sessions.join(users, users.c.id == sessions.c.user_id).outerjoin(
                session_clients,
                (session_clients.c.session_id == sessions.c.id) & (session_clients.c.client_pk == client_pk),
            )
        )
        .where(sessions.c.id.in_(session_ids))
    )
    return tuple(
        AccountRow(
            session_id=row[0],
            username=row[1],
            username_key=row[2],
            email=row[3],
            email_key=row[4],
            claims=json.loads(row[5]),
            # A row that an earlier version wrote says that the client knows the session, and not since when.
            last_used_at=None if row[6] is None else row[7] or 0,
        )
        for row in connection.execute(query)
    )


def touch_session_client(connection: Connection, *, session_id: int, client_pk: int, now: int) -> None:
    """Of the sessions in its browser, this is the one that the client used last."""
    of_client = (session_clients.c.session_id == session_id) & (session_clients.c.client_pk == client_pk)
    connection.execute(update(session_clients).where(of_client).values(last_used_at=now))
