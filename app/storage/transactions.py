"""Pending authorization transactions: what a client asked, kept here so that no browser can change it."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from app.storage.tables import authorization_transactions as transactions


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionRow:
    """A stored transaction; `digest` is of the cookie's secret."""

    transaction_id: str
    digest: bytes
    digest_key_id: str
    client_pk: int
    request: dict[str, Any]
    session_id: int | None
    created_at: int
    expires_at: int
    used_at: int | None


_INSERT = insert(transactions)
_FIND = select(transactions)


def insert_transaction(connection: Connection, row: TransactionRow) -> None:
    """Store a new transaction."""
    values = {name: getattr(row, name) for name in row.__slots__}
    connection.execute(_INSERT, {**values, "request": json.dumps(row.request, separators=(",", ":"))})


def find_transaction(connection: Connection, transaction_id: str) -> TransactionRow | None:
    """The transaction, ended and expired ones too."""
    row = connection.execute(_FIND.where(transactions.c.transaction_id == transaction_id)).mappings().first()
    return None if row is None else TransactionRow(**{**row, "request": json.loads(row["request"])})


def bind_transaction(connection: Connection, transaction_id: str, session_id: int) -> None:
    """The person who will decide is the one of this session."""
    connection.execute(
        update(transactions).where(transactions.c.transaction_id == transaction_id).values(session_id=session_id)
    )
