"""Migrations: one step, one transaction, one migrator at a time.

Each step takes the lock, looks at the revision only then, and commits the changes and the new revision together. So two
migrators take turns and the second finds nothing to do, and one that was killed leaves the database at the step before.
Both databases have transactional DDL; SQLite's driver commits nothing by itself because our transactions are explicit.
"""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

import migrations
from app.storage.bounded_connection import waiting_as_long_as_it_takes
from app.storage.database import Database, DatabaseUnavailable
from app.storage.schema import SchemaError, find_revision, judge_revision
from app.storage.tables import metadata

# An arbitrary number that names the migrator's lock among PostgreSQL's advisory locks.
_MIGRATOR_LOCK = 7_064_310
_WAIT_FOR_OTHERS_S = 60


def upgrade(database: Database) -> tuple[str, ...]:
    """Run every migration that is missing; the revisions that were reached, in order, none if there was nothing to do.

    Raises `SchemaError` where the schema is newer or another program's, `DatabaseUnavailable` where it cannot be done;
    running it again is always safe.
    """
    reached: list[str] = []
    while revision := _locked_step(database, _upgrade_one_step):
        reached.append(revision)
    return tuple(reached)


def downgrade(database: Database) -> None:
    """Take every migration back, the data with them."""
    while _locked_step(database, _downgrade_one_step):
        pass


def latest_revision() -> str:
    """The newest revision among the migration files."""
    return ScriptDirectory.from_config(_config()).get_heads()[0]


def find_differences(connection: Connection) -> tuple[str, ...]:
    """How the database's tables differ from the declared ones, as `alembic check` would tell; none is right."""
    context = MigrationContext.configure(connection, opts={"target_metadata": metadata, "compare_type": True})
    return tuple(str(difference) for difference in compare_metadata(context, metadata))


def _locked_step(database: Database, step: Callable[[Connection], str | None]) -> str | None:
    deadline = time.monotonic() + _WAIT_FOR_OTHERS_S

    def work(connection: Connection) -> str | None:
        with waiting_as_long_as_it_takes(connection):
            _take_migrator_lock(connection)
            return step(connection)

    while True:
        try:
            return database.transact(work)
        except DatabaseUnavailable as error:
            # SQLite has no queue: another migrator holds the write lock, and its step may take a while.
            if not _is_busy(error) or time.monotonic() > deadline:
                raise


def _take_migrator_lock(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        return
    # SET LOCAL ends with the transaction. An index over a large table may take its time; waiting for a lock on a table
    # may not, because everybody who comes after waits behind it.
    connection.execute(text(f"SET LOCAL lock_timeout = '{_WAIT_FOR_OTHERS_S}s'"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATOR_LOCK})
    connection.execute(text("SET LOCAL lock_timeout = '3s'"))


def _upgrade_one_step(connection: Connection) -> str | None:
    state = judge_revision(find_revision(connection))
    if state.state in ("newer", "foreign"):
        raise SchemaError(state.explain())
    # Names begin with the number of the migration; a compatible one may be ahead of us.
    if state.revision is not None and state.revision >= latest_revision():
        return None
    command.upgrade(_config(connection), "+1")
    return find_revision(connection)


def _downgrade_one_step(connection: Connection) -> str | None:
    revision = find_revision(connection)
    if revision is not None:
        command.downgrade(_config(connection), "-1")
    return revision


def _is_busy(error: DatabaseUnavailable) -> bool:
    cause = getattr(error.__cause__, "orig", error.__cause__)
    # The low byte; the rest tells why exactly.
    return isinstance(cause, sqlite3.OperationalError) and (cause.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_BUSY


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    location = Path(migrations.__file__).parent
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
