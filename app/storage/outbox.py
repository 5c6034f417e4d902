"""The outbox: what has to be told to others, written with what makes it true and delivered afterwards.

A recipient gets one message at a time, whoever delivers: a claim holds all of its messages. When one fails, all of them
wait, so that a dead recipient is asked as seldom as one message asks and holds up nobody else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on

from app.storage.tables import clients, outbox


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One message. `next_attempt_at` is None for a dead one; `client_id` is there where it is to a client of ours."""

    message_id: bytes
    kind: str
    client_pk: int | None
    recipient: str
    sealed_body: bytes = field(repr=False)
    seal_key_id: str
    created_at: int
    expires_at: int
    attempts: int
    next_attempt_at: int | None
    claimed_until: int | None
    last_error: str | None
    dead_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxView:
    """A message as the operator sees it."""

    row: OutboxRow
    client_id: str | None


_COLUMNS = [outbox.c[name] for name in OutboxRow.__dataclass_fields__]
_WAITING = outbox.c.dead_at.is_(None)


def insert_messages(connection: Connection, rows: Sequence[OutboxRow]) -> None:
    """Write messages, in the transaction that makes them true."""
    if rows:
        connection.execute(insert(outbox), [{name: getattr(row, name) for name in row.__slots__} for row in rows])


def has_due(connection: Connection, *, now: int) -> bool:
    """Whether it is worth while to claim."""
    return connection.execute(select(exists().where(_WAITING, outbox.c.next_attempt_at <= now))).scalar_one()


def claim_messages(
    connection: Connection, *, kinds: Iterable[str], most: int, now: int, claimed_until: int
) -> tuple[OutboxRow, ...]:
    """Take at most `most` messages that are due, the oldest of each recipient that nobody delivers to at present."""
    busy = select(outbox.c.recipient).where(outbox.c.claimed_until > now)
    is_due = (
        _WAITING & (outbox.c.next_attempt_at <= now) & outbox.c.kind.in_(list(kinds)) & outbox.c.recipient.not_in(busy)
    )
    if connection.dialect.name == "postgresql":
        # min() does not know bytes there.
        oldest = (
            select(outbox.c.message_id, outbox.c.attempts)
            .ext(distinct_on(outbox.c.recipient))
            .where(is_due)
            .order_by(outbox.c.recipient, outbox.c.message_id)
            .subquery()
        )
    else:
        # Beside a lone min(), SQLite takes the other columns from the row that has it.
        first = func.min(outbox.c.message_id).label("message_id")
        oldest = select(first, outbox.c.attempts).where(is_due).group_by(outbox.c.recipient).subquery()
    # Whoever has failed before comes after all whom nobody has tried: a dead tenth must not be asked twice first.
    due = select(oldest.c.message_id).order_by(oldest.c.attempts, oldest.c.message_id).limit(most)
    chosen = list(connection.execute(due).scalars())
    if not chosen:
        return ()
    # Another node may have chosen the same a moment ago: of two that wait for one row, the second finds it claimed.
    is_free = or_(outbox.c.claimed_until.is_(None), outbox.c.claimed_until <= now)
    claim = (
        update(outbox)
        .where(outbox.c.message_id.in_(chosen), _WAITING, is_free)
        .values(claimed_until=claimed_until)
        .returning(*_COLUMNS)
    )
    return tuple(_read(row) for row in connection.execute(claim).mappings())


def delete_messages(connection: Connection, message_ids: Sequence[bytes]) -> int:
    """Forget what was delivered, or dropped; how many there were."""
    if not message_ids:
        return 0
    return connection.execute(delete(outbox).where(outbox.c.message_id.in_(message_ids))).rowcount


def delete_dead_messages_to(connection: Connection, recipients: Sequence[str]) -> int:
    """Forget what could not be delivered to these; what may still arrive goes its way. How many there were."""
    dead = outbox.c.dead_at.is_not(None) & outbox.c.recipient.in_(recipients)
    return connection.execute(delete(outbox).where(dead)).rowcount


def release_recipients(connection: Connection, recipients: Sequence[str], *, now: int) -> None:
    """Somebody answers again: what waited for them is due, as far as nothing else was said."""
    if recipients:
        waits = (outbox.c.next_attempt_at > now) & outbox.c.recipient.in_(recipients)
        connection.execute(update(outbox).where(_WAITING, waits).values(next_attempt_at=now))


