"""Programs that run side by side and end together, whatever ends first: they, a signal, or this process."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import click

from app.services.refusal import Refusal

_START_S: Final = 60
_PATIENCE_S: Final = 10
_LAST_PATIENCE_S: Final = 3
_LOOK_EVERY_S: Final = 0.1
_LINES_TOLD: Final = 8
_PR_SET_PDEATHSIG: Final = 1
_LOOPBACK: Final = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One of them. It is up once `path` on its port has any answer."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    port: int
    path: str
    log: Path


class SideBySide:
    """A context: what was started in it has ended when it is left."""

    def __init__(self) -> None:
        self._running: list[tuple[Program, subprocess.Popen[bytes]]] = []
        self._signals = 0
        self._handlers_before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Whoever started us so that a hangup is passed over (nohup) meant it. A shell does that to the interrupt of
            # everything in the background, and nobody means it.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._handlers_before[number] = signal.signal(number, self._notice)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._signals = 0
        # A server that drains ends at the second SIGTERM for certain, and its workers with it.
        for patience_s in (_PATIENCE_S, _LAST_PATIENCE_S):
            for _, process in self._alive():
                process.terminate()
            if self._all_ended_within(patience_s):
                break
        for _, process in self._alive():
            process.kill()
            process.wait()
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)

    def start(self, programs: Sequence[Program]) -> None:
        """Start them and wait until each answers. Raises `Refusal` with the end of its log where one does not."""
        for program in programs:
            self._running.append((program, _start(program)))
        deadline = time.monotonic() + _START_S
        for program, process in self._running:
            while not _answers(program):
                if self._signals:
                    raise SystemExit(1)
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Refusal("did_not_start", f"{program.name} did not start:\n{_end_of(program.log)}")
                time.sleep(_LOOK_EVERY_S)

    def wait(self) -> int:
        """Wait for a signal, or for the first that ends by itself; the exit status."""
        while not self._signals:
            for program, process in self._running:
                if process.poll() is not None:
                    click.echo(f"tokenhouse: {program.name} has ended:\n{_end_of(program.log)}", err=True)
                    return 1
            time.sleep(_LOOK_EVERY_S)
        return 0

    def _notice(self, _number: int, _frame: object) -> None:
        self._signals += 1

    def _alive(self) -> list[tuple[Program, subprocess.Popen[bytes]]]:
        return [(program, process) for program, process in self._running if process.poll() is None]

    def _all_ended_within(self, patience_s: float) -> bool:
        deadline = time.monotonic() + patience_s
        # Ctrl-C once more is impatience.
        while self._alive() and not self._signals and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)
        self._signals = 0
        return not self._alive()


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of `localhost`, which is two addresses on most machines."""
    for family, address in _LOOPBACK:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                if family == socket.AF_INET or _is_answered(address, port):
                    return False
    return True


def _is_answered(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def _start(program: Program) -> subprocess.Popen[bytes]:
    with program.log.open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own programs
            program.command,
            env=dict(program.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C reaches the whole foreground group: this process alone decides, and tells the others.
            start_new_session=True,
            preexec_fn=_end_with_parent(os.getpid()) if sys.platform == "linux" else None,
        )


def _end_with_parent(parent: int) -> Callable[[], None]:
    """What the kernel is asked for in the child: SIGTERM when a parent ends that cannot tell anybody (kill -9)."""
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _answers(program: Program) -> bool:
    connection = HTTPConnection("127.0.0.1", program.port, timeout=5)
    try:
        connection.request("GET", program.path)
        return connection.getresponse().status < 500
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _end_of(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "\n".join([*(f"  {line[:300]}" for line in lines[-_LINES_TOLD:]), f"  (all of it: {log})"])
