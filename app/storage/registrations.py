"""Clients that register themselves: the tokens that let them, those with which they go on, and how many there are."""

import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, or_, select, update

from app.storage.tables import clients, initial_access_tokens, registration_tokens

ORIGIN = "registration"


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialAccessTokenRow:
    """One initial access token; the token itself is a keyed digest."""

    id: int
    label: str
    policy: dict[str, Any]
    max_uses: int
    uses: int
    created_at: int
    expires_at: int
    revoked_at: int | None

    def is_usable(self, now: int) -> bool:
        """Whether one more client may register with it."""
        return self.revoked_at is None and self.expires_at > now and self.uses < self.max_uses


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationTokenRow:
    """The token with which a client manages its registration; `expires_at` once there is a newer one."""

    client_pk: int
    digest: bytes = field(repr=False)
    expires_at: int | None


_INITIAL_COLUMNS = [initial_access_tokens.c[name] for name in InitialAccessTokenRow.__dataclass_fields__]
_TOKEN_COLUMNS = [registration_tokens.c[name] for name in RegistrationTokenRow.__dataclass_fields__]


# ----- Initial access tokens (RFC 7591 3) -----


def insert_initial_access_token(
    connection: Connection,
    *,
    digest: bytes,
    digest_key_id: str,
    label: str,
    policy: dict[str, Any],
    max_uses: int,
    created_at: int,
    expires_at: int,
) -> InitialAccessTokenRow:
    """The new token's row."""
    statement = insert(initial_access_tokens).values(
        digest=digest,
        digest_key_id=digest_key_id,
        label=label,
        policy=json.dumps(policy, sort_keys=True, separators=(",", ":")),
        max_uses=max_uses,
        uses=0,
        created_at=created_at,
        expires_at=expires_at,
    )
    row = connection.execute(statement.returning(*_INITIAL_COLUMNS)).mappings().one()
    return _read_initial(row)


def find_initial_access_token(connection: Connection, digests: tuple[bytes, ...]) -> InitialAccessTokenRow | None:
    """The token of one of the digests, usable or not."""
    query = select(*_INITIAL_COLUMNS).where(initial_access_tokens.c.digest.in_(digests))
    row = connection.execute(query).mappings().first()
    return None if row is None else _read_initial(row)


def list_initial_access_tokens(connection: Connection) -> tuple[InitialAccessTokenRow, ...]:
    """Every token, the oldest first."""
    query = select(*_INITIAL_COLUMNS).order_by(initial_access_tokens.c.id)
    return tuple(_read_initial(row) for row in connection.execute(query).mappings())


def use_initial_access_token(connection: Connection, token_id: int, *, now: int) -> bool:
    """Count one use, in the one statement that also decides whether there was one left."""
    usable = (
        (initial_access_tokens.c.id == token_id)
        & (initial_access_tokens.c.uses < initial_access_tokens.c.max_uses)
        & (initial_access_tokens.c.expires_at > now)
        & initial_access_tokens.c.revoked_at.is_(None)
    )
    statement = update(initial_access_tokens).where(usable).values(uses=initial_access_tokens.c.uses + 1)
    return connection.execute(statement).rowcount == 1


def revoke_initial_access_token(connection: Connection, token_id: int, *, now: int) -> InitialAccessTokenRow | None:
    """End a token, if it exists; one that was revoked before keeps its time."""
    statement = (
        update(initial_access_tokens)
        .where(initial_access_tokens.c.id == token_id)
        .values(revoked_at=func.coalesce(initial_access_tokens.c.revoked_at, now))
        .returning(*_INITIAL_COLUMNS)
    )
    row = connection.execute(statement).mappings().first()
    return None if row is None else _read_initial(row)


# ----- Registration access tokens (RFC 7592) -----


def insert_registration_token(
    connection: Connection, client_pk: int, *, digest: bytes, digest_key_id: str, created_at: int
) -> None:
    """One more token for the client's own registration."""
    connection.execute(
        insert(registration_tokens).values(
            digest=digest, digest_key_id=digest_key_id, client_pk=client_pk, created_at=created_at
        )
    )


def find_registration_token(
    connection: Connection, digests: tuple[bytes, ...], *, now: int
) -> RegistrationTokenRow | None:
    """The token of one of the digests, if it still counts."""
    counts = or_(registration_tokens.c.expires_at.is_(None), registration_tokens.c.expires_at > now)
    query = select(*_TOKEN_COLUMNS).where(registration_tokens.c.digest.in_(digests), counts)
    row = connection.execute(query).mappings().first()
    return None if row is None else RegistrationTokenRow(**row)


def expire_registration_tokens(connection: Connection, client_pk: int, at: int) -> None:
    """Let every present token of the client end at `at`, or earlier where it would have ended earlier."""
    later = or_(registration_tokens.c.expires_at.is_(None), registration_tokens.c.expires_at > at)
    statement = update(registration_tokens).where(registration_tokens.c.client_pk == client_pk, later)
    connection.execute(statement.values(expires_at=at))


def delete_registration_tokens(connection: Connection, client_pk: int) -> None:
    """The client manages nothing any more."""
    connection.execute(delete(registration_tokens).where(registration_tokens.c.client_pk == client_pk))


# ----- How many -----


def count_registered_clients(connection: Connection, *, with_token: bool) -> int:
    """The living clients that registered themselves: those with an initial access token, or those without."""
    token_id = clients.c.initial_access_token_id
    living = clients.c.removed_at.is_(None) & (clients.c.origin == ORIGIN)
    living &= token_id.is_not(None) if with_token else token_id.is_(None)
    # `origin IS NOT NULL` again, because the partial index is found by these words.
    query = select(func.count()).select_from(clients).where(living, clients.c.origin.is_not(None))
    count: int = connection.execute(query).scalar_one()
    return count


# ----- Those that nobody uses -----


def find_unused_clients(connection: Connection, *, unused_since: int, limit: int) -> tuple[tuple[int, str], ...]:
    """Clients that registered themselves and were not used since then: internal id and client_id, the longest first."""
    query = (
        select(clients.c.id, clients.c.client_id)
        .where(_is_unused(unused_since))
        .order_by(clients.c.last_used_at)
        .limit(limit)
    )
    return tuple((row.id, row.client_id) for row in connection.execute(query))


def remove_if_unused(connection: Connection, client_pk: int, *, unused_since: int, now: int) -> bool:
    """Remove the client, unless it was used meanwhile; whether it was removed. What it said of itself goes too."""
    unused = (clients.c.id == client_pk) & _is_unused(unused_since)
    statement = update(clients).where(unused).values(removed_at=now, disabled_at=now, metadata="{}")
    return connection.execute(statement).rowcount == 1


def _is_unused(unused_since: int) -> ColumnElement[bool]:
    return (
        (clients.c.origin == ORIGIN)
        & clients.c.origin.is_not(None)
        & clients.c.removed_at.is_(None)
        & (clients.c.last_used_at < unused_since)
    )


def _read_initial(row: RowMapping) -> InitialAccessTokenRow:
    return InitialAccessTokenRow(**{**row, "policy": json.loads(row["policy"])})
