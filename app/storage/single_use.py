"""The only way to spend what may be used once: one statement that finds it unused, unexpired, and marks it.

However many try at the same moment, in however many processes, exactly one sees its row returned.
"""

from sqlalchemy import Connection, Table, bindparam, update

from app.storage.prepared import Prepared
from app.storage.tables import authorization_codes, authorization_transactions


def _redemption(table: Table, key: str) -> Prepared:
    return Prepared(
        update(table)
        .where(
            table.c[key] == bindparam("spent_key"),
            table.c.used_at.is_(None),
            table.c.expires_at > bindparam("spent_at"),
        )
        .values(used_at=bindparam("spent_at"))
        .returning(table.c[key])
    )


_REDEMPTIONS = {
    "authorization_codes": _redemption(authorization_codes, "digest"),
    "authorization_transactions": _redemption(authorization_transactions, "transaction_id"),
}


def redeem_once(connection: Connection, kind: str, key: bytes | str, *, now: int) -> bool:
    """Spend one thing; whether this call was the one that did. Does not say why it was not: used, expired, unknown."""
    return _REDEMPTIONS[kind].first(connection, {"spent_key": key, "spent_at": now}) is not None
