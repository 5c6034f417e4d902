"""The life of the server's processes: what they carry, how they drain, and that all of them end."""

import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.cli.processes import RunningServer, running
from tests.server import free_port


@contextmanager
def blocking(directory: Path, *, workers: int = 1, **variables: str) -> Iterator[RunningServer]:
    port = free_port()
    command = [sys.executable, "-m", "tests.cli.blocking_server", str(port), str(workers), str(directory / "gate")]
    with running(command, variables, directory, port=port) as server:
        yield server


def send_a_request_that_is_held(server: RunningServer, pool: ThreadPoolExecutor, directory: Path, path: str):  # type: ignore[no-untyped-def]
    request = pool.submit(server.get, path, timeout=60)
    server.wait_until((directory / "gate.reached").exists)
    return request


def open_the_gate(directory: Path) -> None:
    (directory / "gate").touch()


def test_no_setting_or_secret_is_in_a_requests_environ_or_in_the_process_environment(tmp_path: Path) -> None:
    secret = "a-secret-that-must-not-travel"
    variables = {
        "TOKENHOUSE_DATABASE_URL": f"postgresql://u:{secret}@h/d",
        "AWS_SECRET_ACCESS_KEY": secret,
        "PGPASSWORD": secret,
        "HTTP_X_FORWARDED_FOR": "192.0.2.1",
        "LANG": "C.UTF-8",
    }
    with blocking(tmp_path, **variables) as server:
        seen = json.loads(server.get("/environ")[1])
    assert secret not in json.dumps(seen)
    assert not [name for name in seen["environ"] if name.startswith("TOKENHOUSE_")]
    assert "HTTP_X_FORWARDED_FOR" not in seen["environ"]
    assert seen["process"]["LANG"] == "C.UTF-8"


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_lets_a_running_request_end_and_then_every_process(tmp_path: Path, workers: int) -> None:
    with blocking(tmp_path, workers=workers) as server, ThreadPoolExecutor(1) as pool:
        request = send_a_request_that_is_held(server, pool, tmp_path, "/hold")
        processes = server.workers()
        server.process.terminate()
        server.wait_until(lambda: not server.answers())
        assert not request.done()
        open_the_gate(tmp_path)
        assert request.result(timeout=20)[0] == 200
        assert server.process.wait(timeout=45) == 0
        assert psutil.wait_procs(processes, timeout=30)[1] == []


def test_a_second_sigterm_does_not_wait_for_a_request_that_never_ends(tmp_path: Path) -> None:
    with blocking(tmp_path, workers=2) as server, ThreadPoolExecutor(1) as pool:
        request = send_a_request_that_is_held(server, pool, tmp_path, "/stuck")
        processes = server.workers()
        server.process.terminate()
        server.wait_until(lambda: not server.answers())
        server.process.terminate()
        assert server.process.wait(timeout=45) == 1
        assert psutil.wait_procs(processes, timeout=30)[1] == []
        assert request.exception(timeout=10) is not None


def test_idle_connections_do_not_hold_the_server_up(tmp_path: Path) -> None:
    with blocking(tmp_path) as server:
        idle = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=10) for _ in range(20)]
        for connection in idle:
            connection.request("GET", "/livez")
            assert connection.getresponse().read()
        server.process.terminate()
        assert server.process.wait(timeout=45) == 0
        for connection in idle:
            connection.close()


@pytest.mark.long
def test_a_request_that_never_ends_is_cut_off_after_the_drain(tmp_path: Path) -> None:
    with blocking(tmp_path) as server, ThreadPoolExecutor(1) as pool:
        request = send_a_request_that_is_held(server, pool, tmp_path, "/stuck")
        processes = server.workers()
        began = time.monotonic()
        server.process.terminate()
        server.process.wait(timeout=45)
        assert 29 < time.monotonic() - began < 40
        assert psutil.wait_procs(processes, timeout=30)[1] == []
        assert request.exception(timeout=10) is not None


def test_a_worker_that_was_killed_is_replaced(tmp_path: Path) -> None:
    with blocking(tmp_path) as server:
        (worker,) = server.workers()
        worker.kill()
        server.wait_until(lambda: worker.pid not in [child.pid for child in server.workers()] and server.answers())
        assert len(server.workers()) == 1


def test_sighup_replaces_the_workers_without_a_gap(tmp_path: Path) -> None:
    with blocking(tmp_path) as server:
        before = {worker.pid for worker in server.workers()}
        server.process.send_signal(signal.SIGHUP)

        def only_new_ones() -> bool:
            assert server.answers()
            return not before & {worker.pid for worker in server.workers()}

        server.wait_until(only_new_ones)
        server.process.terminate()
        assert server.process.wait(timeout=45) == 0


def test_workers_leave_when_their_supervisor_was_killed(tmp_path: Path) -> None:
    with blocking(tmp_path, workers=2) as server:
        processes = server.workers()
        assert len(processes) == 2
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(timeout=45)
        assert psutil.wait_procs(processes, timeout=15)[1] == []


def test_sigterm_during_the_start_ends_every_process(tmp_path: Path) -> None:
    with blocking(tmp_path, workers=2) as server:
        for worker in server.workers():
            worker.kill()
        # The replacements are being started at this very moment.
        server.process.terminate()
        server.process.wait(timeout=45)
        assert psutil.wait_procs(server.processes(), timeout=30)[1] == []
