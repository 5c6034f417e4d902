"""Clients and their secrets. A client_id is found by digest, then compared; a removed client's row stays for ever."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, insert, or_, select, update

from app.storage.conflicts import refusing_duplicates
from app.storage.prepared import Prepared
from app.storage.tables import client_secrets, clients


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRow:
    """One client. `metadata` is its RFC 7591 document, `policy` what the operator decided about it."""

    id: int
    client_id: str
    metadata: dict[str, Any]
    policy: dict[str, Any]
    policy_version: int
    security_profile: str
    created_at: int
    disabled_at: int | None
    removed_at: int | None
    origin: str | None = None
    """None is the operator."""
    initial_access_token_id: int | None = None
    last_used_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRow:
    """One secret of a client, as a keyed digest."""

    client_pk: int
    digest: bytes = field(repr=False)
    digest_key_id: str
    created_at: int
    expires_at: int | None
    sealed_secret: bytes | None = field(default=None, repr=False)
    """The secret itself, sealed, of the clients that make MACs with it."""


_COLUMNS = [clients.c[name] for name in ClientRow.__dataclass_fields__]
_FIND = select(*_COLUMNS).where(clients.c.client_id_digest == bindparam("client_id_digest"))
_FIND_BY_PK = select(*_COLUMNS).where(clients.c.id == bindparam("client_pk"))
_LOCK_LIVE = Prepared(
    select(clients.c.id)
    .where(clients.c.id == bindparam("client_pk"), clients.c.disabled_at.is_(None), clients.c.removed_at.is_(None))
    .with_for_update(read=True)
)
_LIST = select(*_COLUMNS).where(clients.c.removed_at.is_(None)).order_by(clients.c.created_at, clients.c.id)
_SECRET_COLUMNS = [client_secrets.c[name] for name in SecretRow.__dataclass_fields__]
_FIND_SECRETS = (
    select(*_SECRET_COLUMNS)
    .where(client_secrets.c.client_pk == bindparam("client_pk"))
    .where(or_(client_secrets.c.expires_at.is_(None), client_secrets.c.expires_at > bindparam("now")))
    .order_by(client_secrets.c.created_at.desc())
)


def insert_client(
    connection: Connection,
    *,
    client_id: str,
    metadata: Mapping[str, Any],
    policy: Mapping[str, Any],
    security_profile: str,
    created_at: int,
    origin: str | None = None,
    initial_access_token_id: int | None = None,
) -> int:
    """The internal id of the new client. Raises `AlreadyTaken` for a client_id that was ever used."""
    statement = insert(clients).values(
        client_id=client_id,
        client_id_digest=digest_client_id(client_id),
        metadata=_to_json(metadata),
        policy=_to_json(policy),
        policy_version=1,
        security_profile=security_profile,
        created_at=created_at,
        origin=origin,
        initial_access_token_id=initial_access_token_id,
        last_used_at=None if origin is None else created_at,
    )
    with refusing_duplicates():
        client_pk: int = connection.execute(statement.returning(clients.c.id)).scalar_one()
    return client_pk


def find_client(connection: Connection, client_id: str) -> ClientRow | None:
    """The client, disabled and removed ones too."""
    row = connection.execute(_FIND, {"client_id_digest": digest_client_id(client_id)}).mappings().first()
    # A client_id is case-sensitive text; the digest only shortens the index.
    if row is None or row["client_id"] != client_id:
        return None
    return _read(row)


def find_client_by_pk(connection: Connection, client_pk: int) -> ClientRow | None:
    """The client of an internal id, disabled and removed ones too."""
    row = connection.execute(_FIND_BY_PK, {"client_pk": client_pk}).mappings().first()
    return None if row is None else _read(row)


def lock_client(connection: Connection, client_id: str) -> ClientRow | None:
    """The client, whose row nobody else changes until this transaction ends."""
    query = _FIND.with_for_update()
    row = connection.execute(query, {"client_id_digest": digest_client_id(client_id)}).mappings().first()
    return None if row is None or row["client_id"] != client_id else _read(row)


def lock_live_client(connection: Connection, client_pk: int) -> bool:
    """Hold the client until the transaction ends; whether it is neither disabled nor removed."""
    return _LOCK_LIVE.first(connection, {"client_pk": client_pk}) is not None


def list_clients(connection: Connection) -> tuple[ClientRow, ...]:
    """Every client that was not removed, the oldest first."""
    return tuple(_read(row) for row in connection.execute(_LIST).mappings())


def set_disabled(connection: Connection, client_pk: int, disabled_at: int | None) -> None:
    """Disable (a time) or enable (None)."""
    connection.execute(update(clients).where(clients.c.id == client_pk).values(disabled_at=disabled_at))


def update_client(
    connection: Connection,
    client_pk: int,
    *,
    metadata: Mapping[str, Any],
    policy: Mapping[str, Any],
    policy_version: int,
    security_profile: str,
) -> None:
    """Replace what a client registered, and what the operator decided about it."""
    values = {
        "metadata": _to_json(metadata),
        "policy": _to_json(policy),
        "policy_version": policy_version,
        "security_profile": security_profile,
    }
    connection.execute(update(clients).where(clients.c.id == client_pk).values(values))


def set_last_used(connection: Connection, days: Mapping[int, int]) -> None:
    """Of each client the day on which it was last used; a later one that is there stays."""
    earlier = (clients.c.id == bindparam("client_pk")) & (clients.c.last_used_at < bindparam("day"))
    statement = update(clients).where(earlier).values(last_used_at=bindparam("day"))
    # In one order, so that two processes cannot wait for each other.
    connection.execute(statement, [{"client_pk": pk, "day": day} for pk, day in sorted(days.items())])


def set_removed(connection: Connection, client_pk: int, removed_at: int) -> None:
    """Remove a client for good. The row stays, so that its client_id is never given to another."""
    connection.execute(
        update(clients).where(clients.c.id == client_pk).values(removed_at=removed_at, disabled_at=removed_at)
    )


# ----- Secrets -----


def insert_client_secret(
    connection: Connection,
    client_pk: int,
    *,
    digest: bytes,
    digest_key_id: str,
    created_at: int,
    expires_at: int | None = None,
    sealed_secret: bytes | None = None,
) -> None:
    """One more secret with which the client can authenticate itself. Raises `AlreadyTaken` for another client's."""
    statement = insert(client_secrets).values(
        client_pk=client_pk,
        digest=digest,
        digest_key_id=digest_key_id,
        created_at=created_at,
        expires_at=expires_at,
        sealed_secret=sealed_secret,
    )
    with refusing_duplicates():
        connection.execute(statement)


