"""What is known of a person, for their own pages."""

from typing import Protocol

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
