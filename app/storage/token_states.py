"""Tokens as their state is now: whose they are, and whether they and all that they hang on are alive.

For reading only. Whatever is issued on such a state is judged again under its locks: see `grants.lock_live_grant`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, Table, bindparam, insert, select

from app.storage.narrowing import read_snapshot
from app.storage.prepared import Prepared
from app.storage.tables import access_tokens, clients, grants, opaque_tokens, refresh_tokens, sessions, users


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenState:
    """What ends a token is its own end, or that of its grant, session, user or client; `is_live`: none has come."""

    client_id: str
    sub: str | None
    grant_id: str | None
    is_live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OpaqueTokenState(TokenState):
    """An opaque access token, with all that it says."""

    jti: bytes
    claims: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTokenState(TokenState):
    """A refresh token; `expires_at` in milliseconds, never beyond its grant's.

    `session_last_used_at`: None without a session. Whether that was idle for too long is not judged here.
    """

    snapshot: dict[str, Any]
    created_at: int
    expires_at: int
    session_last_used_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSubject:
    """By what the client of a grant knows the person; `sub` None for their own subject, or where it was never told."""

    sub: str | None
    is_exchanged: bool


# The first columns of every query here. What is not NULL among the ends has come; what is not later than now as well.
_WHOSE = (clients.c.client_id, users.c.sub)
_ENDS = (
    clients.c.disabled_at,
    clients.c.removed_at,
    users.c.disabled_at,
    sessions.c.revoked_at,
    grants.c.revoked_at,
)
_HEAD = len(_WHOSE) + len(_ENDS) + 4


def _query(
    tokens: Table, source: FromClause, ended: ColumnElement[Any], key: ColumnElement[bool], *more: ColumnElement[Any]
) -> Select[Any]:
    return (
        select(
            *_WHOSE,
            *_ENDS,
            ended,
            tokens.c.grant_id,
            tokens.c.expires_at,
            grants.c.expires_at,
            *more,
        )
        .select_from(source)
        .where(key)
    )


def _with_people(source: FromClause) -> FromClause:
    return source.outerjoin(users, users.c.id == grants.c.user_id).outerjoin(
        sessions, sessions.c.id == grants.c.session_id
    )


_FIND_ACCESS_TOKEN = Prepared(
    _query(
        access_tokens,
        _with_people(
            access_tokens.join(grants, grants.c.grant_id == access_tokens.c.grant_id).join(
                clients, clients.c.id == grants.c.client_pk
            )
        ),
        access_tokens.c.revoked_at,
        access_tokens.c.jti == bindparam("token_jti"),
    )
)
_FIND_OPAQUE_TOKEN = Prepared(
    _query(
        opaque_tokens,
        _with_people(
            opaque_tokens.join(clients, clients.c.id == opaque_tokens.c.client_pk).outerjoin(
                grants, grants.c.grant_id == opaque_tokens.c.grant_id
            )
        ),
        opaque_tokens.c.revoked_at,
        opaque_tokens.c.digest == bindparam("token_digest"),
        opaque_tokens.c.jti,
        opaque_tokens.c.claims,
    )
)
_FIND_REFRESH_TOKEN = Prepared(
    _query(
        refresh_tokens,
        _with_people(
            refresh_tokens.join(grants, grants.c.grant_id == refresh_tokens.c.grant_id).join(
                clients, clients.c.id == grants.c.client_pk
            )
        ),
        refresh_tokens.c.used_at,
        refresh_tokens.c.digest == bindparam("token_digest"),
        grants.c.snapshot,
        grants.c.narrowing,
        refresh_tokens.c.created_at,
        sessions.c.last_used_at,
    )
)
_FIND_CLIENT_SUBJECT = Prepared(
    select(grants.c.snapshot, grants.c.depth).where(grants.c.grant_id == bindparam("the_grant_id"))
)
_INSERT_OPAQUE_TOKEN = Prepared(
    insert(opaque_tokens).values({column.name: bindparam(column.name) for column in opaque_tokens.c})
)


def find_access_token(connection: Connection, jti: bytes, *, now: int) -> TokenState | None:
    """The state of a JWT access token; None for one that has no row: unknown, or a machine's."""
    row = _FIND_ACCESS_TOKEN.first(connection, {"token_jti": jti})
    return None if row is None else TokenState(**_read(row, now=now))


def find_opaque_token(connection: Connection, digests: Sequence[bytes], *, now: int) -> OpaqueTokenState | None:
    """The opaque access token of one of these digests, ended ones too."""
    row = _first(connection, _FIND_OPAQUE_TOKEN, digests)
    if row is None:
        return None
    jti, claims = row[_HEAD:]
    return OpaqueTokenState(**_read(row, now=now), jti=jti, claims=json.loads(claims))


def find_refresh_token(connection: Connection, digests: Sequence[bytes], *, now: int) -> RefreshTokenState | None:
    """The refresh token of one of these digests, used and ended ones too: those are not live."""
    row = _first(connection, _FIND_REFRESH_TOKEN, digests)
    if row is None:
        return None
    snapshot, narrowing, created_at, session_last_used_at = row[_HEAD:]
    return RefreshTokenState(
        **_read(row, now=now),
        snapshot=read_snapshot(snapshot, narrowing),
        created_at=created_at,
        expires_at=min(row[_HEAD - 2], row[_HEAD - 1]),
        session_last_used_at=session_last_used_at,
    )


def find_client_subject(connection: Connection, grant_id: str) -> ClientSubject | None:
    """What the ID tokens of a grant say; None for a grant that is there no longer."""
    row = _FIND_CLIENT_SUBJECT.first(connection, {"the_grant_id": grant_id})
    if row is None:
        return None
    snapshot, depth = row
    return ClientSubject(sub=json.loads(snapshot).get("client_subject"), is_exchanged=bool(depth))


def insert_opaque_token(
    connection: Connection,
    *,
    digest: bytes,
    digest_key_id: str,
    jti: bytes,
    grant_id: str | None,
    client_pk: int,
    claims: str,
    expires_at: int,
) -> None:
    """Store an opaque access token, by digest; `claims` is JSON."""
    parameters = {
        "digest": digest,
        "digest_key_id": digest_key_id,
        "jti": jti,
        "grant_id": grant_id,
        "client_pk": client_pk,
        "claims": claims,
        "expires_at": expires_at,
        "revoked_at": None,
    }
    _INSERT_OPAQUE_TOKEN.run(connection, parameters)


def _first(connection: Connection, query: Prepared, digests: Sequence[bytes]) -> tuple[Any, ...] | None:
    found = (query.first(connection, {"token_digest": digest}) for digest in digests)
    return next((row for row in found if row is not None), None)


def _read(row: tuple[Any, ...], *, now: int) -> dict[str, Any]:
    client_id, sub = row[:2]
    *ends, grant_id, expires_at, grant_expires_at = row[2:_HEAD]
    is_over = expires_at <= now or (grant_expires_at is not None and grant_expires_at <= now)
    return {
        "client_id": client_id,
        "sub": sub,
        "grant_id": grant_id,
        "is_live": not is_over and all(end is None for end in ends),
    }
