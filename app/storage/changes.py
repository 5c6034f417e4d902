"""Counters that tell running servers what changed: they look at these and drop what they remember."""

from typing import Literal

from sqlalchemy import Connection, select, text

from app.storage.tables import changes

ChangeName = Literal["clients", "resources", "keys", "users", "status_lists", "registrations"]

_READ = select(changes.c.name, changes.c.version)
# Both databases know this form; SQLAlchemy has it only once per dialect.
_INCREMENT = text(
    "INSERT INTO changes (name, version) VALUES (:name, 1) "
    "ON CONFLICT (name) DO UPDATE SET version = changes.version + 1 RETURNING version"
)


def bump(connection: Connection, name: ChangeName) -> int:
    """Say, in the transaction that makes the change, that something of this kind is different; its new number.

    The row stays locked until the commit, so nobody sees the new number before what it announces, nor a later number
    before this one.
    """
    version: int = connection.execute(_INCREMENT, {"name": name}).scalar_one()
    return version


def read_versions(connection: Connection) -> dict[str, int]:
    """The number of every kind of thing; only a difference between two readings means anything."""
    return {row.name: row.version for row in connection.execute(_READ)}
