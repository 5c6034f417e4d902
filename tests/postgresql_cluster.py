"""A PostgreSQL server of one's own, to be restarted, frozen and starved without anybody else noticing.

It is made by `initdb` in a temporary directory and listens on a free port of the loopback address. PostgreSQL refuses
to run as root, so it runs as the unix user `postgres` when the tests do; otherwise as whoever runs them.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import sql

from tests.server import free_port

NO_POSTGRESQL = "no PostgreSQL to test on: run `make services` as root, or set TOKENHOUSE_TEST_POSTGRESQL_URL"
# Enough for two deployments with two servers each.
MAX_CONNECTIONS = 80
_ROLE = "tokenhouse"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresqlCluster:
    """One running server. Everybody who can reach its port is trusted: nothing of value is ever in it."""

    programs: Path
    directory: Path
    port: int

    def url(self, database: str, *, role: str = "postgres") -> str:
        """The URL of a database."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"

    def make_database(self) -> str:
        """The URL of a new database, for a role that is no superuser: none of the reserved connections are its."""
        name = f"tokenhouse_{secrets.token_hex(4)}"
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.SQL(_ROLE)))
        return self.url(name, role=_ROLE)

    def connect(self, database: str = "postgres", *, role: str = "postgres") -> psycopg.Connection[Any]:
        """A connection, the superuser's by default, without a transaction around its statements."""
        return psycopg.connect(self.url(database, role=role), autocommit=True, connect_timeout=5)

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._pg_ctl("start", "-l", str(self.directory / "log"))

    def stop(self, mode: str) -> None:
        """`fast` ends sessions in order; `immediate` is a crash, with recovery at the next start."""
        self._pg_ctl("stop", "-m", mode)

    def terminate_backends(self) -> int:
        """End every session of the role that serves, in the middle of whatever it does; how many."""
        with self.connect() as connection:
            ended = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = %s", [_ROLE]
            ).fetchone()
        assert ended is not None
        return int(ended[0])

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP for the server and all its backends: the port still takes connections, and nobody answers."""
        postmaster = psutil.Process(int((self.directory / "data" / "postmaster.pid").read_text().split()[0]))
        stopped: list[psutil.Process] = []
        try:
            # The postmaster first, so that nobody new is born.
            for process in (postmaster, *postmaster.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGSTOP)
                    stopped.append(process)
            yield
        finally:
            for process in stopped:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)

    def _pg_ctl(self, action: str, *options: str) -> None:
        # pg_ctl's children keep its output open: nothing would ever read to the end of a pipe.
        command = [str(self.programs / "pg_ctl"), "-D", str(self.directory / "data"), "-w", "-s", action, *options]
        subprocess.run(
            _as_postgres(command), check=True, timeout=60, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )


@contextmanager
def running_cluster(**settings: str) -> Iterator[PostgresqlCluster]:
    """A new cluster, gone afterwards, with such settings beside its own.

    Skips where PostgreSQL is not installed; with CI=true that fails.
    """
    programs = find_programs()
    if programs is None:
        assert os.environ.get("CI") != "true", NO_POSTGRESQL
        pytest.skip(NO_POSTGRESQL)
    # Not pytest's directory: the user `postgres` may not pass through it.
    directory = Path(tempfile.mkdtemp(prefix="tokenhouse-postgresql-"))
    cluster = PostgresqlCluster(programs=programs, directory=directory, port=free_port())
    try:
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(directory, user.pw_uid, user.pw_gid)
        _make_cluster(cluster, settings)
        cluster.start()
        with cluster.connect() as connection:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.SQL(_ROLE)))
        yield cluster
    finally:
        with suppress(subprocess.SubprocessError):
            cluster.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


def find_programs() -> Path | None:
    """Where PostgreSQL's own programs lie: on the PATH, or where Debian keeps them; the newest."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def _make_cluster(cluster: PostgresqlCluster, more: Mapping[str, str]) -> None:
    data = cluster.directory / "data"
    command = [str(cluster.programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "-E", "UTF8"]
    subprocess.run(
        _as_postgres([*command, "--no-sync", "--no-locale"]), check=True, capture_output=True, timeout=60, cwd="/"
    )
    settings = {
        "listen_addresses": "'127.0.0.1'",
        "port": cluster.port,
        "unix_socket_directories": f"'{cluster.directory}'",
        "max_connections": MAX_CONNECTIONS,
        "superuser_reserved_connections": 4,
        "shared_buffers": "'16MB'",
        # The machine does not lose its power here: what a killed process has written is kept by the kernel.
        "fsync": "off",
        "max_wal_size": "'128MB'",
        **more,
    }
    with (data / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = {value}\n" for name, value in settings.items())


def _as_postgres(command: list[str]) -> list[str]:
    if os.geteuid() != 0:
        return command
    return [shutil.which("runuser") or "runuser", "-u", "postgres", "--", *command]
