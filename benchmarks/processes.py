"""Starts what is measured on loopback and always ends it again."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
METADATA_PATH = "/.well-known/openid-configuration"


class StartFailed(RuntimeError):
    """The process ended or said nothing in time; the message carries the end of its stderr."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path,
    cores: set[int] | None = None,
    folder: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `command` in a session of its own with stderr in `log`, pinned to `cores`; ends it and its children."""
    with log.open("wb") as stderr, _pinned(cores):
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process)


@contextlib.contextmanager
def _pinned(cores: set[int] | None) -> Iterator[None]:
    """Within it this thread, and so every process that it starts, with all its threads, runs on `cores`."""
    before = os.sched_getaffinity(0)
    if cores is not None:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Asks with SIGTERM, then ends the whole session."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def drain_output(process: subprocess.Popen[bytes]) -> None:
    """Keeps reading stdout so that a server that logs there never waits for us."""
    stdout = process.stdout
    if stdout is not None:
        threading.Thread(target=lambda: [None for _ in stdout], daemon=True).start()


def wait_for_http(process: subprocess.Popen[bytes], port: int, path: str, *, log: Path) -> float:
    """Seconds until `path` answers 200, polled every two milliseconds; fails early when the process ends."""
    start = time.perf_counter()
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
    while time.perf_counter() - start < START_TIMEOUT_S:
        if process.poll() is not None:
            raise StartFailed(f"ended with {process.returncode}: {_tail(log)}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(request)
            if client.recv(64).startswith(b"HTTP/1.1 200"):
                return time.perf_counter() - start
        time.sleep(0.002)
    raise StartFailed(f"no 200 from {path} within {START_TIMEOUT_S} s: {_tail(log)}")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its living children; unlike rates it does not feel other load."""
    root = psutil.Process(pid)
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def resident_mb(pid: int) -> list[float]:
    """Resident memory of a process and each of its children, in MB (10^6 bytes), the process itself first."""
    root = psutil.Process(pid)
    return [process.memory_info().rss / 1e6 for process in (root, *root.children(recursive=True))]


def _tail(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-1500:] if log.exists() else ""
