"""Connections and transactions, the same for SQLite and PostgreSQL.

`transact(work)` writes: BEGIN IMMEDIATE on SQLite, READ COMMITTED on PostgreSQL, the whole of `work` repeated at most
three times after a serialization failure or a deadlock. `reading()` never takes a write lock. What goes wrong on our
side of the protocol is `DatabaseUnavailable`, never a refusal of the caller.
"""

import random
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, PendingRollbackError, ResourceClosedError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.storage.bounded_connection import BoundedConnection
from app.storage.group_commit import AFTER_COMMIT, GroupCommit, WriterBusy

T = TypeVar("T")

__all__ = ["Connection", "Database", "DatabaseUnavailable", "after_commit"]

_RETRIES = 3
_RETRIED_SQLSTATES = frozenset({"40001", "40P01"})
_LOCK_WAIT_S = 3
_STATEMENT_TIMEOUT_S = 4


class DatabaseUnavailable(Exception):
    """The database did not do its work: down, locked, full or corrupt. Callers answer 503 and nothing is lost."""


class Database:
    """One database, opened. Safe for use by many threads; not across a fork."""

    def __init__(self, url: str, *, pool_size: int = 16) -> None:
        self.url = _engine_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            # The one that writes is kept for good, and whoever reads needs another.
            pool_size = max(pool_size, 2)
        engine = _sqlite_engine(self.url, pool_size) if self.is_sqlite else _postgresql_engine(self.url, pool_size)
        self.engine: Engine = engine
        self._group_commit = GroupCommit(engine, wait_s=_LOCK_WAIT_S) if self.is_sqlite else None
        # SQLite's answers take less time than SQLAlchemy's pool does. Half of the connections at most: whoever waits
        # for one waits at the pool, and must get what the others give back.
        self._at_hand: deque[Connection] = deque()
        self._most_at_hand = pool_size // 2 if self.is_sqlite else 0
        self._pause = threading.Event()

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)!r})"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reads. Never waits for a writer on SQLite.

        What is read by one statement is one state. Several prepared statements on SQLite may see several: whatever
        must not change in between is read again in the transaction that writes.
        """
        if not self.is_sqlite:
            with _translated_errors(), self.engine.connect() as connection:
                yield connection
            return
        with _translated_errors():
            connection = self._take_connection()
            try:
                yield connection
                # A read that stays open would keep the write-ahead log from being written back.
                if connection.in_transaction():
                    connection.rollback()
            except BaseException:
                connection.close()
                raise
            self._put_back(connection)

    def _take_connection(self) -> Connection:
        try:
            return self._at_hand.pop()
        except IndexError:
            return self.engine.connect()

    def _put_back(self, connection: Connection) -> None:
        if len(self._at_hand) < self._most_at_hand:
            self._at_hand.append(connection)
        else:
            connection.close()

    def transact(self, work: Callable[[Connection], T]) -> T:
        """The result of `work` in one committed transaction.

        `work` may run up to four times in all, so whatever it does outside the database must wait for the return.
        Raises `DatabaseUnavailable`; any other exception of `work` rolls back and passes through.
        """
        for attempt in range(_RETRIES + 1):
            try:
                return self._transact_once(work)
            except _TransactionConflict as conflict:
                if attempt == _RETRIES:
                    raise DatabaseUnavailable("the transaction kept losing against others") from conflict
                # Jitter: the transactions that met once must not meet again.
                self._pause.wait(random.uniform(0.005, 0.03) * (attempt + 1))  # noqa: S311 - not a secret
        raise AssertionError("unreachable")

    def _transact_once(self, work: Callable[[Connection], T]) -> T:
        if self._group_commit is not None:
            with _translated_errors():
                return self._group_commit.run(work)
        callbacks: list[Callable[[], None]] = []
        with _translated_errors(), self.engine.connect() as connection:
            connection.info[AFTER_COMMIT] = callbacks
            driver = connection.connection
            try:
                result = work(connection)
                # Begun and ended on the driver: what SQLAlchemy would add costs more than the statements in between.
                driver.commit()
            except BaseException:
                # SQLAlchemy lets go of a connection on which one of its own statements found the server gone. One that
                # cannot even roll back is thrown away by the pool when it comes home.
                if driver.is_valid:
                    with suppress(psycopg.Error):
                        driver.rollback()
                raise
        for callback in callbacks:
            callback()
        return result

    def dispose(self) -> None:
        """Close every connection."""
        if self._group_commit is not None:
            self._group_commit.close()
        while self._at_hand:
            self._at_hand.pop().close()
        self.engine.dispose()


def after_commit(connection: Connection, callback: Callable[[], None]) -> None:
    """Call `callback` once this transaction has committed, and never if it does not."""
    connection.info[AFTER_COMMIT].append(callback)


class _TransactionConflict(Exception):
    pass


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except (IntegrityError, sqlite3.IntegrityError, psycopg.IntegrityError):
        raise
    except DBAPIError as error:
        _raise_translated(error.orig, error)
    except (sqlite3.Error, psycopg.Error) as error:
        _raise_translated(error, error)
    except (WriterBusy, PoolTimeoutError, PendingRollbackError, ResourceClosedError) as error:
        raise DatabaseUnavailable(type(error).__name__) from error


def _raise_translated(driver_error: BaseException | None, error: Exception) -> NoReturn:
    if getattr(driver_error, "sqlstate", None) in _RETRIED_SQLSTATES:
        raise _TransactionConflict from error
    if isinstance(driver_error, sqlite3.ProgrammingError | psycopg.ProgrammingError | psycopg.DataError):
        # A statement that is wrong, or a value that no column can hold, is our bug and not the database's state.
        raise error
    raise DatabaseUnavailable(type(driver_error).__name__ if driver_error is not None else "unknown") from error


def _engine_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not `from error`: it repeats the URL, and with it the password.
        raise DatabaseUnavailable("TOKENHOUSE_DATABASE_URL cannot be read as a database URL") from None
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _sqlite_engine(url: URL, pool_size: int) -> Engine:
    if url.database and url.database != ":memory:":
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseUnavailable(f"{error.filename}: {error.strerror}") from error
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_LOCK_WAIT_S,
        connect_args={"timeout": _LOCK_WAIT_S, "check_same_thread": False, "cached_statements": 512},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver's own transaction control begins late and deferred; ours is explicit.
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={_LOCK_WAIT_S * 1000}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Core statements begin by themselves; inside `transact` the transaction is there already.
        if not connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
            connection.exec_driver_sql("BEGIN")

    return engine


def _postgresql_engine(url: URL, pool_size: int) -> Engine:
    timeouts = (
        f"-c statement_timeout={_STATEMENT_TIMEOUT_S * 1000} -c lock_timeout={_LOCK_WAIT_S * 1000} "
        f"-c idle_in_transaction_session_timeout=15000"
    )
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_LOCK_WAIT_S,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        connect_args={
            "options": timeouts,
            "connect_timeout": _LOCK_WAIT_S,
            "application_name": "tokenhouse",
            # A server that stopped answering must cost seconds, not the kernel's minutes.
            "tcp_user_timeout": (_STATEMENT_TIMEOUT_S + 1) * 1000,
        },
    )

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, arguments: Any, parameters: Any) -> BoundedConnection:
        return BoundedConnection.connect(*arguments, **parameters)

    return engine
