"""The real `tokenhouse`, as a process: one command with its outcome, or a server that runs until it is told to stop."""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from app.cli.main import main
from tests.forked import ROOT, ForkedProcess, Surroundings
from tests.server import free_port

TOKENHOUSE = Path(sys.executable).parent / "tokenhouse"
# Root reads every file, whatever its mode; without these capabilities it is like any other user.
LIKE_ANY_USER = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
    if os.geteuid() == 0
    else ()
)
_PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.stdout)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """`tokenhouse` with the settings of one deployment: a process for each command."""

    environment: Mapping[str, str]

    def __call__(self, *arguments: str, stdin: str = "", **variables: str) -> Outcome:
        """Run a command to its end, in a process that has Python and the modules already."""
        with tempfile.TemporaryDirectory() as directory:
            files = {name: Path(directory, name) for name in ("stdin", "stdout", "stderr")}
            files["stdin"].write_text(stdin)
            environment = clean_environment({**self.environment, **variables})
            surroundings = Surroundings(environment=environment, is_like_any_user=True, **files)
            process = ForkedProcess(_run_command, arguments, surroundings=surroundings)
            try:
                exit_code = process.wait(_PATIENCE_S)
            finally:
                process.kill()
            return Outcome(exit_code, files["stdout"].read_text(), files["stderr"].read_text())

    def started_anew(self, *arguments: str, stdin: str = "", **variables: str) -> Outcome:
        """Run the console script to its end: as an operator does, with all that Python does at its start."""
        finished = subprocess.run(
            [*LIKE_ANY_USER, str(TOKENHOUSE), *arguments],
            env=clean_environment({**self.environment, **variables}),
            input=stdin.encode(),
            capture_output=True,
            timeout=_PATIENCE_S,
            cwd=ROOT,
        )
        return Outcome(finished.returncode, finished.stdout.decode(), finished.stderr.decode())

    def json(self, *arguments: str, stdin: str = "") -> Any:
        """The document of a command that must succeed."""
        outcome = self(*arguments, "--json", stdin=stdin)
        assert outcome.exit_code == 0, outcome
        return outcome.document

    def refusal(self, *arguments: str, stdin: str = "") -> dict[str, Any]:
        """The document of a command that must be refused."""
        outcome = self(*arguments, "--json", stdin=stdin)
        assert outcome.exit_code == 1, outcome
        document: dict[str, Any] = outcome.document
        return document


def _run_command(arguments: Sequence[str]) -> None:
    sys.argv = [str(TOKENHOUSE), *arguments]
    main()


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without its own settings, and with those."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOKENHOUSE_")}
    return {**inherited, "PYTHONPATH": str(ROOT), **environment}


@dataclass(slots=True)
class RunningServer:
    """A server process and what belongs to it."""

    process: subprocess.Popen[bytes]
    command: tuple[str, ...]
    port: int
    log_path: Path

    def get(self, path: str, *, timeout: float = 10) -> tuple[int, bytes]:
        """Status and body of a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def processes(self) -> list[psutil.Process]:
        """Every living process of the server, orphans too: forked workers have their supervisor's command line."""
        return processes_of(self.command)

    def workers(self) -> list[psutil.Process]:
        """Those that are not the supervisor."""
        return [process for process in self.processes() if process.pid != self.process.pid]

    def log_text(self) -> str:
        """Everything written so far."""
        return self.log_path.read_text(errors="replace")

    def wait_until(self, holds: Any, *, patience_s: float = _PATIENCE_S) -> None:
        """Look again and again until `holds()` is true."""
        deadline = time.monotonic() + patience_s
        while not holds():
            assert time.monotonic() < deadline, f"it did not happen:\n{self.log_text()[-4000:]}"
            assert self.process.poll() is None or holds(), f"the server ended:\n{self.log_text()[-4000:]}"
            _look_again_soon(self.process)

    def answers(self) -> bool:
        """Whether somebody answers."""
        try:
            return self.get("/livez", timeout=2)[0] == 200
        except (OSError, http.client.HTTPException):
            return False


def processes_of(command: Sequence[str]) -> list[psutil.Process]:
    """The living processes that were started by the command; its arguments hold a port that nobody else has."""
    arguments = list(command[command.index("--port") if "--port" in command else 1 :])
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        cmdline = process.info["cmdline"] or []
        if cmdline[-len(arguments) :] == arguments and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def _look_again_soon(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=0.05)
    except subprocess.TimeoutExpired:
        pass


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], directory: Path, *, port: int
) -> Iterator[RunningServer]:
    """A server process that answers, and no process of it afterwards."""
    log_path = directory / f"server-{port}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, env=clean_environment(environment), cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
    server = RunningServer(process, tuple(command), port, log_path)
    try:
        server.wait_until(server.answers)
        yield server
    finally:
        # The supervisor first: it would replace a worker.
        for victim in sorted(server.processes(), key=lambda victim: victim.pid != process.pid):
            victim.kill()
        process.wait(timeout=10)


@contextmanager
def serving(environment: Mapping[str, str], directory: Path, *options: str) -> Iterator[RunningServer]:
    """`tokenhouse serve` on a free port."""
    port = free_port()
    command = [*LIKE_ANY_USER, str(TOKENHOUSE), "serve", "--port", str(port), *options]
    with running(command, environment, directory, port=port) as server:
        yield server
