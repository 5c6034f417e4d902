"""How many logins there were in each few minutes, and how many of them failed on devices that nobody knew."""

from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from app.storage.tables import login_rates, login_throttle


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRate:
    """Logins since `since` (the first that is known of), and the failures of unknown devices among them."""

    since: int | None
    attempts: int
    failures: int


def add_logins(connection: Connection, *, slot_began_at: int, attempts: int, failures: int) -> None:
    """What one process has seen since it last said so."""
    upsert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    connection.execute(
        upsert(login_rates)
        .values(slot_began_at=slot_began_at, attempts=attempts, failures=failures)
        .on_conflict_do_update(
            index_elements=["slot_began_at"],
            set_={"attempts": login_rates.c.attempts + attempts, "failures": login_rates.c.failures + failures},
        )
    )


def sum_logins(connection: Connection, *, since: int, before: int) -> LoginRate:
    """All of the slots that began in a time."""
    columns = login_rates.c
    query = select(func.min(columns.slot_began_at), func.sum(columns.attempts), func.sum(columns.failures))
    row = connection.execute(query.where(columns.slot_began_at >= since, columns.slot_began_at < before)).one()
    return LoginRate(since=row[0], attempts=int(row[1] or 0), failures=int(row[2] or 0))


def raise_alarm(connection: Connection, key: bytes, *, until: int, now: int) -> bool:
    """Keep an alarm on until then; whether it is this call that put it on."""
    upsert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    was_off = func.coalesce(login_throttle.c.blocked_until, 0) <= now
    statement = (
        upsert(login_throttle)
        .values(key=key, failures=1, window_ends_at=until, blocked_until=until)
        .on_conflict_do_update(
            index_elements=["key"],
            set_={
                # 1 for who puts it on, more for who only prolongs it.
                "failures": case((was_off, 1), else_=login_throttle.c.failures + 1),
                "window_ends_at": until,
                "blocked_until": until,
            },
        )
        .returning(login_throttle.c.failures)
    )
    return bool(connection.execute(statement).scalar_one() == 1)
