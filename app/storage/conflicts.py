"""Uniqueness, told to services that know no SQLAlchemy."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError


class AlreadyTaken(Exception):
    """What must be unique is there already, perhaps since a moment ago: the transaction was taken back."""


@contextmanager
def refusing_duplicates() -> Iterator[None]:
    """Turn a violated constraint into `AlreadyTaken`. Only around statements that can violate nothing else."""
    try:
        yield
    except IntegrityError as error:
        raise AlreadyTaken from error
