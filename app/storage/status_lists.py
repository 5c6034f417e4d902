"""Status lists: which there are, the blocks of counters that are leased from them, and the bits that are set."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from app.storage.clients import digest_client_id
from app.storage.prepared import Prepared
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
    revoked_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedTokens:
    """What was revoked: single bits as (list, index, time), and whole blocks."""

    bits: Sequence[tuple[int, int, int]]
    blocks: Sequence[RevokedBlock]


_FIND_MACHINE_PLACE = Prepared(
    select(
        *(status_lists.c[name] for name in StatusListRow.__slots__),
        clients.c.id,
        clients.c.disabled_at,
        clients.c.removed_at,
        status_revocations.c.status_index,
    )
    .select_from(
        status_lists.join(clients, clients.c.client_id_digest == bindparam("client_id_digest")).outerjoin(
            status_revocations,
            (status_revocations.c.status_list_pk == status_lists.c.id)
            & (status_revocations.c.status_index == bindparam("place")),
        )
    )
    .where(status_lists.c.list_id == bindparam("list_id"))
)
_FIND_BLOCK = Prepared(
    select(status_blocks.c.first_counter, status_blocks.c.length, status_blocks.c.client_pk, status_blocks.c.revoked_at)
    .where(
        status_blocks.c.status_list_pk == bindparam("list_pk"), status_blocks.c.first_counter <= bindparam("counter")
    )
    .order_by(status_blocks.c.first_counter.desc())
    .limit(1)
)

_FIND_BIT = Prepared(
    select(status_revocations.c.status_index).where(
        status_revocations.c.status_list_pk == bindparam("list_pk"),
        status_revocations.c.status_index == bindparam("place"),
    )
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinePlace:
    """The list that a machine's token names, and its client. `is_revoked`: the token's own bit is set."""

    status_list: StatusListRow
    client_pk: int
    client_is_live: bool
    is_revoked: bool


def find_machine_place(connection: Connection, *, list_id: str, index: int, client_id: str) -> MachinePlace | None:
    """What there is to know of a machine's token that has this place; None without such a list or client.

    Does not say whether the place was ever given to that client: see `is_in_living_block`.
    """
    parameters = {"list_id": list_id, "place": index, "client_id_digest": digest_client_id(client_id)}
    row = _FIND_MACHINE_PLACE.first(connection, parameters)
    if row is None:
        return None
    *columns, client_pk, disabled_at, removed_at, revoked = row
    return MachinePlace(
        status_list=StatusListRow(**dict(zip(StatusListRow.__slots__, columns, strict=True))),
        client_pk=client_pk,
        client_is_live=disabled_at is None and removed_at is None,
        is_revoked=revoked is not None,
    )


def is_in_living_block(connection: Connection, status_list_pk: int, *, counter: int, client_pk: int) -> bool:
    """Whether the counter was leased for this client, and the block that it is in has not been revoked."""
    row = _FIND_BLOCK.first(connection, {"list_pk": status_list_pk, "counter": counter})
    if row is None:
        return False
    first_counter, length, owner, revoked_at = row
    return counter < first_counter + length and owner == client_pk and revoked_at is None


def is_bit_set(connection: Connection, status_list_pk: int, status_index: int) -> bool:
    """Whether this one token was revoked."""
    row = _FIND_BIT.first(connection, {"list_pk": status_list_pk, "place": status_index})
    return row is not None


def read_revoked(connection: Connection, *, after_version: int) -> RevokedTokens:
    """What was revoked after a version of `changes`.

    It is complete up to the version that was read before, and may hold some of what came since.
    """
    bits = connection.execute(
        select(
            status_revocations.c.status_list_pk, status_revocations.c.status_index, status_revocations.c.revoked_at
        ).where(status_revocations.c.revoked_version > after_version)
    )
    blocks = connection.execute(
        select(
            status_blocks.c.status_list_pk,
            status_blocks.c.first_counter,
            status_blocks.c.length,
            status_blocks.c.revoked_at,
        ).where(status_blocks.c.revoked_version > after_version)
    )
    return RevokedTokens(
        bits=[(row[0], row[1], row[2]) for row in bits],
        blocks=[RevokedBlock(**row) for row in blocks.mappings()],
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
