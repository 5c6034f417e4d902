"""A JSON Schema validator of the library's, on a schema that was checked to be bounded.

It knows no other document than that schema, so that no `$ref` can make it fetch one, and matches patterns in bounded
time.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator, SchemaError, ValidationError, validators
from jsonschema.protocols import Validator
from referencing import Registry

from app.specs.bounded_pattern import BoundedPattern

_pattern = lru_cache(maxsize=1000)(BoundedPattern)


def _match_pattern(_validator: Validator, pattern: str, instance: object, _schema: object) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _pattern(pattern).matches(instance):
        yield ValidationError("does not match the pattern")


_BoundedValidator: type[Validator] = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"pattern": _match_pattern}
)


class SchemaValidator:
    """Raises ValueError for what is not JSON Schema. Does **not** check that the schema is bounded."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        try:
            _BoundedValidator.check_schema(dict(schema))
        except SchemaError as error:
            path = ".".join(str(part) for part in error.absolute_path)
            raise ValueError(
                f"schema: {path[:200] or 'the whole'} is not JSON Schema: {error.message[:200]}"
            ) from error
        self._validator = _BoundedValidator(dict(schema), registry=Registry())

    def find_problem(self, value: dict[str, Any]) -> str | None:
        """Where and by which keyword the value does not conform, never what it is; None for one that conforms."""
        problem = next(iter(self._validator.iter_errors(value)), None)
        if problem is None:
            return None
        path = ".".join(str(part) for part in problem.absolute_path)
        return f"{path[:200]}: {problem.validator}"
