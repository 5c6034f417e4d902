"""Counters of what can be guessed, in the database so that every node counts together.

Each is a bucket that leaks: `window_ends_at` is when it will be empty again, `failures` how often it was counted since
it was last empty, and `blocked_until` when the next attempt may be made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from app.storage.tables import login_throttle

_ends_at = login_throttle.c.window_ends_at
_blocked_until = func.coalesce(login_throttle.c.blocked_until, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleCount:
    """Attempts in the current window, and when it ends."""

    attempts: int
    window_ends_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """How much a counter holds before it makes people wait, how fast it leaks, and how long the waits are."""

    free: int
    leak_ms: int
    waits_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessCount:
    """Whether a guess may be made now; `blocked_until` is what then holds for the next one, or what held against it."""

    is_admitted: bool
    failures: int
    blocked_until: int


def count_attempt(connection: Connection, key: bytes, *, now: int, window_ms: int) -> ThrottleCount:
    """One attempt more, in one statement: parallel attempts each see their own number."""
    upsert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    ended = _ends_at <= now
    statement = (
        upsert(login_throttle)
        .values(key=key, failures=1, window_ends_at=now + window_ms)
        .on_conflict_do_update(
            index_elements=["key"],
            set_={
                "failures": case((ended, 1), else_=login_throttle.c.failures + 1),
                "window_ends_at": case((ended, now + window_ms), else_=_ends_at),
            },
        )
        .returning(login_throttle.c.failures, _ends_at)
    )
    row = connection.execute(statement).one()
    return ThrottleCount(attempts=row[0], window_ends_at=row[1])


def count_guess(
    connection: Connection, key: bytes, bucket: Bucket, *, now: int, about: bytes | None = None
) -> GuessCount:
    """One guess more where none has to be waited for, in one statement: parallel guesses cannot exceed the bucket."""
    upsert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    is_empty = _ends_at <= now
    ends_at = case((is_empty, now), else_=_ends_at) + bucket.leak_ms
    statement = (
        upsert(login_throttle)
        .values(key=key, failures=1, window_ends_at=now + bucket.leak_ms, blocked_until=0, about=about)
        .on_conflict_do_update(
            index_elements=["key"],
            set_={
                "failures": case((is_empty, 1), else_=login_throttle.c.failures + 1),
                "window_ends_at": ends_at,
                "blocked_until": _next_block(bucket, ends_at, now=now),
            },
            where=_blocked_until <= now,
        )
        .returning(login_throttle.c.failures, login_throttle.c.blocked_until)
    )
    row = connection.execute(statement).first()
    if row is not None:
        return GuessCount(is_admitted=True, failures=row[0], blocked_until=row[1])
    held = connection.execute(
        select(login_throttle.c.failures, _blocked_until).where(login_throttle.c.key == key)
    ).first()
    # Another one was forgiven between the two statements: the next try will see it.
    failures, blocked_until = (0, now) if held is None else (held[0], held[1])
    return GuessCount(is_admitted=False, failures=failures, blocked_until=blocked_until)


def forgive_guess(connection: Connection, key: bytes, bucket: Bucket, *, blocked_until: int, now: int) -> None:
    """One guess less, and the wait that it began (`blocked_until`) with it."""
    ends_at = _ends_at - bucket.leak_ms
    is_over = or_(ends_at <= now + (bucket.free - 1) * bucket.leak_ms, _blocked_until == blocked_until)
    connection.execute(
        update(login_throttle)
        .where(login_throttle.c.key == key, login_throttle.c.failures > 0)
        .values(
            failures=login_throttle.c.failures - 1,
            window_ends_at=ends_at,
            blocked_until=case((is_over, 0), else_=_blocked_until),
        )
    )


def forget_attempts(connection: Connection, key: bytes) -> None:
    """The count starts anew: the attempt was the right person's."""
    connection.execute(delete(login_throttle).where(login_throttle.c.key == key))


def find_blocked_until(connection: Connection, key: bytes, *, now: int) -> int | None:
    """Until when nothing may be guessed there; None where it may."""
    query = select(login_throttle.c.blocked_until).where(
        and_(login_throttle.c.key == key, login_throttle.c.blocked_until > now)
    )
    until: int | None = connection.execute(query).scalar()
    return until


def forget_about(connection: Connection, about: bytes) -> int:
    """Forget whatever was counted about an account; how many counters."""
    return connection.execute(delete(login_throttle).where(login_throttle.c.about == about)).rowcount


def find_longest_block(connection: Connection, about: Sequence[bytes], *, now: int) -> int | None:
    """Until when guesses about an account have to wait somewhere; None where none has to."""
    query = select(func.max(login_throttle.c.blocked_until)).where(
        and_(login_throttle.c.about.in_(about), login_throttle.c.blocked_until > now)
    )
    until: int | None = connection.execute(query).scalar()
    return until


def _next_block(bucket: Bucket, ends_at: ColumnElement[int], *, now: int) -> ColumnElement[int]:
    """The fuller, the longer: the first wait with the last free guess, and the longest one ever after."""
    steps = [
        (ends_at > now + (bucket.free - 1 + number) * bucket.leak_ms, literal(now + wait_ms))
        for number, wait_ms in enumerate(bucket.waits_ms)
    ]
    return case(*reversed(steps), else_=0)
