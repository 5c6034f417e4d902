"""The real server in processes of its own, as tests start it: `create_app` with a movable clock and failpoints.

`serve(PORT)` serves what the `TOKENHOUSE_*` variables name, on the WSGI host of `tokenhouse serve`.
Only this module reads `TEST_CLOCK` and `TEST_FAILPOINT`; the product has no setting for either.
"""

import atexit
import functools
import multiprocessing.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings

from app.factory import create_app
from app.services.clock import system_clock
from app.services.failpoints import no_failpoint
from app.storage.database import DatabaseUnavailable
from tests.clock import MovableClock
from tests.forked import ROOT, ForkedProcess, Surroundings

_START_S = 30


def build_app() -> Any:
    """The application of one worker."""
    clock_path = os.environ.get("TEST_CLOCK")
    clock = MovableClock(Path(clock_path)) if clock_path else system_clock
    app = create_app(clock=clock, failpoints=_read_failpoint(os.environ.get("TEST_FAILPOINT", "")))
    # As `tokenhouse serve` has it.
    multiprocessing.util.Finalize(app, app.close, exitpriority=1)
    return app


def _read_failpoint(specification: str) -> Callable[[str], None]:
    """`NAME:kill` ends the process there as by kill -9; `NAME:fail` fails there as the database does."""
    if not specification:
        return no_failpoint
    wanted, _, action = specification.partition(":")

    def reach(name: str) -> None:
        if name != wanted:
            return
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise DatabaseUnavailable(f"failpoint {name}")

    return reach


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@functools.cache
def _log_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="tokenhouse-logs-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def _new_log_path() -> Path:
    return _log_directory() / f"{secrets.token_hex(6)}.log"


@dataclass
class ServerProcess:
    """One running server."""

    environment: dict[str, str]
    port: int
    clock_path: Path | None = None
    failpoint: str = ""
    threads: int = 8
    log_path: Path = field(default_factory=_new_log_path)
    process: ForkedProcess | subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens; without the issuer's path."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "ServerProcess":
        """Start it and wait until it answers."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TOKENHOUSE_")}
        environment |= self.environment
        environment |= {"TEST_FAILPOINT": self.failpoint, "TEST_THREADS": str(self.threads)}
        environment["PYTHONPATH"] = str(ROOT)
        if self.clock_path is not None:
            environment["TEST_CLOCK"] = str(self.clock_path)
        self.process = self._launch(environment)
        self._wait_until_it_answers()
        return self

    def _launch(self, environment: dict[str, str]) -> ForkedProcess | subprocess.Popen[bytes]:
        surroundings = Surroundings(environment=environment, stdout=self.log_path, stderr=self.log_path)
        return ForkedProcess(serve, self.port, surroundings=surroundings)

    def stop(self) -> None:
        """End it as an operator does, and every process of it for certain."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self) -> None:
        """kill -9, the supervisor and its workers."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait(timeout=10)
            self.process = None

    def log_text(self) -> str:
        """Every whole line that it has written so far; the one that it is writing comes with the next look."""
        text = self.log_path.read_text(errors="replace")
        return text[: text.rfind("\n") + 1]

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended at its start:\n{self.log_text()[-4000:]}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    if connection.recv(12).startswith(b"HTTP/1.1 "):
                        return
            except OSError:
                pass
            try:
                self.process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                pass
        raise AssertionError(f"the server does not answer:\n{self.log_text()[-4000:]}")


def serve(port: int) -> None:
    """Serve until told to stop."""
    Granian(
        os.environ.get("TEST_APP", "tests.server:build_app"),
        factory=True,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=int(os.environ.get("TEST_THREADS", "8")),
        # As `tokenhouse serve` has it.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(max_buffer_size=65_536),
        websockets=False,
        log_access=False,
        log_enabled=True,
    ).serve()
