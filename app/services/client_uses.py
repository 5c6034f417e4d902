"""When clients that come and go by themselves were used last, to the day; those that nobody uses leave.

Kept in memory and written by housekeeping: one small statement per client and day, none on the way of a request.
"""

import threading
from typing import Final

from cachetools import LRUCache

from app.services.client_registry import Client
from app.services.clock import Clock
from app.storage.clients import set_last_used
from app.storage.database import Database, DatabaseUnavailable

DAY_MS: Final = 86_400_000
_MOST_REMEMBERED: Final = 10_000


class ClientUses:
    """The uses that one process has seen. Safe for its threads."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: LRUCache[int, int] = LRUCache(_MOST_REMEMBERED)
        self._unwritten: dict[int, int] = {}
        self._lock = threading.Lock()

    def note(self, client: Client) -> None:
        """The client has just proven itself, or got something; of an operator's clients nothing is kept."""
        if client.origin is None:
            return
        now = self._clock()
        day = now - now % DAY_MS
        with self._lock:
            if self._known.get(client.pk) != day:
                self._known[client.pk] = self._unwritten[client.pk] = day

    def flush(self) -> int:
        """Write what was seen and return for how many clients. Raises `DatabaseUnavailable`; then it waits on."""
        with self._lock:
            days, self._unwritten = self._unwritten, {}
        if not days:
            return 0
        try:
            self._database.transact(lambda connection: set_last_used(connection, days))
        except DatabaseUnavailable:
            with self._lock:
                self._unwritten = {**days, **self._unwritten}
            raise
        return len(days)
