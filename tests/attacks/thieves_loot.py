"""A thief's loot: every value of a dumped database or of a log, in each shape in which it could be presented."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import inspect

from app.services.mint_secret import _base62, _checksum
from tests.world import World

SECRET_TYPES = ("ac", "at", "br", "cs", "ia", "kd", "rg", "rt", "tx")
_WORD = re.compile(r"[A-Za-z0-9_\-.~+/=]{16,}")


def dump_database(world: World) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, whatever the program knows of it."""
    with world.operator.deployment.database.reading() as connection:
        return {
            table: [dict(row) for row in connection.exec_driver_sql(f'SELECT * FROM "{table}"').mappings()]  # noqa: S608
            for table in inspect(connection).get_table_names()
        }


def dump_text(dump: dict[str, list[dict[str, Any]]]) -> str:
    """The dump as one text, bytes in each of their usual spellings, to be searched."""
    values = (value for rows in dump.values() for row in rows for value in row.values())
    return "\n".join(shape for value in values for shape in shapes_of(value))


def values_of(dump: dict[str, list[dict[str, Any]]]) -> list[Any]:
    """Every value of every column."""
    return [value for rows in dump.values() for row in rows for value in row.values() if value is not None]


def loot_of(dump: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Everything in the dump that could be presented as a secret; what is shorter could be guessed as well."""
    values = (value for rows in dump.values() for row in rows for value in row.values())
    return sorted({shape for value in values for shape in shapes_of(value) if 8 <= len(shape) <= 2000})


def shapes_of(value: Any) -> Iterator[str]:
    """A value as text: itself, what lies in it, and digests dressed up as the server's own secrets."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int | float):
        yield str(value)
    elif isinstance(value, str):
        yield value
        yield from _leaves(value)
    elif isinstance(value, bytes | memoryview):
        raw = bytes(value)
        yield raw.hex()
        yield base64.urlsafe_b64encode(raw).decode().rstrip("=")
        yield base64.b64encode(raw).decode()
        if len(raw) == 32:
            body = _base62(int.from_bytes(raw, "big"), length=43)
            yield from (f"th_{kind}_{body}{_checksum(kind, body)}" for kind in SECRET_TYPES)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return
        yield text
        yield from _leaves(text)


def words_of(text: str) -> list[str]:
    """Everything in a text that is long enough to be a secret."""
    return sorted(set(_WORD.findall(text)))


def _leaves(text: str) -> Iterator[str]:
    try:
        document = json.loads(text)
    except ValueError:
        return
    yield from _strings(document)


def _strings(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for name, member in document.items():
            yield name
            yield from _strings(member)
    elif isinstance(document, list):
        for member in document:
            yield from _strings(member)
