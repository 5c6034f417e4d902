"""A Redis server of the tests' own: real, in memory alone, on a port that nobody else uses."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import redis

from tests.patience import wait_until
from tests.server import free_port

NO_REDIS = "no redis-server to test with: run `make services` as root"


@dataclass
class RedisServer:
    """One server. What it held is gone once it has stopped."""

    program: str
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([self.program, *options], stdout=subprocess.DEVNULL)
        wait_until(self._answers)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=30)
            self._process = None

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """Skips the test where there is no Redis, except where nothing may be skipped."""
    program = shutil.which("redis-server")
    if program is None:
        assert os.environ.get("CI") != "true", NO_REDIS
        pytest.skip(NO_REDIS)
    server = RedisServer(program)
    server.start()
    try:
        yield server
    finally:
        server.stop()
