"""Statements of the hot path: declared with Core like every other, compiled once, run on the bare driver.

SQLAlchemy spends 60 to 80 us on a statement that SQLite answers in five. A `Prepared` keeps the declaration and pays
for the compilation once per dialect; what it gives up is conversion: parameters and results are the driver's own types
(integers, text, bytes), so it does not fit columns of booleans, nor IN with a list.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.expression import ClauseElement


class Prepared:
    """One statement whose parameters all have names; `run` returns its rows."""

    def __init__(self, statement: ClauseElement, *, per_dialect: Mapping[str, ClauseElement] | None = None) -> None:
        self._statement = statement
        self._per_dialect = per_dialect or {}
        self._compiled: dict[str, tuple[str, tuple[str, ...] | None, Mapping[str, Any]]] = {}

    def run(self, connection: Connection, parameters: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        """Every row of the result; empty for a statement that returns none."""
        sql, names, constants = self._compile(connection.dialect)
        values = {**constants, **parameters} if constants else parameters
        # The driver's own cursor, not the pool's wrapping of it.
        cursor = connection.connection.driver_connection.cursor()  # type: ignore[union-attr]
        try:
            cursor.execute(sql, values if names is None else [values[name] for name in names])
            return [] if cursor.description is None else cursor.fetchall()
        finally:
            cursor.close()

    def first(self, connection: Connection, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row, or None."""
        rows = self.run(connection, parameters)
        return rows[0] if rows else None

    def _compile(self, dialect: Dialect) -> tuple[str, tuple[str, ...] | None, Mapping[str, Any]]:
        ready = self._compiled.get(dialect.name)
        if ready is None:
            compiled: Any = self._per_dialect.get(dialect.name, self._statement).compile(dialect=dialect)
            # SQLite's parameters are positional, psycopg's are named.
            positions = compiled.positiontup
            # Literals of the statement are parameters too; those that the caller owes stay missing until given.
            constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
            ready = (str(compiled), None if positions is None else tuple(positions), constants)
            self._compiled[dialect.name] = ready
        return ready
