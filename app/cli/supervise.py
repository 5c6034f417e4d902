"""Granian under supervision: one process that listens for signals, and workers that serve.

What is done here and not by Granian: the deployment is checked before anything is bound, so that a wrong key or schema
is one sentence and an exit status; the environment is emptied, because Granian copies it into every request; and every
process ends, in time, whatever hangs: Granian waits for a worker that ignores its signal, and a worker for its threads.
"""

import functools
import json
import logging
import multiprocessing.util
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from app.cli.operator_command import explain
from app.factory import create_app
from app.services.deployment import DeploymentError
from app.services.preflight import check_deployment
from app.services.upstream_channel import MOST_AT_ONCE
from app.services.write_log import configure_log
from app.settings import Settings, SettingsError, load_settings

DRAIN_S: Final = 30
# Past this, whatever still lives is killed and the supervisor goes too.
_GIVE_UP_S: Final = DRAIN_S + 3
_REMIND_EVERY_S: Final = 0.5
_START_WITHIN_S: Final = 2.0
_MAX_HEAD_BYTES: Final = 65_536
_MAX_CONNECTIONS: Final = 1024
_KEPT_VARIABLES: Final = frozenset(
    {"PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "PROMETHEUS_MULTIPROC_DIR"}
)
# libpq reads its own variables at each new connection.
_KEPT_PREFIXES: Final = ("LC_", "PG")
_log = structlog.get_logger("tokenhouse.serve")

WsgiApp = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where the server listens and how many threads answer."""

    host: str
    port: int
    workers: int
    threads: int
    tls_cert: Path | None
    tls_key: Path | None


class CannotServe(Exception):
    """The server does not start; the message says why."""


def serve(*, host: str, port: int, workers: int, tls_cert: Path | None, tls_key: Path | None) -> int:
    """Serve until told to stop; the exit status."""
    try:
        settings = load_settings()
        configure_log(settings.log_level)
        check_tls(settings, tls_cert, tls_key)
        check_deployment(settings)
        check_environment(settings, os.environ)
        listening = Listening(
            host=host,
            port=port,
            workers=workers,
            threads=blocking_threads(settings),
            tls_cert=tls_cert,
            tls_key=tls_key,
        )
        return run(listening, functools.partial(build_app, settings))
    except (CannotServe, SettingsError, DeploymentError) as error:
        print(f"tokenhouse: {explain(error)}", file=sys.stderr)
        return 1


def build_app(settings: Settings) -> WsgiApp:
    """The application of one worker, closed when the worker ends."""
    app = create_app(settings)
    # A worker leaves by multiprocessing's way out, which runs these and not `atexit`'s.
    multiprocessing.util.Finalize(app, app.close, exitpriority=1)
    return app


def run(listening: Listening, build: Callable[[], WsgiApp]) -> int:
    """Serve what `build` makes in each worker; the exit status. The environment is gone afterwards."""
    address = find_free_address(listening.host, listening.port)
    # Before the first worker: Granian copies the environment into every request's environ, where a variable would be
    # readable by everything that handles requests, and one named HTTP_PROXY would even pass for a header.
    reduce_environment(os.environ)
    server = _make_server(listening, address)
    scheme, shown = "https" if listening.tls_cert else "http", f"[{address}]" if ":" in address else address
    _log.info("serving", url=f"{scheme}://{shown}:{listening.port}", workers=listening.workers)
    try:
        server.serve(target_loader=functools.partial(_load, build, os.getpid()), wrap_loader=False)
    except SystemExit as leaving:
        _log.error("stopped", reason="a worker ended and could not be started again")
        return int(leaving.code or 0)
    except (OSError, RuntimeError) as error:
        raise CannotServe(f"{listening.host}:{listening.port}: {error}") from error
    _log.info("stopped")
    return 0


def blocking_threads(settings: Settings) -> int:
    """Enough threads that logins which wait for a password hash, or for another provider, never occupy all of them."""
    # On SQLite more threads only wait for the one writer; on PostgreSQL their round trips overlap.
    fewest = 4 if settings.database_url.get_secret_value().startswith("sqlite:") else 8
    return max(fewest, settings.password_hash_workers + settings.password_hash_queue + MOST_AT_ONCE + 4)


# ----- Before anything is bound -----


def check_tls(settings: Settings, certificate: Path | None, key: Path | None) -> None:
    """Raises `CannotServe` for a certificate that cannot be used, or that contradicts the issuer."""
    if certificate is None or key is None:
        return
    if not settings.is_https:
        raise CannotServe(f"--tls-cert is given, but TOKENHOUSE_ISSUER is {settings.issuer}: it must begin with https")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:
        reason = error.strerror or "the file does not hold what it should, or the two do not belong together"
        raise CannotServe(f"--tls-cert {certificate}, --tls-key {key}: {reason}") from error


def check_environment(settings: Settings, environ: Mapping[str, str]) -> None:
    """Raises `CannotServe` for a secret in a variable that the driver would read at each new connection."""
    if settings.database_url.get_secret_value().startswith("postgresql:") and "PGPASSWORD" in environ:
        raise CannotServe(
            "PGPASSWORD is set, and would have to stay in the environment that every request can see: "
            "put the password into TOKENHOUSE_DATABASE_URL, or name a PGPASSFILE"
        )


def find_free_address(host: str, port: int) -> str:
    """The IP address of `host`, IPv4 where there are both. Raises `CannotServe` where somebody listens already.

    Granian's workers share their port (SO_REUSEPORT), so a second server would otherwise share it silently.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host's name"
        raise CannotServe(f"cannot listen on {host}:{port}: {reason}") from error
    return str(address[0])


def reduce_environment(environ: MutableMapping[str, str]) -> None:
    """Leave only what running code still needs: no setting, no secret, nothing that looks like a request's header."""
    for name in list(environ):
        is_kept = name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
        if not is_kept or "PASSWORD" in name:
            del environ[name]


# ----- The supervisor -----


class _Supervisor(MPServer):
    """Granian's supervisor, with an end that comes for certain."""

    def signal_handler_interrupt(self, *_arguments: Any) -> None:
        """SIGTERM or SIGINT: drain. A second one ends everything at once."""
        if os.getpid() != self.pid:
            # A worker that was forked a moment ago and has not begun.
            os._exit(1)
        if self.interrupt_signal:
            self._end_now()
        self.interrupt_signal = True
        self.main_loop_interrupt.set()
        threading.Thread(target=self._see_to_the_end, name="watchdog", daemon=True).start()

    def _see_to_the_end(self) -> None:
        pause, deadline = threading.Event(), time.monotonic() + _GIVE_UP_S
        while time.monotonic() < deadline:
            pause.wait(_REMIND_EVERY_S)
            # A worker that is told while it starts up forgets it: Granian listens for the signal a little before
            # it connects the signal to its end.
            for worker in list(self.wrks):
                worker.terminate()  # type: ignore[no-untyped-call]
        self._end_now()

    def _end_now(self) -> None:
        for worker in list(self.wrks):
            worker.kill()  # type: ignore[no-untyped-call]
        os._exit(1)


def _make_server(listening: Listening, address: str) -> _Supervisor:
    has_tls = listening.tls_cert is not None
    return _Supervisor(
        target="app.factory:create_app",
        address=address,
        port=listening.port,
        interface=Interfaces.WSGI,
        workers=listening.workers,
        blocking_threads=listening.threads,
        # Counts connections, idle ones too: fewer would let a handful of quiet ones keep everybody else out.
        backpressure=_MAX_CONNECTIONS,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(max_buffer_size=_MAX_HEAD_BYTES),
        websockets=False,
        log_access=False,
        log_level=LogLevels.error,
        log_dictconfig=_log_configuration(),
        ssl_cert=listening.tls_cert if has_tls else None,
        ssl_key=listening.tls_key if has_tls else None,
        ssl_protocol_min=SSLProtocols.tls12,
        respawn_failed_workers=True,
        # SIGHUP replaces the workers one by one (a new certificate is read then): the new one must be up by now.
        respawn_interval=_START_WITHIN_S,
        workers_kill_timeout=DRAIN_S,
    )


def _log_configuration() -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "app.cli.supervise.JsonFormatter"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
        "loggers": {
            name: {"handlers": ["stderr"], "level": "ERROR", "propagate": False} for name in ("_granian", "granian")
        },
    }


