"""Migrations: up and down, two at once, killed at any statement; and which schemas the program serves."""

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, inspect, text

from app.storage import migrate, schema
from app.storage.database import Database, DatabaseUnavailable
from app.storage.tables import metadata
from tests.databases import fresh_database_url
from tests.forked import ForkedProcess

REVISIONS = ("0001_since_0001", "0002_since_0001", "0003_since_0002", "0004_since_0003", "0005_since_0004")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.dispose()


def table_names(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}


def read_state(database: Database) -> schema.SchemaState:
    with database.reading() as connection:
        return schema.read_state(connection)


def set_revision(database: Database, revision: str) -> None:
    database.transact(
        lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = :r"), {"r": revision})
    )


def test_upgrade_makes_exactly_the_declared_tables(database: Database) -> None:
    assert migrate.upgrade(database) == REVISIONS
    assert table_names(database) == set(metadata.tables)
    with database.reading() as connection:
        assert migrate.find_differences(connection) == ()


def test_a_second_upgrade_finds_nothing_to_do(database: Database) -> None:
    migrate.upgrade(database)
    assert migrate.upgrade(database) == ()


def test_downgrade_leaves_no_table_and_the_way_up_is_open_again(database: Database) -> None:
    migrate.upgrade(database)
    migrate.downgrade(database)
    assert table_names(database) == set()
    assert read_state(database).state == "empty"
    migrate.upgrade(database)
    assert table_names(database) == set(metadata.tables)


def test_a_column_that_is_missing_is_a_difference(database: Database) -> None:
    migrate.upgrade(database)
    database.transact(lambda connection: connection.execute(text("ALTER TABLE deployment DROP COLUMN rp_id")))
    with database.reading() as connection:
        (difference,) = migrate.find_differences(connection)
    assert "rp_id" in difference


def test_two_migrators_at_once_take_turns(database: Database, database_url: str) -> None:
    other = Database(database_url)
    with ThreadPoolExecutor(2) as pool:
        reached = list(pool.map(migrate.upgrade, (database, other)))
    other.dispose()
    assert sorted(revision for each in reached for revision in each) == list(REVISIONS)
    assert read_state(database).state == "current"


def test_a_migrator_waits_for_one_that_holds_the_lock(database: Database, database_url: str) -> None:
    other = Database(database_url)
    with ThreadPoolExecutor(1) as pool:

        def hold_the_lock(connection: Connection) -> object:
            connection.execute(text("SELECT 1"))
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(7064310)"))
            waiting = pool.submit(migrate.upgrade, other)
            # Longer than SQLite's own busy timeout: the wait is the migrator's.
            with pytest.raises(TimeoutError):
                waiting.result(timeout=3.6)
            return waiting

        waiting = database.transact(hold_the_lock)
        assert waiting.result(timeout=30) == REVISIONS  # type: ignore[attr-defined]
    other.dispose()


def _upgrade_and_die(database_url: str, at_statement: int) -> None:
    database = Database(database_url)
    seen = 0

    @event.listens_for(database.engine, "before_cursor_execute")
    def _count(*_arguments: object) -> None:
        nonlocal seen
        seen += 1
        if seen == at_statement:
            os.kill(os.getpid(), signal.SIGKILL)

    migrate.upgrade(database)
    database.dispose()
    # Every statement was passed: tell the test that there is no further step to die at.
    os._exit(0)


@pytest.mark.parametrize("at_statement", [1, 5, 12, 30, 44, 56, 64, 75])
def test_a_migrator_killed_at_any_statement_leaves_what_the_next_completes(
    database: Database, database_url: str, at_statement: int
) -> None:
    assert ForkedProcess(_upgrade_and_die, database_url, at_statement).wait(60) == -signal.SIGKILL
    # Whole steps or nothing: what the revision names is what is there.
    revision = read_state(database).revision
    assert bool(table_names(database)) == (revision is not None)
    assert migrate.upgrade(database) == REVISIONS[0 if revision is None else 1 + REVISIONS.index(revision) :]
    with database.reading() as connection:
        assert migrate.find_differences(connection) == ()


def test_a_full_disk_fails_the_migration_whole_and_a_second_run_completes_it(tmp_path: Path) -> None:
    with fresh_database_url("sqlite", tmp_path) as url:
        database = Database(url)
        limits = [10]

        @event.listens_for(database.engine, "connect")
        def _limit(connection: sqlite3.Connection, _record: object) -> None:
            connection.execute(f"PRAGMA max_page_count = {limits[0]}")

        with pytest.raises(DatabaseUnavailable):
            migrate.upgrade(database)
        database.dispose()
        limits[0] = 100_000
        assert table_names(database) == set()
        assert migrate.upgrade(database) == REVISIONS
        database.dispose()


def test_an_empty_database_is_refused_with_the_command_that_helps(database: Database) -> None:
    with (
        database.reading() as connection,
        pytest.raises(schema.SchemaError, match=r"run `tokenhouse init`.*`tokenhouse db upgrade`"),
    ):
        schema.check_version(connection)


@pytest.mark.parametrize("revision", ["0099_since_0098", "abc123", "0000_since_0000"])
def test_a_schema_that_the_program_does_not_know_is_refused(database: Database, revision: str) -> None:
    migrate.upgrade(database)
    set_revision(database, revision)
    with database.reading() as connection, pytest.raises(schema.SchemaError, match="`tokenhouse db upgrade`"):
        schema.check_version(connection)


def test_a_newer_schema_that_only_expanded_is_served(database: Database) -> None:
    migrate.upgrade(database)
    set_revision(database, f"{schema.LATEST + 1:04}_since_{schema.LATEST:04}")
    with database.reading() as connection:
        schema.check_version(connection)
    assert migrate.upgrade(database) == ()


@pytest.mark.parametrize("revision", ["0099_since_0098", "abc123"])
def test_upgrade_does_not_touch_a_schema_of_another_program(database: Database, revision: str) -> None:
    migrate.upgrade(database)
    set_revision(database, revision)
    with pytest.raises(schema.SchemaError):
        migrate.upgrade(database)
    assert read_state(database).revision == revision


def test_the_program_was_written_for_the_newest_migration() -> None:
    assert migrate.latest_revision().startswith(f"{schema.LATEST:04}_since_")


def test_the_database_tells_the_time(database: Database) -> None:
    with database.reading() as connection:
        assert abs(schema.database_time(connection) - time.time() * 1000) < 2000


def test_a_damaged_file_is_noticed(tmp_path: Path) -> None:
    with fresh_database_url("sqlite", tmp_path) as url:
        database = Database(url)
        migrate.upgrade(database)
        database.transact(
            lambda connection: connection.execute(
                text("INSERT INTO changes (name, version) VALUES (:n, 1)"), [{"n": f"{n:0200}"} for n in range(500)]
            )
        )
        with database.reading() as connection:
            schema.check_integrity(connection)
        database.dispose()
        file = Path(url.removeprefix("sqlite:///"))
        content = bytearray(file.read_bytes())
        middle = len(content) // 4096 // 2 * 4096
        content[middle * 2 - 4096 * 3 : middle * 2 - 4096] = os.urandom(8192)
        file.write_bytes(content)
        with pytest.raises((schema.SchemaError, DatabaseUnavailable)), database.reading() as connection:
            schema.check_integrity(connection)
        database.dispose()
