"""The server's keys: pending (published, unused), standby (published, for emergencies), active, retired, removed.

Those that decrypt stand in the same table under states of their own names: a server of the version before, which knows
none, passes over them.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, text, update

from app.storage.tables import signing_keys

KeyState = Literal["pending", "standby", "active", "retired", "removed"]
PUBLISHED_STATES: tuple[KeyState, ...] = ("pending", "standby", "active", "retired")

# To what clients can encrypt: one key of each.
DECRYPTION_ALGORITHMS = ("RSA-OAEP-256", "ECDH-ES")
_DECRYPTION_PREFIX = "decryption_"

# An arbitrary number that names the rotator's lock among PostgreSQL's advisory locks.
_ROTATOR_LOCK = 7_064_311


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeyRow:
    """A key as stored; the private half is sealed, and gone once a key that signs has retired."""

    kid: str
    alg: str
    state: KeyState
    public_jwk: dict[str, Any]
    sealed_private_jwk: bytes | None = field(repr=False)
    seal_key_id: str
    published_at: int
    active_at: int | None = None
    retired_at: int | None = None
    removed_at: int | None = None


def lock_rotator(connection: Connection) -> None:
    """Let one rotation at a time go on; ends with the transaction. On SQLite the write lock does this already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ROTATOR_LOCK})


def insert_signing_key(connection: Connection, row: SigningKeyRow) -> None:
    """Store a new key."""
    connection.execute(
        insert(signing_keys).values(
            kid=row.kid,
            alg=row.alg,
            state=_stored_state(row.alg, row.state),
            public_jwk=json.dumps(row.public_jwk, sort_keys=True),
            sealed_private_jwk=row.sealed_private_jwk,
            seal_key_id=row.seal_key_id,
            published_at=row.published_at,
            active_at=row.active_at,
        )
    )


def list_signing_keys(connection: Connection) -> tuple[SigningKeyRow, ...]:
    """Every key, removed ones too, the oldest first."""
    rows = connection.execute(select(signing_keys).order_by(signing_keys.c.published_at, signing_keys.c.kid))
    return tuple(
        SigningKeyRow(
            **{
                **row,
                "public_jwk": json.loads(row["public_jwk"]),
                "state": row["state"].removeprefix(_DECRYPTION_PREFIX),
            }
        )
        for row in rows.mappings()
    )


def find_signing_key(connection: Connection, kid: str) -> SigningKeyRow | None:
    """One key that signs or signed, removed or not."""
    is_it = (signing_keys.c.kid == kid) & signing_keys.c.alg.not_in(DECRYPTION_ALGORITHMS)
    row = connection.execute(select(signing_keys).where(is_it)).mappings().first()
    return None if row is None else SigningKeyRow(**{**row, "public_jwk": json.loads(row["public_jwk"])})


def activate(connection: Connection, row: SigningKeyRow, *, now: int) -> None:
    """From pending or standby to active."""
    state = _stored_state(row.alg, "active")
    connection.execute(update(signing_keys).where(signing_keys.c.kid == row.kid).values(state=state, active_at=now))


def retire(connection: Connection, row: SigningKeyRow, *, now: int) -> None:
    """From active to retired. What was signed needs the public half only; what was encrypted, the private one."""
    state = _stored_state(row.alg, "retired")
    erased = {} if row.alg in DECRYPTION_ALGORITHMS else {"sealed_private_jwk": None}
    connection.execute(
        update(signing_keys).where(signing_keys.c.kid == row.kid).values(state=state, retired_at=now, **erased)
    )


def remove(connection: Connection, kid: str, *, now: int) -> None:
    """Out of the published set; the public half stays here, so that an old `id_token_hint` can be checked."""
    connection.execute(
        update(signing_keys)
        .where(signing_keys.c.kid == kid)
        .values(state="removed", removed_at=now, sealed_private_jwk=None)
    )


def _stored_state(alg: str, state: KeyState) -> str:
    return f"{_DECRYPTION_PREFIX}{state}" if alg in DECRYPTION_ALGORITHMS and state != "removed" else state