class JsonFormatter(logging.Formatter):
    """Granian's own messages in the form of all others: one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return json.dumps({"event": record.getMessage(), "logger": record.name, "level": record.levelname.lower()})


# ----- In a worker -----


def _load(build: Callable[[], WsgiApp], supervisor_pid: int) -> WsgiApp:
    """The application, in a worker process. A worker that cannot start says so in one sentence."""
    # A forked worker inherits the supervisor's handler, and would pass over a SIGTERM until it serves.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Ctrl-C reaches the whole foreground group: the supervisor alone decides, and tells the workers.
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    reduce_environment(os.environ)
    threading.Thread(target=_leave_with_supervisor, args=(supervisor_pid,), name="orphan watch", daemon=True).start()
    try:
        return build()
    except (DeploymentError, SettingsError, CannotServe) as error:
        print(f"tokenhouse: {explain(error)}", file=sys.stderr)
        raise SystemExit(1) from None


def _leave_with_supervisor(supervisor_pid: int) -> None:
    """A worker whose supervisor was killed drains and ends, instead of holding the port for ever."""
    pause = threading.Event()
    while os.getppid() == supervisor_pid:
        pause.wait(1)
    deadline = time.monotonic() + DRAIN_S
    while time.monotonic() < deadline:
        os.kill(os.getpid(), signal.SIGTERM)
        pause.wait(_REMIND_EVERY_S)
    os._exit(1)
