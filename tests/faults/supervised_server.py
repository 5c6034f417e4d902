"""A deployment served as operators serve it, by `tokenhouse serve` with its supervisor, so that one can be killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from tests.cli.processes import processes_of
from tests.faults.fault_world import FaultWorld
from tests.faults.patience import eventually
from tests.forked import ROOT
from tests.server import ServerProcess, free_port

TOKENHOUSE = Path(sys.executable).parent / "tokenhouse"
# A worker notices within a second that its supervisor is gone, and then ends what it has begun.
_LEAVES_WITHIN_S = 40


@dataclass
class SupervisedServer(ServerProcess):
    """One supervisor and its workers."""

    worker_count: int = 1

    @property
    def command(self) -> list[str]:
        """`tokenhouse serve`."""
        return [str(TOKENHOUSE), "serve", "--port", str(self.port), "--workers", str(self.worker_count)]

    def _launch(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                self.command, env=environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )

    def workers(self) -> list[psutil.Process]:
        """The living workers, also those whose supervisor is gone."""
        supervisor = self.process.pid if self.process is not None else None
        return [process for process in processes_of(self.command) if process.pid != supervisor]

    def kill_supervisor(self) -> list[psutil.Process]:
        """kill -9 the supervisor alone; the workers that it leaves behind."""
        assert self.process is not None
        orphans = self.workers()
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)
        self.process = None
        return orphans

    def start_again(self) -> None:
        """As the init system does: start, and again as long as the port is still somebody's."""
        eventually(lambda: processes_of(self.command) == [], within_s=_LEAVES_WITHIN_S, what="the old workers leave")
        self.start()

    def kill(self) -> None:
        """kill -9 for every process; the supervisor first, since it would replace a worker."""
        if self.process is not None:
            self.process.kill()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired as error:
                raise AssertionError("a supervisor survived kill -9") from error
            self.process = None
        for process in processes_of(self.command):
            process.kill()


@contextmanager
def supervised(
    world: FaultWorld, *, workers: int = 1, **settings: str
) -> Iterator[tuple[FaultWorld, SupervisedServer]]:
    """The world's deployment, served by a second node with a supervisor; the node, and what runs there."""
    more = {f"TOKENHOUSE_{name.upper()}": value for name, value in settings.items()}
    server = SupervisedServer(
        environment=world.environment | more,
        port=free_port(),
        log_path=world.server.log_path.with_suffix(".supervised"),
        worker_count=workers,
    )
    server.start()
    try:
        yield replace(world, server=server), server
    finally:
        server.stop()
