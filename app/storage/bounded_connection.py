"""psycopg connections that give up: a PostgreSQL that is frozen, or behind a dead network, must cost seconds.

`statement_timeout` and `lock_timeout` are kept by the server, so they do not help when it is the server that hangs; and
its kernel goes on acknowledging packets, so no TCP timeout does either.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection

# Longer than the server's own statement_timeout, whose answer says more.
ANSWER_WITHIN_S = 4.5
_PING_ANSWERED_WITHIN_S = 1.5


class BoundedConnection(psycopg.Connection[Any]):
    """A connection whose every wait for the server ends; afterwards it is closed, because its state is unknown."""

    answer_within_s: float | None = ANSWER_WITHIN_S

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server's answer. Raises `psycopg.OperationalError` when there is none in time."""
        if timeout is None:
            # Outside a transaction runs only the pool's ping; it must leave time for a new connection.
            timeout = _PING_ANSWERED_WITHIN_S if self.autocommit else self.answer_within_s
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError("the server did not answer in time") from None


@contextmanager
def waiting_as_long_as_it_takes(connection: Connection) -> Iterator[None]:
    """Lift the bound, for work that may rightly take minutes."""
    driver = connection.connection.dbapi_connection
    if not isinstance(driver, BoundedConnection):
        yield
        return
    driver.answer_within_s = None
    try:
        yield
    finally:
        driver.answer_within_s = ANSWER_WITHIN_S
