"""The only way to spend what may be used once: one statement that finds it unused, unexpired, and marks it; or, for
what was never stored before it came (a proof, an assertion), one that finds nobody's mark and leaves its own.

However many try at the same moment, in however many processes, exactly one sees its row returned.
"""

from typing import Any

from sqlalchemy import Connection, Table, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from app.storage.prepared import Prepared
from app.storage.tables import (
    authorization_codes,
    authorization_transactions,
    email_links,
    logout_requests,
    recovery_codes,
    refresh_tokens,
    upstream_transactions,
    used_identifiers,
)


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
    "refresh_tokens": _redemption(refresh_tokens, "digest"),
    "email_links": _redemption(email_links, "digest"),
    "logout_requests": _redemption(logout_requests, "request_id"),
    "upstream_transactions": _redemption(upstream_transactions, "digest"),
}

# A person's codes do not expire; a code of somebody else's is none.
_REDEEM_RECOVERY_CODE = Prepared(
    update(recovery_codes)
    .where(
        recovery_codes.c.digest == bindparam("spent_key"),
        recovery_codes.c.user_id == bindparam("owner_id"),
        recovery_codes.c.used_at.is_(None),
    )
    .values(used_at=bindparam("spent_at"))
    .returning(recovery_codes.c.digest)
)

_MARK_VALUES: dict[str, Any] = {column.name: bindparam(column.name) for column in used_identifiers.c}
_MARK = {
    name: upsert(used_identifiers)
    .values(_MARK_VALUES)
    .on_conflict_do_nothing(index_elements=["digest"])
    .returning(used_identifiers.c.digest)
    for name, upsert in (("postgresql", postgresql_insert), ("sqlite", sqlite_insert))
}
_USE = Prepared(_MARK["sqlite"], per_dialect=_MARK)
_FIND_MARK = Prepared(select(used_identifiers.c.digest).where(used_identifiers.c.digest == bindparam("digest")))


def redeem_once(connection: Connection, kind: str, key: bytes | str, *, now: int) -> bool:
    """Spend one thing; whether this call was the one that did. Does not say why it was not: used, expired, unknown."""
    return _REDEMPTIONS[kind].first(connection, {"spent_key": key, "spent_at": now}) is not None


def redeem_recovery_code(connection: Connection, digest: bytes, *, user_id: int, now: int) -> bool:
    """Spend one code of a person; whether this call was the one that did."""
    spent = {"spent_key": digest, "owner_id": user_id, "spent_at": now}
    return _REDEEM_RECOVERY_CODE.first(connection, spent) is not None


def use_once(connection: Connection, digest: bytes, *, expires_at: int) -> bool:
    """Use what had no row before it came; whether this call was the first. Its mark stays until `expires_at`.

    Another transaction with the same mark is waited for; if that one is taken back, this one is the first.
    """
    return _USE.first(connection, {"digest": digest, "expires_at": expires_at}) is not None


def is_used(connection: Connection, digest: bytes) -> bool:
    """Whether somebody has used it. False proves nothing: only `use_once` decides among those who come together."""
    return _FIND_MARK.first(connection, {"digest": digest}) is not None
