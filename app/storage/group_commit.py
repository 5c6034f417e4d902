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
    """One work in the line, and how it ended. `turn` opens when it has ended, or when it is its turn to write."""

    __slots__ = ("callbacks", "error", "is_done", "result", "turn", "work")

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.callbacks: list[Callable[[], None]] = []
        self.result: Any = None
        self.error: Exception | None = None
        self.is_done = False
        self.turn = threading.Lock()
        self.turn.acquire()


class GroupCommit:
    """The line in front of one SQLite file, for one process."""

    def __init__(self, engine: Engine, *, wait_s: float) -> None:
        self._engine = engine
        self._wait_s = wait_s
        self._line: deque[_Waiting] = deque()
        # Held for moments, to look at the line and whether somebody writes.
        self._line_lock = threading.Lock()
        self._is_writing = False
        # One connection writes everything: its cache of pages stays true, because nobody else in this process writes.
        self._connection: Connection | None = None

    def run(self, work: Callable[[Connection], T]) -> T:
        """The result of `work` once it is committed. Raises what `work` raised, or what the driver did."""
        waiting = _Waiting(work)
        with self._line_lock:
            self._line.append(waiting)
            is_first, self._is_writing = not self._is_writing, True
        if not is_first and not waiting.turn.acquire(timeout=self._wait_s):
            self._leave(waiting)
        if not waiting.is_done:
            self._write()
        if waiting.error is not None:
            raise waiting.error
        for callback in waiting.callbacks:
            callback()
        result: T = waiting.result
        return result

    def close(self) -> None:
        """Give the connection back, unless somebody writes still: then it ends with the process."""
        with self._line_lock:
            if not self._is_writing:
                self._drop_connection()

    def _leave(self, waiting: _Waiting) -> None:
        with self._line_lock:
            # Its turn may have come in this very moment; who is in the line and has no turn is not begun.
            has_turn = waiting.turn.acquire(blocking=False)
            if not has_turn and waiting in self._line:
                self._line.remove(waiting)
                raise WriterBusy
        if not has_turn:
            # Somebody has begun it: only the end of that transaction tells how it went.
            waiting.turn.acquire()

    def _write(self) -> None:
        """Do the work of those who stand first in the line, the caller's among it; then it is the next one's turn.

        Each is woken by itself: whoever is done must not wait for the transaction that begins after theirs.
        """
        try:
            self._serve_the_line()
        finally:
            with self._line_lock:
                if self._line:
                    self._line[0].turn.release()
                else:
                    self._is_writing = False

    def _serve_the_line(self) -> None:
        with self._line_lock:
            together = [self._line.popleft() for _ in range(min(_MOST_TOGETHER, len(self._line)))]
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            self._transact(self._connection, together)
        except BaseException as error:
            # Not committed, so nobody keeps a refusal either: it may have been judged by what another one wrote.
            for waiting in together:
                waiting.error = error if isinstance(error, Exception) else WriterBusy()
            self._drop_connection()
            if not isinstance(error, Exception):
                raise
        finally:
            for waiting in together:
                waiting.is_done = True
                waiting.turn.release()

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
