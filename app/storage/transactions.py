"""Pending authorization transactions: what a client asked, kept here so that no browser can change it."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from app.storage.tables import authorization_transactions as transactions


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionRow:
    """A stored transaction; `digest` is of the cookie's secret. Without `client_pk` it is for a page of ours."""

    transaction_id: str
    digest: bytes
    digest_key_id: str
    client_pk: int | None
    request: dict[str, Any]
    session_id: int | None
    created_at: int
    expires_at: int
    used_at: int | None
    first_factor_user_id: int | None = None
    first_factor_methods: str | None = None
    first_factor_at: int | None = None
    second_factor_attempts: int | None = None


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


def set_first_factor(connection: Connection, transaction_id: str, *, user_id: int, methods: str, now: int) -> None:
    """Somebody has proven who they are by a first factor, and owes a second; attempts at that begin anew."""
    values = {
        "first_factor_user_id": user_id,
        "first_factor_methods": methods,
        "first_factor_at": now,
        "second_factor_attempts": 0,
    }
    connection.execute(update(transactions).where(transactions.c.transaction_id == transaction_id).values(**values))


def clear_first_factor(connection: Connection, transaction_id: str) -> None:
    """Whoever it was has to begin again, or has got in; attempts at a second factor begin anew with the next."""
    values = {
        "first_factor_user_id": None,
        "first_factor_methods": None,
        "first_factor_at": None,
        "second_factor_attempts": None,
    }
    connection.execute(update(transactions).where(transactions.c.transaction_id == transaction_id).values(**values))


def count_second_factor_attempt(connection: Connection, transaction_id: str) -> int:
    """Count an attempt before it is looked at, so that parallel ones cannot exceed their number; which one it is."""
    counted = func.coalesce(transactions.c.second_factor_attempts, 0) + 1
    query = update(transactions).where(transactions.c.transaction_id == transaction_id)
    number = query.values(second_factor_attempts=counted).returning(transactions.c.second_factor_attempts)
    return int(connection.execute(number).scalar_one())
