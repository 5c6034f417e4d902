"""Status lists: which there are, the blocks of counters that are leased from them, and the bits that are set."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from app.storage.tables import clients, status_blocks, status_lists, status_revocations


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusListRow:
    """A list. Times in milliseconds; `closed_at` None: indices may still be given out."""

    id: int
    list_id: str
    digest_key_id: str
    next_counter: int
    created_at: int
    closed_at: int | None
    expires_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedBlock:
    """Counters whose tokens are all revoked."""

    status_list_pk: int
    first_counter: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedTokens:
    """What was revoked: single bits as (list, index), and whole blocks."""

    bits: Sequence[tuple[int, int]]
    blocks: Sequence[RevokedBlock]


def list_status_lists(connection: Connection) -> tuple[StatusListRow, ...]:
    """Every list that there is, the oldest first."""
    rows = connection.execute(select(status_lists).order_by(status_lists.c.id))
    return tuple(StatusListRow(**row) for row in rows.mappings())


def insert_status_list(connection: Connection, *, list_id: str, digest_key_id: str, now: int) -> None:
    """Add a list. Like closing and dropping one, it is announced by the caller (`changes.bump`)."""
    values = {"list_id": list_id, "digest_key_id": digest_key_id, "next_counter": 0, "created_at": now}
    connection.execute(insert(status_lists).values(values))


def close_status_list(connection: Connection, pk: int, *, now: int, expires_at: int) -> None:
    """Let no more counters be taken from a list."""
    still_open = (status_lists.c.id == pk) & status_lists.c.closed_at.is_(None)
    connection.execute(update(status_lists).where(still_open).values(closed_at=now, expires_at=expires_at))


def take_counters(
    connection: Connection, pk: int, *, length: int, most: int, client_pk: int | None, now: int
) -> int | None:
    """The first of `length` counters that are the caller's alone, recorded as a block; None where there are no more."""
    statement = (
        update(status_lists)
        .where(
            status_lists.c.id == pk,
            status_lists.c.closed_at.is_(None),
            status_lists.c.next_counter + length <= most,
        )
        .values(next_counter=status_lists.c.next_counter + length)
        .returning(status_lists.c.next_counter)
    )
    after = connection.execute(statement).scalar_one_or_none()
    if after is None:
        return None
    block = {
        "status_list_pk": pk,
        "first_counter": after - length,
        "length": length,
        "client_pk": client_pk,
        "leased_at": now,
    }
    connection.execute(insert(status_blocks).values(block))
    first: int = after - length
    return first


def lock_living_client(connection: Connection, client_pk: int) -> bool:
    """Whether the client lives; it then stays so until the transaction ends."""
    lives = (clients.c.id == client_pk) & clients.c.disabled_at.is_(None) & clients.c.removed_at.is_(None)
    statement = select(clients.c.id).where(lives).with_for_update(read=True)
    return connection.execute(statement).first() is not None


def read_revoked(connection: Connection, *, after_version: int) -> RevokedTokens:
    """What was revoked after a version of `changes`.

    It is complete up to the version that was read before, and may hold some of what came since.
    """
    bits = connection.execute(
        select(status_revocations.c.status_list_pk, status_revocations.c.status_index).where(
            status_revocations.c.revoked_version > after_version
        )
    )
    blocks = connection.execute(
        select(status_blocks.c.status_list_pk, status_blocks.c.first_counter, status_blocks.c.length).where(
            status_blocks.c.revoked_version > after_version
        )
    )
    return RevokedTokens(
        bits=[(row[0], row[1]) for row in bits],
        blocks=[RevokedBlock(status_list_pk=row[0], first_counter=row[1], length=row[2]) for row in blocks],
    )


def drop_status_list(connection: Connection, pk: int, *, most_rows: int) -> bool:
    """Delete a list with all that is on it, at most `most_rows` of them at a time; whether it is gone."""
    for table, key in (
        (status_revocations, status_revocations.c.status_index),
        (status_blocks, status_blocks.c.first_counter),
    ):
        batch = select(key).where(table.c.status_list_pk == pk).limit(most_rows)
        deleted = connection.execute(delete(table).where(table.c.status_list_pk == pk, key.in_(batch)))
        if deleted.rowcount >= most_rows:
            return False
    connection.execute(delete(status_lists).where(status_lists.c.id == pk))
    return True
