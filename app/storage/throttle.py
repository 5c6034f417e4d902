"""Counters of login attempts, in the database so that every node counts together."""

from dataclasses import dataclass

from sqlalchemy import Connection, case, delete, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from app.storage.tables import login_throttle


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleCount:
    """Attempts in the current window, and when it ends."""

    attempts: int
    window_ends_at: int


def count_attempt(connection: Connection, key: bytes, *, now: int, window_ms: int) -> ThrottleCount:
    """One attempt more, in one statement: parallel attempts each see their own number."""
    upsert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    ended = login_throttle.c.window_ends_at <= now
    statement = (
        upsert(login_throttle)
        .values(key=key, failures=1, window_ends_at=now + window_ms)
        .on_conflict_do_update(
            index_elements=["key"],
            set_={
                "failures": case((ended, 1), else_=login_throttle.c.failures + 1),
                "window_ends_at": case((ended, now + window_ms), else_=login_throttle.c.window_ends_at),
            },
        )
        .returning(login_throttle.c.failures, login_throttle.c.window_ends_at)
    )
    row = connection.execute(statement).one()
    return ThrottleCount(attempts=row[0], window_ends_at=row[1])


def forget_attempts(connection: Connection, key: bytes) -> None:
    """The count starts anew: the attempt was the right person's."""
    connection.execute(delete(login_throttle).where(login_throttle.c.key == key))


def forgive_attempt(connection: Connection, key: bytes) -> None:
    """One attempt less: it was right. A window that has ended meanwhile has nothing to forgive."""
    connection.execute(
        update(login_throttle)
        .where(login_throttle.c.key == key, login_throttle.c.failures > 0)
        .values(failures=login_throttle.c.failures - 1)
    )
