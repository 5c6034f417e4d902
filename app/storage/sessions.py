"""Browsers, the sessions in them, and how each was authenticated."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from app.storage.prepared import Prepared
from app.storage.tables import (
    authentication_events,
    browsers,
    clients,
    session_clients,
    sessions,
    users,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationEventRow:
    """One login: what was proven in it (RFC 8176, with spaces between), how strong that is, when."""

    method: str
    level: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClientRow:
    """A client that took part in a session: by which `sid` it knows it, and what it registered.

    `client_subject`: by what it knows the person; None in rows from before that was kept.
    """

    session_id: int
    client_pk: int
    client_id: str
    sid: str
    client_subject: str | None
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """A live session with its person and its authentication events, the newest first."""

    session_id: int
    browser_id: int
    user_id: int
    sub: str
    username: str
    last_used_at: int
    expires_at: int
    browser_state: str | None
    events: tuple[AuthenticationEventRow, ...]


_LIVE_SESSIONS = Prepared(
    select(
        sessions.c.id,
        sessions.c.browser_id,
        sessions.c.user_id,
        sessions.c.last_used_at,
        sessions.c.expires_at,
        users.c.sub,
        users.c.username,
        authentication_events.c.method,
        authentication_events.c.level,
        authentication_events.c.at,
        browsers.c.browser_state,
        authentication_events.c.id,
    )
    .select_from(
        browsers.join(sessions, sessions.c.browser_id == browsers.c.id)
        .join(users, users.c.id == sessions.c.user_id)
        .join(authentication_events, authentication_events.c.session_id == sessions.c.id)
    )
    .where(
        browsers.c.digest == bindparam("browser_digest"),
        browsers.c.expires_at > bindparam("now"),
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > bindparam("now"),
        sessions.c.last_used_at > bindparam("not_idle_since"),
        users.c.disabled_at.is_(None),
    )
    .order_by(authentication_events.c.at.desc(), authentication_events.c.id.desc())
)


_SESSION_CLIENT = ("session_id", "client_pk", "sid", "client_subject", "last_used_at")
_INSERT_SESSION_CLIENT = Prepared(
    sqlite_insert(session_clients)
    .values({name: bindparam(name) for name in _SESSION_CLIENT})
    .on_conflict_do_nothing(index_elements=["session_id", "client_pk"])
    .returning(session_clients.c.sid),
    per_dialect={
        "postgresql": postgresql_insert(session_clients)
        .values({name: bindparam(name) for name in _SESSION_CLIENT})
        .on_conflict_do_nothing(index_elements=["session_id", "client_pk"])
        .returning(session_clients.c.sid)
    },
)
_FIND_SESSION_CLIENT = Prepared(
    select(session_clients.c.sid).where(
        session_clients.c.session_id == bindparam("session_id"), session_clients.c.client_pk == bindparam("client_pk")
    )
)


def find_live_sessions(
    connection: Connection, browser_digest: bytes, *, now: int, not_idle_since: int
) -> tuple[SessionRow, ...]:
    """The live sessions of a browser, whoever came last first; people who are disabled have none.

    Who came last is told by the order of the logins, and not by their times: what somebody proved elsewhere may be
    older than the login of whoever sat here before.
    """
    found: dict[int, list[Any]] = {}
    parameters = {"browser_digest": browser_digest, "now": now, "not_idle_since": not_idle_since}
    for row in _LIVE_SESSIONS.run(connection, parameters):
        found.setdefault(row[0], []).append(row)
    return tuple(
        SessionRow(
            session_id=session_id,
            browser_id=rows[0][1],
            user_id=rows[0][2],
            last_used_at=rows[0][3],
            expires_at=rows[0][4],
            sub=rows[0][5],
            username=rows[0][6],
            browser_state=rows[0][10],
            events=tuple(AuthenticationEventRow(method=row[7], level=row[8], at=row[9]) for row in rows),
        )
        for session_id, rows in sorted(found.items(), key=_latest_login, reverse=True)
    )


def _latest_login(session: tuple[int, list[Any]]) -> int:
    return max(int(row[11]) for row in session[1])


def find_browser(connection: Connection, digest: bytes, *, now: int) -> int | None:
    """The id of the browser that a cookie names."""
    query = select(browsers.c.id).where(browsers.c.digest == digest, browsers.c.expires_at > now)
    return connection.execute(query).scalar()


def insert_browser(
    connection: Connection, *, digest: bytes, digest_key_id: str, browser_state: str, now: int, expires_at: int
) -> int:
    """A browser seen for the first time."""
    values = {
        "digest": digest,
        "digest_key_id": digest_key_id,
        "browser_state": browser_state,
        "created_at": now,
        "expires_at": expires_at,
    }
    return int(connection.execute(insert(browsers).values(**values).returning(browsers.c.id)).scalar_one())


def renew_browser(
    connection: Connection,
    browser_id: int,
    *,
    digest: bytes,
    digest_key_id: str,
    browser_state: str,
    expires_at: int,
) -> None:
    """Give the browser a new secret: whoever knew the old one knows nothing any more."""
    connection.execute(
        update(browsers)
        .where(browsers.c.id == browser_id)
        .values(digest=digest, digest_key_id=digest_key_id, browser_state=browser_state, expires_at=expires_at)
    )


def find_session_of_user(connection: Connection, *, browser_id: int, user_id: int, now: int) -> int | None:
    """The live session that a person already has in a browser."""
    query = select(sessions.c.id).where(
        sessions.c.browser_id == browser_id,
        sessions.c.user_id == user_id,
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > now,
    )
    return connection.execute(query).scalar()


def insert_session(connection: Connection, *, browser_id: int, user_id: int, now: int, expires_at: int) -> int:
    """A new session."""
    values = {"browser_id": browser_id, "user_id": user_id, "created_at": now, "expires_at": expires_at}
    query = insert(sessions).values(last_used_at=now, **values).returning(sessions.c.id)
    return int(connection.execute(query).scalar_one())


def insert_authentication_event(connection: Connection, session_id: int, event: AuthenticationEventRow) -> None:
    """The session was authenticated (again)."""
    connection.execute(
        insert(authentication_events).values(session_id=session_id, method=event.method, level=event.level, at=event.at)
    )


def touch_session(connection: Connection, session_id: int, *, now: int, expires_at: int | None = None) -> None:
    """The session was used; with `expires_at`, it was authenticated anew and lives on."""
    values = {"last_used_at": now} if expires_at is None else {"last_used_at": now, "expires_at": expires_at}
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(**values))


def set_sealed_device(connection: Connection, session_id: int, sealed_device: bytes | None) -> None:
    """From where the latest login of a session came."""
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(sealed_device=sealed_device))


def find_or_insert_sid(
    connection: Connection, *, session_id: int, client_pk: int, sid: str, client_subject: str, now: int
) -> str:
    """The `sid` by which one client knows one session: `sid`, unless another request gave it one just now."""
    keys = {"session_id": session_id, "client_pk": client_pk}
    values = {**keys, "sid": sid, "client_subject": client_subject, "last_used_at": now}
    if _INSERT_SESSION_CLIENT.first(connection, values) is not None:
        return sid
    row = _FIND_SESSION_CLIENT.first(connection, keys)
    return str(row[0]) if row is not None else sid


def lock_live_sessions_of_user(connection: Connection, user_id: int, *, now: int) -> tuple[int, ...]:
    """Every session of a person that has not run out, held until the transaction ends; idle ones too."""
    query = select(sessions.c.id).where(
        sessions.c.user_id == user_id, sessions.c.revoked_at.is_(None), sessions.c.expires_at > now
    )
    return tuple(connection.execute(query.order_by(sessions.c.id).with_for_update()).scalars())


def list_session_clients(connection: Connection, session_ids: Sequence[int]) -> tuple[SessionClientRow, ...]:
    """The clients of sessions, those excepted that were disabled or removed: nobody speaks to them."""
    query = (
        select(
            session_clients.c.session_id,
            session_clients.c.client_pk,
            clients.c.client_id,
            session_clients.c.sid,
            session_clients.c.client_subject,
            clients.c.metadata,
        )
        .join(clients, clients.c.id == session_clients.c.client_pk)
        .where(
            session_clients.c.session_id.in_(session_ids),
            clients.c.disabled_at.is_(None),
            clients.c.removed_at.is_(None),
        )
        .order_by(session_clients.c.session_id, session_clients.c.client_pk)
    )
    return tuple(
        SessionClientRow(
            session_id=row.session_id,
            client_pk=row.client_pk,
            client_id=row.client_id,
            sid=row.sid,
            client_subject=row.client_subject,
            metadata=_metadata(row.metadata),
        )
        for row in connection.execute(query)
    )


def find_session_of_sid(connection: Connection, *, client_pk: int, sid: str) -> tuple[int, int] | None:
    """Which session a client knows by a `sid`, alive or not, and whose it is: (session, user)."""
    query = (
        select(sessions.c.id, sessions.c.user_id)
        .join(session_clients, session_clients.c.session_id == sessions.c.id)
        .where(session_clients.c.sid == sid, session_clients.c.client_pk == client_pk)
    )
    row = connection.execute(query).first()
    return None if row is None else (row.id, row.user_id)


def list_usernames(connection: Connection, session_ids: Sequence[int]) -> tuple[str, ...]:
    """Whose the sessions are or were."""
    query = select(users.c.username).join(sessions, sessions.c.user_id == users.c.id)
    rows = connection.execute(query.where(sessions.c.id.in_(session_ids)).order_by(users.c.username).distinct())
    return tuple(rows.scalars())


def _metadata(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    # A damaged client cannot be told anything; the others can.
    return document if isinstance(document, dict) else {}
