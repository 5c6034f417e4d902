"""Refresh tokens: one family per grant, one token per generation. A used one stays until its family ends."""

import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from app.storage.narrowing import read_snapshot
from app.storage.prepared import Prepared
from app.storage.tables import clients, grants, refresh_tokens, sessions, users


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTokenRow:
    """A refresh token as it lies in the database. Times in milliseconds."""

    digest: bytes
    digest_key_id: str
    grant_id: str
    generation: int
    jkt: str | None
    created_at: int
    expires_at: int
    used_at: int | None
    sealed_successor: bytes | None = field(repr=False)
    retries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A refresh token with the grant it hangs on, and whose that is."""

    token: RefreshTokenRow
    client_pk: int
    session_id: int | None
    session_last_used_at: int | None
    sub: str
    user_claims: dict[str, Any]
    snapshot: dict[str, Any]
    grant_expires_at: int
    grant_revoked_at: int | None
    grant_narrowing: str | None


_INSERT = Prepared(insert(refresh_tokens).values({column.name: bindparam(column.name) for column in refresh_tokens.c}))
_FIND = Prepared(
    select(
        *refresh_tokens.c,
        grants.c.client_pk,
        grants.c.session_id,
        sessions.c.last_used_at,
        users.c.sub,
        users.c.claims,
        grants.c.snapshot,
        grants.c.expires_at,
        grants.c.revoked_at,
        grants.c.narrowing,
    )
    .select_from(
        refresh_tokens.join(grants, grants.c.grant_id == refresh_tokens.c.grant_id)
        .join(users, users.c.id == grants.c.user_id)
        .join(clients, clients.c.id == grants.c.client_pk)
        .outerjoin(sessions, sessions.c.id == grants.c.session_id)
    )
    .where(refresh_tokens.c.digest == bindparam("token_digest"))
)
_KEEP_SUCCESSOR = Prepared(
    update(refresh_tokens)
    .where(refresh_tokens.c.digest == bindparam("token_digest"))
    .values(sealed_successor=bindparam("sealed"), used_at=bindparam("at"))
)
_ERASE_COPY_OF = Prepared(
    update(refresh_tokens)
    .where(
        refresh_tokens.c.grant_id == bindparam("family"),
        refresh_tokens.c.generation == bindparam("before"),
        refresh_tokens.c.sealed_successor.is_not(None),
    )
    .values(sealed_successor=None)
)
# The copy is erased when the successor is used, so one row tells whether a retry may still be answered.
_COUNT_RETRY = Prepared(
    update(refresh_tokens)
    .where(
        refresh_tokens.c.digest == bindparam("token_digest"),
        refresh_tokens.c.sealed_successor.is_not(None),
        refresh_tokens.c.used_at > bindparam("since"),
        refresh_tokens.c.retries < bindparam("most"),
    )
    .values(retries=refresh_tokens.c.retries + 1)
    .returning(refresh_tokens.c.retries)
)
_PROLONG = Prepared(
    update(refresh_tokens)
    .where(
        refresh_tokens.c.digest == bindparam("token_digest"),
        refresh_tokens.c.used_at.is_(None),
        refresh_tokens.c.expires_at > bindparam("at"),
    )
    .values(expires_at=bindparam("until"))
    .returning(refresh_tokens.c.generation)
)


def insert_refresh_token(connection: Connection, row: RefreshTokenRow) -> None:
    """Store a new refresh token, by digest."""
    _INSERT.run(connection, {name: getattr(row, name) for name in row.__slots__})


def find_family(connection: Connection, digests: tuple[bytes, ...]) -> Family | None:
    """The refresh token of one of these digests, used, expired and ended ones too."""
    found = (_FIND.first(connection, {"token_digest": digest}) for digest in digests)
    row = next((row for row in found if row is not None), None)
    if row is None:
        return None
    names = RefreshTokenRow.__slots__
    values = dict(zip((column.name for column in refresh_tokens.c), row, strict=False))
    rest = row[len(names) :]
    return Family(
        token=RefreshTokenRow(**values),
        client_pk=rest[0],
        session_id=rest[1],
        session_last_used_at=rest[2],
        sub=rest[3],
        user_claims=json.loads(rest[4]),
        snapshot=read_snapshot(rest[5], rest[8]),
        grant_expires_at=rest[6],
        grant_revoked_at=rest[7],
        grant_narrowing=rest[8],
    )


def keep_successor(connection: Connection, digest: bytes, *, sealed: bytes | None, at: int) -> None:
    """Beside a token that was just spent: its sealed successor, and the moment from which retries count."""
    _KEEP_SUCCESSOR.run(connection, {"token_digest": digest, "sealed": sealed, "at": at})


def erase_copy_of(connection: Connection, grant_id: str, *, generation: int) -> None:
    """Erase the sealed copy of the token of this generation, which lies beside the one before it."""
    _ERASE_COPY_OF.run(connection, {"family": grant_id, "before": generation - 1})


def count_retry(connection: Connection, digest: bytes, *, since: int, most: int) -> int | None:
    """The number of this retry of a spent token; None where none may be answered any more.

    Until the transaction ends the successor cannot be used for the first time.
    """
    row = _COUNT_RETRY.first(connection, {"token_digest": digest, "since": since, "most": most})
    return None if row is None else int(row[0])


def prolong(connection: Connection, digest: bytes, *, until: int, now: int) -> bool:
    """Let a token that is kept live until then; whether it still lived."""
    return _PROLONG.first(connection, {"token_digest": digest, "until": until, "at": now}) is not None
