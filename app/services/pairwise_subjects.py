"""The pairwise subjects of one process: read, or written at first use, and then remembered, since they never change."""

import threading

from cachetools import LRUCache

from app.services.clock import Clock
from app.services.identifiers import new_sub
from app.storage.database import Connection, Database
from app.storage.pairwise_subjects import find_pairwise_subject, insert_pairwise_subject

_REMEMBERED = 10_000


class PairwiseSubjects:
    """By (person, sector)."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._remembered: LRUCache[tuple[str, str], str] = LRUCache(maxsize=_REMEMBERED)
        self._lock = threading.Lock()

    def get(self, user_sub: str, sector: str) -> str:
        """The subject by which the sector knows the person, the same one for ever (OpenID Connect Core 8.1).

        At first use in a transaction of its own, so not to be called within one.
        """
        with self._lock:
            known = self._remembered.get((user_sub, sector))
        if known is None:
            known = self._find(user_sub, sector) or self._make(user_sub, sector)
            with self._lock:
                self._remembered[user_sub, sector] = known
        return known

    def _find(self, user_sub: str, sector: str) -> str | None:
        with self._database.reading() as connection:
            return find_pairwise_subject(connection, user_sub=user_sub, sector=sector)

    def _make(self, user_sub: str, sector: str) -> str:
        def write(connection: Connection) -> None:
            insert_pairwise_subject(connection, user_sub=user_sub, sector=sector, sub=new_sub(), now=self._clock())

        self._database.transact(write)
        # Read in a later statement, so that of two who wrote at once both learn what was kept.
        found = self._find(user_sub, sector)
        if found is None:
            raise LookupError("there is no such person")
        return found
