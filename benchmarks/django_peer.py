"""Starts django-oauth-toolkit (benchmarks/peers/django_oauth_toolkit) as the peer, in a virtual environment of its own.

The environment is made under `build/python/`, named by the hash of its requirements, so that it is made once.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from benchmarks.processes import StartFailed, drain_output, free_port, running, wait_for_http
from benchmarks.scenario import Scenario

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "benchmarks" / "peers" / "django_oauth_toolkit"
CACHE = ROOT / "build" / "python"
INSTALL_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class DjangoPeer:
    """A running peer. `refresh_tokens` are good for `Scenario.client_id`."""

    origin: str
    pid: int
    refresh_tokens: tuple[str, ...] = field(repr=False)


@contextlib.contextmanager
def running_django_peer(
    scenario: Scenario,
    *,
    folder: Path,
    cheap_hasher: bool,
    refresh_tokens: int,
    cores: set[int] | None = None,
    database_url: str | None = None,
) -> Iterator[DjangoPeer]:
    """The peer with an empty database of its own, ready for requests."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings = {
        "port": port,
        "threads": 8,
        "database": _django_database(folder, database_url),
        "client_secret_hasher": "cheap" if cheap_hasher else "default",
        "client_id": scenario.client_id,
        "client_secret": scenario.client_secret,
        "machine_id": scenario.machine_id,
        "machine_secret": scenario.machine_secret,
        "refresh_tokens": refresh_tokens,
    }
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**inherited, "PEER_CONFIG": json.dumps(settings), "PYTHONPATH": str(FOLDER)}
    log = folder / "django_oauth_toolkit.log"
    command = [str(_python()), str(FOLDER / "peer.py")]
    with running(command, environment=environment, log=log, cores=cores, folder=FOLDER) as process:
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            process.wait()
            raise StartFailed(log.read_text("utf-8", "replace")[-1500:])
        drain_output(process)
        wait_for_http(process, port, "/up", log=log)
        yield DjangoPeer(
            origin=f"http://127.0.0.1:{port}", pid=process.pid, refresh_tokens=tuple(json.loads(line)["refresh_tokens"])
        )


def _django_database(folder: Path, database_url: str | None) -> dict[str, Any]:
    """The same engine as ours, as durable as ours, with connections that stay open."""
    if database_url is None:
        pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON"
        options = {"init_command": pragmas, "transaction_mode": "IMMEDIATE", "timeout": 20}
        name = str(folder / "django.db")
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": options, "CONN_MAX_AGE": None}
    url = make_url(database_url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.database,
        "USER": url.username,
        "PASSWORD": url.password,
        "HOST": url.host,
        "PORT": url.port,
        "CONN_MAX_AGE": None,
    }


def _python() -> Path:
    """The interpreter of the peer's environment, made at the first use. Safe to call from several processes at once."""
    requirements = FOLDER / "requirements.txt"
    made_for = f"{sys.version}{requirements.read_text()}".encode()
    environment = CACHE / f"{FOLDER.name}-{hashlib.sha256(made_for).hexdigest()[:16]}"
    python, installed = environment / "bin" / "python", environment / ".installed"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{environment.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists():
            shutil.rmtree(environment, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(environment)])
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, "--require-hashes", "-r", str(requirements)])
            installed.touch()
    return python


def _run(command: list[str]) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    if finished.returncode != 0:
        raise StartFailed(f"{' '.join(command)}: {finished.stderr[-1500:]}")
