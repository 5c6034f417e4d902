"""A fresh database per test, on SQLite and on PostgreSQL.

PostgreSQL is the server that `TOKENHOUSE_TEST_POSTGRESQL_URL` names (a role that may create databases), or else one of
the tests' own where their files lie in memory, or else the local cluster, reached as the unix user `postgres`. Where
there is none the test is skipped with the command that installs it; with CI=true nothing may be skipped, so it fails.
"""

import functools
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from app.storage import migrate
from app.storage.database import Database
from tests.postgresql_cluster import NO_POSTGRESQL, find_programs, running_cluster
from tests.scratch import are_files_in_memory

BACKENDS = ("sqlite", "postgresql")
on_both_databases = pytest.mark.parametrize("backend", BACKENDS)
# Where a request is refused before its database matters, or a page is the subject: one of the two shows it.
on_sqlite = pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True)
_until_the_end = ExitStack()


@contextmanager
def fresh_database_url(backend: str, directory: Path) -> Iterator[str]:
    """The URL of a database with nothing in it, gone afterwards."""
    if backend == "sqlite":
        yield f"sqlite:///{_new_file(directory)}"
        return
    with _fresh_postgresql_database() as url:
        yield url


@contextmanager
def migrated_database_url(backend: str, directory: Path) -> Iterator[str]:
    """The URL of a database with the newest tables and nothing in them, gone afterwards: ready for `init`."""
    if backend == "sqlite":
        file = _new_file(directory)
        shutil.copyfile(_migrated_file(), file)
        yield f"sqlite:///{file}"
        return
    with _fresh_postgresql_database(template=_migrated_postgresql_database()) as url:
        yield url


def _new_file(directory: Path) -> Path:
    return directory / f"tokenhouse-{secrets.token_hex(4)}.db"


@functools.cache
def _migrated_file() -> Path:
    directory = _until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="tokenhouse-migrated-"))
    file = _new_file(Path(directory))
    _migrate(f"sqlite:///{file}")
    return file


@functools.cache
def _migrated_postgresql_database() -> str:
    url = _until_the_end.enter_context(_fresh_postgresql_database())
    _migrate(url)
    return str(make_url(url).database)


def _migrate(url: str) -> None:
    database = Database(url)
    migrate.upgrade(database)
    # Whatever is open keeps a database from being copied.
    database.dispose()


@contextmanager
def _fresh_postgresql_database(*, template: str = "template1") -> Iterator[str]:
    server = find_postgresql()
    if server is None:
        assert os.environ.get("CI") != "true", NO_POSTGRESQL
        pytest.skip(NO_POSTGRESQL)
    name = f"tokenhouse_test_{secrets.token_hex(8)}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    _run(server, create)
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        # FORCE: a process that a test killed may have left its connection behind.
        _run(server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database; the test runs once on each."""
    with fresh_database_url(request.param, tmp_path) as url:
        yield url


@pytest.fixture(params=BACKENDS)
def migrated_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that only waits for its `init`; the test runs once on each."""
    with migrated_database_url(request.param, tmp_path) as url:
        yield url


def close_databases() -> None:
    """Leave nothing behind, once no test will ask for a database any more."""
    _until_the_end.close()


@functools.cache
def find_postgresql() -> str | None:
    """The URL of a server on which databases may be created, or None."""
    configured = os.environ.get("TOKENHOUSE_TEST_POSTGRESQL_URL")
    if configured:
        return configured
    if are_files_in_memory() and find_programs() is not None:
        cluster = _until_the_end.enter_context(running_cluster(max_connections="400", fsync="on"))
        return cluster.url("postgres")
    try:
        return _make_role_on_the_local_cluster()
    except (OSError, subprocess.SubprocessError):
        return None


def _make_role_on_the_local_cluster() -> str:
    port = _ask_as_postgres("SHOW port").strip()
    # One role per test process: workers that run side by side must not change each other's password.
    role, password = f"tokenhouse_test_{secrets.token_hex(6)}", secrets.token_hex(24)
    _ask_as_postgres(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{password}' VALID UNTIL 'tomorrow'")
    _until_the_end.callback(_ask_as_postgres, f"DROP ROLE {role}")
    return f"postgresql://{role}:{password}@127.0.0.1:{port}/postgres"


def _ask_as_postgres(statement: str) -> str:
    command = ["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-c", statement]
    if os.geteuid() == 0:
        command = [shutil.which("runuser") or "runuser", "-u", "postgres", "--", *command]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10, cwd="/")
    return answer.stdout


def _run(server: str, statement: sql.Composed) -> None:
    with psycopg.connect(server, autocommit=True, connect_timeout=5) as connection:
        connection.execute(statement)
