"""Pairwise subjects: one row per (person, sector), written at first use and never changed."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from app.storage.prepared import Prepared
from app.storage.tables import pairwise_subjects, users


@dataclass(frozen=True, slots=True, kw_only=True)
class PairwiseOwner:
    """Whose a pairwise subject is: the person's own subject, and the sector that knows them by it."""

    user_sub: str
    sector: str


_COLUMNS = ("user_id", "sector", "sub", "created_at")
_VALUES: dict[str, Any] = {name: bindparam(name) for name in _COLUMNS}
_FIND = Prepared(
    select(pairwise_subjects.c.sub)
    .select_from(pairwise_subjects.join(users, users.c.id == pairwise_subjects.c.user_id))
    .where(users.c.sub == bindparam("user_sub"), pairwise_subjects.c.sector == bindparam("of_sector"))
)
_FIND_USER_ID = Prepared(select(users.c.id).where(users.c.sub == bindparam("user_sub")))
_FIND_OWNER = Prepared(
    select(users.c.sub, pairwise_subjects.c.sector)
    .select_from(pairwise_subjects.join(users, users.c.id == pairwise_subjects.c.user_id))
    .where(pairwise_subjects.c.sub == bindparam("pairwise_sub"))
)
# Of two that come at once one writes; the other waits for it and then reads what it wrote.
_INSERT = Prepared(
    sqlite_insert(pairwise_subjects).values(_VALUES).on_conflict_do_nothing(index_elements=["user_id", "sector"]),
    per_dialect={
        "postgresql": postgresql_insert(pairwise_subjects)
        .values(_VALUES)
        .on_conflict_do_nothing(index_elements=["user_id", "sector"])
    },
)


def find_pairwise_subject(connection: Connection, *, user_sub: str, sector: str) -> str | None:
    """By what the sector knows the person; None before the first use."""
    row = _FIND.first(connection, {"user_sub": user_sub, "of_sector": sector})
    return None if row is None else str(row[0])


def insert_pairwise_subject(connection: Connection, *, user_sub: str, sector: str, sub: str, now: int) -> None:
    """Store `sub` unless the sector has one for the person already; which one holds is read afterwards."""
    row = _FIND_USER_ID.first(connection, {"user_sub": user_sub})
    if row is not None:
        _INSERT.run(connection, {"user_id": row[0], "sector": sector, "sub": sub, "created_at": now})


def find_pairwise_owner(connection: Connection, sub: str) -> PairwiseOwner | None:
    """Whose pairwise subject it is; None for any other text."""
    row = _FIND_OWNER.first(connection, {"pairwise_sub": sub})
    return None if row is None else PairwiseOwner(user_sub=row[0], sector=row[1])


def list_pairwise_subjects(connection: Connection, user_id: int) -> tuple[tuple[str, str], ...]:
    """By what other sectors know a person: (sector, subject)."""
    query = (
        select(pairwise_subjects.c.sector, pairwise_subjects.c.sub)
        .where(pairwise_subjects.c.user_id == user_id)
        .order_by(pairwise_subjects.c.sector)
    )
    return tuple((row[0], row[1]) for row in connection.execute(query))