def find_client_secrets(connection: Connection, client_pk: int, now: int) -> tuple[SecretRow, ...]:
    """The secrets that count at `now`, the newest first."""
    rows = connection.execute(_FIND_SECRETS, {"client_pk": client_pk, "now": now})
    return tuple(SecretRow(**row) for row in rows.mappings())


def list_client_secrets(connection: Connection) -> tuple[SecretRow, ...]:
    """Every secret of every client, expired ones too: for the operator's checks."""
    return tuple(SecretRow(**row) for row in connection.execute(select(*_SECRET_COLUMNS)).mappings())


def expire_client_secrets(connection: Connection, client_pk: int, at: int) -> None:
    """Let every present secret end at `at`, or earlier where it would have ended earlier."""
    later = or_(client_secrets.c.expires_at.is_(None), client_secrets.c.expires_at > at)
    connection.execute(
        update(client_secrets).where(client_secrets.c.client_pk == client_pk).where(later).values(expires_at=at)
    )


def digest_client_id(client_id: str) -> bytes:
    """What a client is found by."""
    return hashlib.sha256(client_id.encode("utf-8", "surrogatepass")).digest()


def _to_json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _read(row: RowMapping) -> ClientRow:
    return ClientRow(**{**row, "metadata": _from_json(row["metadata"]), "policy": _from_json(row["policy"])})


def _from_json(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    # One damaged row must not hide the others; an empty policy would loosen its client, an unknown member is refused.
    return document if isinstance(document, dict) else {"damaged": True}
