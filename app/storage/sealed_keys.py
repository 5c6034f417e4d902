"""The data keys, wrapped by the key-encryption key."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from app.storage.tables import sealed_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedKeyRow:
    """A data key as it lies in the database: useless without the key-encryption key."""

    key_id: str
    purpose: str
    kek_fingerprint: str
    sealed_key: bytes
    created_at: int
    retired_at: int | None


def insert_sealed_key(connection: Connection, row: SealedKeyRow) -> None:
    """Store a new data key."""
    connection.execute(
        insert(sealed_keys).values(
            key_id=row.key_id,
            purpose=row.purpose,
            kek_fingerprint=row.kek_fingerprint,
            sealed_key=row.sealed_key,
            created_at=row.created_at,
            retired_at=row.retired_at,
        )
    )


def list_sealed_keys(connection: Connection) -> tuple[SealedKeyRow, ...]:
    """Every data key, the oldest first."""
    rows = connection.execute(select(sealed_keys).order_by(sealed_keys.c.created_at, sealed_keys.c.key_id))
    return tuple(SealedKeyRow(**row) for row in rows.mappings())
