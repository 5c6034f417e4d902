"""SQLite has one writer at a time, so those that wait share one transaction, and with it one fsync.

Whoever gets the process's writer lock does the work of everybody in the line, each in a savepoint of its own, and
commits once. Without it waiting threads would poll the file's lock, and every commit would pay for the disk alone.
Nobody's work returns before the commit; a refusal inside one work rolls back that work only; a failure of the
database fails all of them, because then none is known to be kept.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

T = TypeVar("T")

AFTER_COMMIT: Final = "tokenhouse.after_commit"
_MOST_TOGETHER: Final = 32


class WriterBusy(Exception):
    """The line did not move for as long as anybody may wait."""


class _Waiting:
    """One work in the line, and how it ended."""

    __slots__ = ("callbacks", "error", "is_done", "result", "work")

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.callbacks: list[Callable[[], None]] = []
        self.result: Any = None
        self.error: Exception | None = None
        self.is_done = False


class GroupCommit:
    """The line in front of one SQLite file, for one process."""

    def __init__(self, engine: Engine, *, wait_s: float) -> None:
        self._engine = engine
        self._wait_s = wait_s
        self._line: deque[_Waiting] = deque()
        self._writer = threading.Lock()
        # One connection writes everything: its cache of pages stays true, because nobody else in this process writes.
        self._connection: Connection | None = None

    def run(self, work: Callable[[Connection], T]) -> T:
        """The result of `work` once it is committed. Raises what `work` raised, or what the driver did."""
        waiting = _Waiting(work)
        self._line.append(waiting)
        if not self._writer.acquire(timeout=self._wait_s):
            self._leave(waiting)
        else:
            try:
                while not waiting.is_done:
                    self._serve_the_line()
            finally:
                self._writer.release()
        if waiting.error is not None:
            raise waiting.error
        for callback in waiting.callbacks:
            callback()
        result: T = waiting.result
        return result

    def close(self) -> None:
        """Give the connection back. Whoever waits is served first."""
        with self._writer:
            self._drop_connection()

    def _leave(self, waiting: _Waiting) -> None:
        try:
            self._line.remove(waiting)
        except ValueError:
            # Somebody has begun it: only the end of that transaction tells how it went.
            with self._writer:
                return
        raise WriterBusy

    def _serve_the_line(self) -> None:
        together = [self._line.popleft() for _ in range(min(_MOST_TOGETHER, len(self._line)))]
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            self._transact(self._connection, together)
        except BaseException as error:
            self._drop_connection()
            # Not committed, so nobody keeps a refusal either: it may have been judged by what another one wrote.
            for waiting in together:
                waiting.error = error if isinstance(error, Exception) else WriterBusy()
            if not isinstance(error, Exception):
                raise
        finally:
            for waiting in together:
                waiting.is_done = True

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _transact(self, connection: Connection, together: list[_Waiting]) -> None:
        driver = connection.connection
        cursor = driver.cursor()
        try:
            # IMMEDIATE: a writer that began deferred fails at once, without waiting, when it upgrades its lock.
            cursor.execute("BEGIN IMMEDIATE")
            if len(together) == 1:
                connection.info[AFTER_COMMIT] = together[0].callbacks
                together[0].result = together[0].work(connection)
            else:
                for waiting in together:
                    _work_in_savepoint(connection, cursor, waiting)
            # Begun and ended on the driver: what SQLAlchemy would add costs more than the statements in between.
            driver.commit()
            if connection.in_transaction():
                # A Core statement made SQLAlchemy believe that it had begun something.
                connection.rollback()
        except BaseException:
            # A connection that cannot even roll back is thrown away by the pool when it comes home.
            with suppress(sqlite3.Error):
                driver.rollback()
            raise


def _work_in_savepoint(connection: Connection, cursor: Any, waiting: _Waiting) -> None:
    connection.info[AFTER_COMMIT] = waiting.callbacks
    cursor.execute("SAVEPOINT work")
    try:
        waiting.result = waiting.work(connection)
    except Exception as error:
        waiting.error = error
        if _is_failure_of_the_database(error):
            raise
        cursor.execute("ROLLBACK TO work")
    cursor.execute("RELEASE work")


def _is_failure_of_the_database(error: Exception) -> bool:
    if isinstance(error, IntegrityError | sqlite3.IntegrityError):
        return False
    return isinstance(error, sqlite3.Error | DBAPIError)
