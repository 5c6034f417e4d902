"""The log: one JSON object a line on standard error, so that no value can forge a line or a field."""

import json
import logging
import sys
import threading
import time
from functools import lru_cache
from typing import Any

import orjson
import structlog

_NAME = "tokenhouse"
_FULL_BYTES = 16 * 1024
_LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARNING": logging.WARNING, "ERROR": logging.ERROR}


def configure_log(level: str) -> None:
    """Configure structlog and the standard library's loggers."""
    structlog.configure(
        processors=[_to_json],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    logging.getLogger(_NAME).setLevel(_LEVELS[level])
    # At DEBUG Authlib writes live tokens into its log, and drivers write the parameters of statements.
    for name in ("authlib", "sqlalchemy", "urllib3", "psycopg", "alembic"):
        logging.getLogger(name).setLevel(logging.INFO if name == "authlib" else logging.WARNING)


class LogLines:
    """Lines for requests and events, written in batches: a system call a line would cost more than a small answer.

    Lines wait at most half a second, until the next beat of the housekeeping, or until there are 16 KiB of them. An
    event's row is in the database by then. What has to be told at once (failures) does not go this way.
    """

    def __init__(self) -> None:
        # Decided when the log was configured: a terminal at which somebody reads along gets no lines of JSON.
        self._is_enabled = logging.getLogger(_NAME).isEnabledFor(logging.INFO)
        self._lines: list[bytes] = []
        self._size = 0
        self._lock = threading.Lock()

    def write(self, entry: dict[str, Any]) -> None:
        """Add a line."""
        if not self._is_enabled:
            return
        self._add(_to_json(None, "info", entry) + b"\n")

    def write_request(self, *, method: str, path: str, status: int, seconds: float, peer: str, request_id: str) -> None:
        """Add the line of one request. `request_id` is our own."""
        if not self._is_enabled:
            return
        # There is one for every request, so it is put together from parts that were encoded before.
        line = (
            f'{{"at":{time.time_ns() // 1_000_000},"level":"info","event":"request","method":{_quote(method)},'
            f'"path":{_quote(path)},"status":{status},"duration_ms":{seconds * 1000:.2f},"peer":{_quote(peer)},'
            f'"request_id":"{request_id}"}}\n'
        )
        self._add(line.encode("ascii"))

    def _add(self, line: bytes) -> None:
        with self._lock:
            self._lines.append(line)
            self._size += len(line)
            is_full = self._size >= _FULL_BYTES
        if is_full:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            lines, self._lines, self._size = self._lines, [], 0
        if lines:
            sys.stderr.buffer.write(b"".join(lines))
            sys.stderr.buffer.flush()


# Bounded, because paths are what strangers make up.
@lru_cache(maxsize=1024)
def _quote(text: str) -> str:
    """A JSON string, everything outside ASCII escaped."""
    return json.dumps(text)


def _to_json(_logger: Any, level: str, event: Any) -> bytes:
    # One processor instead of three: it runs with every event.
    entry = {"at": time.time_ns() // 1_000_000, "level": level, **event}
    try:
        line = orjson.dumps(entry, default=str)
    except TypeError:  # a lone surrogate, or an integer of more than 64 bits
        return json.dumps(entry, default=str).encode()
    # Outside ASCII there are characters that end a line or turn its order around for who reads it: they are escaped.
    return line if line.isascii() else json.dumps(entry, default=str).encode()
