"""Processes that are forked from one which has the server's modules already: a start costs milliseconds, not a second.

Each is a process like any other, with an environment, files, a session and an end of its own. What it lacks is the
start of Python, which the tests of the console script keep (`CommandLine.started_anew`).
"""

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import pkgutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import app

ROOT = Path(__file__).resolve().parent.parent
_LATE_MODULES = (
    *("sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql", "granian._loops"),
    *("alembic.command", "encodings.idna", "multiprocessing.popen_fork"),
    *("tests.server", "tests.faults.faulty_server"),
)
_FORK_SERVER = multiprocessing.get_context("forkserver")
# Starting a process looks at how all others fare, and of two threads that read a status at once one finds nothing.
_STATUSES = threading.Lock()


def _preload() -> None:
    modules = [module.name for module in pkgutil.walk_packages(app.__path__, "app.") if ".wheel" not in module.name]
    _FORK_SERVER.set_forkserver_preload([*modules, *_LATE_MODULES])


_preload()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a process is given."""

    environment: Mapping[str, str]
    stdout: Path
    stderr: Path
    stdin: Path = Path(os.devnull)
    # Root reads every file, whatever its mode; without these capabilities it is like any other user.
    is_like_any_user: bool = False


class ForkedProcess:
    """A running function, with the face of `subprocess.Popen` as far as tests look at it."""

    def __init__(self, run: Callable[..., object], *arguments: Any, surroundings: Surroundings | None = None) -> None:
        self._process = _FORK_SERVER.Process(target=_run, args=(surroundings, run, arguments))
        with _STATUSES:
            self._process.start()

    @property
    def pid(self) -> int:
        """Also the number of its process group, where it was given surroundings."""
        pid = self._process.pid
        assert pid is not None
        return pid

    @property
    def returncode(self) -> int | None:
        """As `poll` says."""
        return self.poll()

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        with _STATUSES:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once it has ended. Raises `subprocess.TimeoutExpired`."""
        began = time.monotonic()
        while (code := self.poll()) is None:
            left_s = None if timeout is None else began + timeout - time.monotonic()
            if left_s is not None and left_s <= 0:
                raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
            multiprocessing.connection.wait([self._process.sentinel], left_s)
        return code

    def terminate(self) -> None:
        """SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.poll() is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass


# ----- In the new process -----


def _run(surroundings: Surroundings | None, run: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    # As in a program that was started: whoever starts processes of their own from here forks them.
    multiprocessing.set_start_method("fork", force=True)
    if surroundings is not None:
        _move_into(surroundings)
    run(*arguments)


def _move_into(surroundings: Surroundings) -> None:
    os.setsid()
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(surroundings.environment)
    _open_as(0, surroundings.stdin, os.O_RDONLY)
    for descriptor, path in ((1, surroundings.stdout), (2, surroundings.stderr)):
        _open_as(descriptor, path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    if surroundings.is_like_any_user and os.geteuid() == 0:
        _drop_the_capabilities_that_pass_over_modes()


def _open_as(descriptor: int, path: Path, flags: int) -> None:
    opened = os.open(path, flags, 0o600)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)


def _drop_the_capabilities_that_pass_over_modes() -> None:
    """CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: numbers 1 and 2 in the first word of each set (capabilities(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    for effective_permitted_or_inheritable in range(3):
        sets[effective_permitted_or_inheritable] &= ~0b110
    if libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")
