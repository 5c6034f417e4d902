"""Which schema a database has, and whether this version of the program may serve it.

A revision is named `NNNN_since_MMMM`: the N-th migration, on which the program written for the M-th still runs. So an
older program goes on beside a newer one while a migration only expanded, and refuses the schema once one contracted.
Alembic is not imported here: a start reads one row. `migrate` does the rest.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Connection, inspect, text

LATEST: Final = 5
"""The schema that this program was written for."""
OLDEST_SERVED: Final = 5
"""The oldest schema that this program can still work with."""

_REVISION = re.compile(r"([0-9]{4})_since_([0-9]{4})")
_VERSION_TABLE = "alembic_version"


class SchemaError(Exception):
    """The database's schema cannot be used; the message says what to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """What was found: the revision (None without tables), and what it means for this program."""

    revision: str | None
    state: Literal["current", "compatible", "empty", "older", "newer", "foreign"]

    @property
    def is_served(self) -> bool:
        """Whether the program may start."""
        return self.state in ("current", "compatible")

    def explain(self) -> str:
        """One sentence, with the command that helps."""
        if self.state == "empty":
            return (
                "the database has no tables yet: run `tokenhouse init`, or `tokenhouse db upgrade` for the tables alone"
            )
        if self.state == "older":
            return f"the database's schema ({self.revision}) is older than this program: run `tokenhouse db upgrade`"
        if self.state == "newer":
            return (
                f"the database's schema ({self.revision}) is newer than this program, which knows up to {LATEST:04}: "
                "run the version of tokenhouse that upgraded it (its `tokenhouse db upgrade` was already run)"
            )
        if self.state == "foreign":
            return (
                f"the database's schema ({self.revision}) is not Tokenhouse's: "
                "set TOKENHOUSE_DATABASE_URL to a database of its own and run `tokenhouse db upgrade`"
            )
        return f"the database's schema ({self.revision}) is served by this program"


def find_revision(connection: Connection) -> str | None:
    """The revision that the database says it has; None before the first migration."""
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    revisions = connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalars().all()  # noqa: S608
    return ",".join(sorted(revisions)) or None


def read_state(connection: Connection) -> SchemaState:
    """What the database's schema means for this program. Believes the revision; `migrate` can compare the tables."""
    return judge_revision(find_revision(connection))


def judge_revision(revision: str | None) -> SchemaState:
    """What a revision means for this program."""
    if revision is None:
        return SchemaState(revision=None, state="empty")
    match = _REVISION.fullmatch(revision)
    if match is None:
        return SchemaState(revision=revision, state="foreign")
    number, oldest_program = int(match[1]), int(match[2])
    if number == LATEST:
        return SchemaState(revision=revision, state="current")
    if number < LATEST:
        return SchemaState(revision=revision, state="compatible" if number >= OLDEST_SERVED else "older")
    return SchemaState(revision=revision, state="compatible" if oldest_program <= LATEST else "newer")


def check_version(connection: Connection) -> None:
    """Raises `SchemaError` unless this program may serve the database."""
    state = read_state(connection)
    if not state.is_served:
        raise SchemaError(state.explain())


def check_integrity(connection: Connection) -> None:
    """Raises `SchemaError` where an SQLite file is damaged. Reads the whole file; PostgreSQL looks after itself."""
    if connection.dialect.name != "sqlite":
        return
    finding = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if finding != "ok":
        # The first line only says which database is meant.
        raise SchemaError(f"the database file is damaged: {finding.splitlines()[-1]}; restore it from a backup")


def database_time(connection: Connection) -> int:
    """The database's own clock, in milliseconds UTC."""
    if connection.dialect.name == "sqlite":
        statement = "SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"
    else:
        statement = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    return int(connection.exec_driver_sql(statement).scalar_one())
