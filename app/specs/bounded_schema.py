"""JSON Schema 2020-12, the part of it that validates in bounded time and fetches nothing.

A keyword that is not in the table is refused: a validator that does not know one passes over it, and a restriction that
is passed over is none. So are references out of the document, recursion, and objects open to members nobody described.
Does **not** check the values of keywords against the meta-schema: that is the validator library's part.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .bounded_pattern import BoundedPattern

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
MAX_SCHEMAS: Final = 300
MAX_DEPTH: Final = 16

_OF_ONE_SCHEMA: Final = ("items", "additionalProperties", "not")
_OF_SCHEMAS: Final = ("allOf", "anyOf", "oneOf")
_WITHOUT_SCHEMAS: Final = frozenset(
    {
        *("type", "const", "enum", "pattern", "minLength", "maxLength", "minItems", "maxItems"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        *("required", "minProperties", "maxProperties"),
        *("title", "description", "$comment", "examples", "default"),
    }
)
_KEYWORDS: Final = _WITHOUT_SCHEMAS | {"properties", "$ref", *_OF_ONE_SCHEMA, *_OF_SCHEMAS}
_ONLY_AT_THE_TOP: Final = frozenset({"$schema", "$defs"})
_REFERENCE = re.compile(r"#/\$defs/([A-Za-z0-9_-]{1,100})")


def check_object_schema(schema: object) -> None:
    """Raises ValueError unless `schema` describes an object whose members are all named, within the bounds."""
    if not isinstance(schema, dict) or schema.get("type") != "object" or not isinstance(schema.get("properties"), dict):
        raise ValueError("must be of type object, with properties")
    if schema.get("$schema", DIALECT) != DIALECT:
        raise ValueError(f"must be JSON Schema 2020-12: $schema {DIALECT}")
    definitions = schema.get("$defs", {})
    if not isinstance(definitions, dict):
        raise ValueError("$defs must be an object")
    top = {name: value for name, value in schema.items() if name not in _ONLY_AT_THE_TOP}
    _Walk(definitions).visit(top, depth=1)
    for definition in definitions.values():
        _Walk(definitions).visit(definition, depth=1)


class _Walk:
    """Visits every schema as often as a validator may come to it: a reference counts as what it refers to."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._visited = 0

    def visit(self, schema: object, *, depth: int) -> None:
        self._visited += 1
        if depth > MAX_DEPTH or self._visited > MAX_SCHEMAS:
            raise ValueError(f"is too large, or refers to itself: {MAX_SCHEMAS} schemas, {MAX_DEPTH} levels deep")
        if isinstance(schema, bool):
            return
        if not isinstance(schema, dict):
            raise ValueError("holds something that is not a schema")
        unknown = sorted(schema.keys() - _KEYWORDS)
        if unknown:
            raise ValueError(f"has the keyword {unknown[0][:60]!r}, which is not supported")
        _check_is_closed(schema)
        if "pattern" in schema:
            _check_pattern(schema["pattern"])
        for part in self._parts(schema):
            self.visit(part, depth=depth + 1)

    def _parts(self, schema: Mapping[str, Any]) -> Iterator[object]:
        properties = schema.get("properties", {})
        if not isinstance(properties, dict):
            raise ValueError("properties must be an object")
        yield from properties.values()
        for name in _OF_ONE_SCHEMA:
            if name in schema:
                yield schema[name]
        for name in _OF_SCHEMAS:
            alternatives = schema.get(name, [])
            if not isinstance(alternatives, list):
                raise ValueError(f"{name} must be a list")
            yield from alternatives
        if "$ref" in schema:
            yield self._find(schema["$ref"])

    def _find(self, reference: object) -> object:
        found = _REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
        if found is None or found[1] not in self._definitions:
            raise ValueError("must refer to nothing but #/$defs/NAME in itself")
        return self._definitions[found[1]]


def _check_is_closed(schema: Mapping[str, Any]) -> None:
    """RFC 9396 section 5: a detail is refused when it is "of known type but containing unknown fields"."""
    is_object = "properties" in schema or "object" in _types(schema.get("type"))
    if "properties" in schema and schema.get("additionalProperties") is not False:
        raise ValueError("must set additionalProperties to false beside properties")
    if is_object and "properties" not in schema and "additionalProperties" not in schema:
        raise ValueError("must name the properties of each object, or describe them with additionalProperties")


def _types(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _check_pattern(pattern: object) -> None:
    if not isinstance(pattern, str):
        raise ValueError("pattern must be a text")
    BoundedPattern(pattern)
