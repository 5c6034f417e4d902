"""A fresh, empty database per test, on SQLite and on PostgreSQL.

PostgreSQL is the server that `TOKENHOUSE_TEST_POSTGRESQL_URL` names (a role that may create databases), or else the
local cluster, reached as the unix user `postgres`. Where there is none the test is skipped with the command that
installs it; with CI=true nothing may be skipped, so it fails.
"""

import atexit
import functools
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

BACKENDS = ("sqlite", "postgresql")
on_both_databases = pytest.mark.parametrize("backend", BACKENDS)
NO_POSTGRESQL = "no PostgreSQL to test on: run `make services` as root, or set TOKENHOUSE_TEST_POSTGRESQL_URL"


@contextmanager
def fresh_database_url(backend: str, directory: Path) -> Iterator[str]:
    """The URL of a database with nothing in it, gone afterwards."""
    if backend == "sqlite":
        yield f"sqlite:///{directory}/tokenhouse-{secrets.token_hex(4)}.db"
        return
    server = find_postgresql()
    if server is None:
        assert os.environ.get("CI") != "true", NO_POSTGRESQL
        pytest.skip(NO_POSTGRESQL)
    name = f"tokenhouse_test_{secrets.token_hex(8)}"
    _run(server, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
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


@functools.cache
def find_postgresql() -> str | None:
    """The URL of a server on which databases may be created, or None."""
    configured = os.environ.get("TOKENHOUSE_TEST_POSTGRESQL_URL")
    if configured:
        return configured
    try:
        return _make_role_on_the_local_cluster()
    except (OSError, subprocess.SubprocessError):
        return None


def _make_role_on_the_local_cluster() -> str:
    port = _ask_as_postgres("SHOW port").strip()
    # One role per test process: workers that run side by side must not change each other's password.
    role, password = f"tokenhouse_test_{secrets.token_hex(6)}", secrets.token_hex(24)
    _ask_as_postgres(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{password}' VALID UNTIL 'tomorrow'")
    atexit.register(_ask_as_postgres, f"DROP ROLE {role}")
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
