"""Resources (APIs) and the identifiers by which they are asked for: the identifier itself and its aliases."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from app.storage.conflicts import refusing_duplicates
from app.storage.tables import resource_identifiers, resources


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRow:
    """One resource. `identifiers` begins with `resource` itself, which is what `aud` always is."""

    id: int
    resource: str
    resource_name: str
    metadata: dict[str, Any]
    identifiers: tuple[str, ...]
    created_at: int


_LIST = select(resources).order_by(resources.c.created_at, resources.c.id)
_LIST_IDENTIFIERS = select(resource_identifiers.c.resource_pk, resource_identifiers.c.identifier)


def insert_resource(
    connection: Connection,
    *,
    resource: str,
    resource_name: str,
    metadata: Mapping[str, Any],
    aliases: Sequence[str],
    created_at: int,
) -> int:
    """The internal id of the new resource. Raises `AlreadyTaken` for an identifier or alias that is."""
    statement = insert(resources).values(
        resource=resource,
        resource_name=resource_name,
        metadata=_to_json(metadata),
        created_at=created_at,
    )
    resource_pk: int = connection.execute(statement.returning(resources.c.id)).scalar_one()
    _insert_identifiers(connection, resource_pk, (resource, *aliases))
    return resource_pk


def update_resource(
    connection: Connection,
    row: ResourceRow,
    *,
    resource_name: str,
    metadata: Mapping[str, Any],
    aliases: Sequence[str],
) -> None:
    """Replace everything but the identifier. Raises `AlreadyTaken` for an alias that is."""
    values = {"resource_name": resource_name, "metadata": _to_json(metadata)}
    connection.execute(update(resources).where(resources.c.id == row.id).values(values))
    connection.execute(delete(resource_identifiers).where(resource_identifiers.c.resource_pk == row.id))
    _insert_identifiers(connection, row.id, (row.resource, *aliases))


def list_resources(connection: Connection) -> tuple[ResourceRow, ...]:
    """Every resource, the oldest first."""
    identifiers: dict[int, list[str]] = {}
    for resource_pk, identifier in connection.execute(_LIST_IDENTIFIERS):
        identifiers.setdefault(resource_pk, []).append(identifier)
    return tuple(
        ResourceRow(
            id=row.id,
            resource=row.resource,
            resource_name=row.resource_name,
            metadata=_from_json(row.metadata),
            identifiers=_order(row.resource, identifiers.get(row.id, [])),
            created_at=row.created_at,
        )
        for row in connection.execute(_LIST)
    )


def find_resource(connection: Connection, identifier: str) -> ResourceRow | None:
    """The resource of an identifier or alias, matched exactly."""
    found = connection.execute(
        select(resource_identifiers.c.identifier, resource_identifiers.c.resource_pk).where(
            resource_identifiers.c.identifier_digest == _digest(identifier)
        )
    ).first()
    if found is None or found.identifier != identifier:
        return None
    return next((row for row in list_resources(connection) if row.id == found.resource_pk), None)


def _insert_identifiers(connection: Connection, resource_pk: int, identifiers: Sequence[str]) -> None:
    rows = [
        {"identifier_digest": _digest(identifier), "identifier": identifier, "resource_pk": resource_pk}
        for identifier in identifiers
    ]
    with refusing_duplicates():
        connection.execute(insert(resource_identifiers), rows)


def _to_json(metadata: Mapping[str, Any]) -> str:
    return json.dumps(metadata, sort_keys=True, separators=(",", ":"))


def _from_json(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    # One damaged row must not hide the others: this parses as no resource.
    return document if isinstance(document, dict) else {"damaged": True}


def _order(resource: str, identifiers: list[str]) -> tuple[str, ...]:
    return (resource, *sorted(identifier for identifier in identifiers if identifier != resource))


def _digest(identifier: str) -> bytes:
    return hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).digest()
