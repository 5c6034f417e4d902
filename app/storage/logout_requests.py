"""Logouts that wait for the person's word, or for the browser to have told the applications."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from app.storage.tables import logout_requests


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutRow:
    """A stored logout; `digest` is of the cookie's secret."""

    request_id: str
    digest: bytes
    digest_key_id: str
    request: dict[str, Any]
    created_at: int
    expires_at: int
    used_at: int | None


def insert_logout(connection: Connection, row: LogoutRow) -> None:
    """Store a new one."""
    values = {name: getattr(row, name) for name in row.__slots__}
    connection.execute(insert(logout_requests), {**values, "request": _to_json(row.request)})


def find_logout(connection: Connection, request_id: str) -> LogoutRow | None:
    """The stored logout, finished and expired ones too."""
    row = connection.execute(select(logout_requests).where(logout_requests.c.request_id == request_id)).mappings()
    found = row.first()
    return None if found is None else LogoutRow(**{**found, "request": json.loads(found["request"])})


def replace_logout(connection: Connection, request_id: str, request: dict[str, Any]) -> None:
    """What is known of it now."""
    statement = update(logout_requests).where(logout_requests.c.request_id == request_id)
    connection.execute(statement.values(request=_to_json(request)))


def _to_json(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))
