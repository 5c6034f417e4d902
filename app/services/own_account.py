"""The account of somebody who is signed in, for their own pages: read, and held while they change it."""

from typing import Protocol

from app.services.deployment import Deployment
from app.specs.protocol_error import InvalidRequest
from app.storage.database import Connection
from app.storage.users import UserRow, find_user, lock_user


class Person(Protocol):
    """Whose account it is: a session has both, and so has what the operator asks for."""

    @property
    def user_id(self) -> int:
        """The row."""

    @property
    def sub(self) -> str:
        """The subject."""


class AccountGone(InvalidRequest):
    """The account was disabled or deleted meanwhile."""

    def __init__(self) -> None:
        super().__init__("this account is closed")


def find_own_row(deployment: Deployment, person: Person) -> UserRow:
    """The person. People are never removed, only emptied, so there is always one."""
    with deployment.database.reading() as connection:
        row = find_user(connection, person.user_id)
    if row is None:
        raise AssertionError("a session has no person")
    return row


def lock_own_row(connection: Connection, person: Person) -> UserRow:
    """The person, held until the caller's transaction ends, so that one change of an account sees the other.

    Raises `AccountGone`.
    """
    row = lock_user(connection, person.sub)
    if row is None or row.disabled_at is not None:
        raise AccountGone
    return row
