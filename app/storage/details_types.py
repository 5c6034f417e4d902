"""The registered types of authorization details, one JSON document each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from app.storage.conflicts import refusing_duplicates
from app.storage.tables import authorization_details_types


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailsTypeRow:
    """One type."""

    type: str
    document: dict[str, Any]
    created_at: int


_LIST = select(authorization_details_types).order_by(
    authorization_details_types.c.created_at, authorization_details_types.c.type
)


def insert_details_type(connection: Connection, type_: str, document: Mapping[str, Any], *, created_at: int) -> None:
    """Store a new type. Raises `AlreadyTaken` where there is one of that name."""
    # The order of members stays: it is the one in which people read them.
    text = json.dumps(document, separators=(",", ":"))
    values = {"type": type_, "document": text, "created_at": created_at}
    with refusing_duplicates():
        connection.execute(insert(authorization_details_types).values(values))


def delete_details_type(connection: Connection, type_: str) -> bool:
    """Forget a type; whether there was one of that name."""
    is_it = authorization_details_types.c.type == type_
    return connection.execute(delete(authorization_details_types).where(is_it)).rowcount == 1


def list_details_types(connection: Connection) -> tuple[DetailsTypeRow, ...]:
    """Every type, the oldest first."""
    return tuple(
        DetailsTypeRow(type=row.type, document=_from_json(row.document), created_at=row.created_at)
        for row in connection.execute(_LIST)
    )


def _from_json(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    # One damaged row must not hide the others: this parses as no type.
    return document if isinstance(document, dict) else {"damaged": True}