def postpone(connection: Connection, row: OutboxRow, *, error: str, next_attempt_at: int) -> None:
    """The message did not arrive: it, and whatever else waits for its recipient, is not tried before."""
    same = update(outbox).where(_WAITING, outbox.c.recipient == row.recipient)
    connection.execute(
        same.where(or_(outbox.c.next_attempt_at < next_attempt_at, outbox.c.message_id == row.message_id)).values(
            next_attempt_at=next_attempt_at
        )
    )
    connection.execute(
        update(outbox)
        .where(outbox.c.message_id == row.message_id)
        .values(attempts=outbox.c.attempts + 1, claimed_until=None, last_error=error)
    )


def bury(connection: Connection, row: OutboxRow, *, error: str, now: int) -> None:
    """The message will not be tried again by itself."""
    connection.execute(
        update(outbox)
        .where(outbox.c.message_id == row.message_id, _WAITING)
        .values(attempts=outbox.c.attempts + 1, dead_at=now, next_attempt_at=None, claimed_until=None, last_error=error)
    )


def bury_expired(connection: Connection, *, now: int, most: int) -> tuple[OutboxRow, ...]:
    """Give up what is past its time and in nobody's hands; what that was."""
    free = or_(outbox.c.claimed_until.is_(None), outbox.c.claimed_until <= now)
    over = select(outbox.c.message_id).where(_WAITING, outbox.c.expires_at <= now, free).limit(most)
    statement = (
        update(outbox)
        .where(outbox.c.message_id.in_(over), _WAITING)
        .values(
            dead_at=now,
            next_attempt_at=None,
            claimed_until=None,
            last_error=func.coalesce(outbox.c.last_error, "its time was over before it could be tried"),
        )
        .returning(*_COLUMNS)
    )
    return tuple(_read(row) for row in connection.execute(statement).mappings())


def list_messages(connection: Connection, *, only_dead: bool, most: int) -> tuple[OutboxView, ...]:
    """What has not arrived, the oldest first."""
    query = select(*_COLUMNS, clients.c.client_id).select_from(
        outbox.outerjoin(clients, clients.c.id == outbox.c.client_pk)
    )
    if only_dead:
        query = query.where(outbox.c.dead_at.is_not(None))
    rows = connection.execute(query.order_by(outbox.c.message_id).limit(most)).mappings()
    return tuple(_view(row) for row in rows)


def find_message(connection: Connection, message_id: bytes) -> OutboxView | None:
    """One message."""
    query = select(*_COLUMNS, clients.c.client_id).select_from(
        outbox.outerjoin(clients, clients.c.id == outbox.c.client_pk)
    )
    row = connection.execute(query.where(outbox.c.message_id == message_id)).mappings().first()
    return None if row is None else _view(row)


def revive(connection: Connection, message_id: bytes, *, now: int, expires_at: int) -> None:
    """Try a message again at once, dead or not, until `expires_at`."""
    statement = update(outbox).where(outbox.c.message_id == message_id)
    connection.execute(
        statement.values(attempts=0, next_attempt_at=now, claimed_until=None, dead_at=None, expires_at=expires_at)
    )


def list_dead_ids(connection: Connection) -> tuple[bytes, ...]:
    """Every dead message."""
    query = select(outbox.c.message_id).where(outbox.c.dead_at.is_not(None)).order_by(outbox.c.message_id)
    return tuple(connection.execute(query).scalars())


def count_messages(connection: Connection) -> tuple[int, int]:
    """How many wait, and how many are dead."""
    waiting = select(func.count()).select_from(outbox).where(_WAITING)
    dead = select(func.count()).select_from(outbox).where(outbox.c.dead_at.is_not(None))
    return connection.execute(waiting).scalar_one(), connection.execute(dead).scalar_one()


def _read(row: RowMapping) -> OutboxRow:
    return OutboxRow(**{name: row[name] for name in OutboxRow.__slots__})


def _view(row: RowMapping) -> OutboxView:
    values: dict[str, Any] = dict(row)
    client_id = values.pop("client_id")
    return OutboxView(row=OutboxRow(**values), client_id=client_id)
