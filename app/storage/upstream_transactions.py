"""Logins that were sent to another provider, and are awaited back."""

from dataclasses import dataclass, field

from sqlalchemy import Connection, insert, select, update

from app.storage.tables import upstream_transactions as transactions


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTransactionRow:
    """One of them; `digest` is of its `state`. `transaction_id` is ours that goes on afterwards, empty for none."""

    digest: bytes
    digest_key_id: str
    provider_id: int
    purpose: str
    transaction_id: str
    sealed_body: bytes = field(repr=False)
    seal_key_id: str
    created_at: int
    expires_at: int
    used_at: int | None


def insert_upstream_transaction(connection: Connection, row: UpstreamTransactionRow) -> None:
    """Store a new one."""
    connection.execute(insert(transactions), {name: getattr(row, name) for name in row.__slots__})


def find_upstream_transaction(connection: Connection, digests: tuple[bytes, ...]) -> UpstreamTransactionRow | None:
    """The one of a `state`, spent and expired ones too."""
    row = connection.execute(select(transactions).where(transactions.c.digest.in_(digests))).mappings().first()
    return None if row is None else UpstreamTransactionRow(**row)


def find_latest_returned(connection: Connection, transaction_id: str) -> UpstreamTransactionRow | None:
    """The last login that came back for a transaction of ours, and has left something to remember."""
    query = select(transactions).where(
        transactions.c.transaction_id == transaction_id,
        transactions.c.used_at.is_not(None),
        transactions.c.purpose == "returned",
    )
    row = connection.execute(query.order_by(transactions.c.used_at.desc()).limit(1)).mappings().first()
    return None if row is None else UpstreamTransactionRow(**row)


def keep_returned(connection: Connection, digest: bytes, *, sealed_body: bytes, seal_key_id: str) -> None:
    """What a login that has come back leaves for the session that begins later, after a second factor."""
    statement = update(transactions).where(transactions.c.digest == digest)
    connection.execute(statement.values(purpose="returned", sealed_body=sealed_body, seal_key_id=seal_key_id))
