"""What is known of a person, for their own pages."""

from collections.abc import Mapping
from typing import Any, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.services.deployment import Deployment
from app.storage.users import UserRow, find_user


class Person(Protocol):
    """Whose account it is: a session has both, and so has what the operator asks for."""

    @property
    def user_id(self) -> int:
        """The row."""

    @property
    def sub(self) -> str:
        """The subject."""


def find_own_row(deployment: Deployment, person: Person) -> UserRow:
    """The person. People are never removed, only emptied, so there is always one."""
    with deployment.database.reading() as connection:
        row = find_user(connection, person.user_id)
    if row is None:
        raise AssertionError("a session has no person")
    return row


def find_zone(claims: Mapping[str, Any]) -> ZoneInfo | None:
    """The time zone that a person set, where there is such a one."""
    return parse_zone(claims.get("zoneinfo"))


def parse_zone(name: object) -> ZoneInfo | None:
    """The zone of the IANA database of this name; None for anything else."""
    if not isinstance(name, str) or len(name) > 100:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
