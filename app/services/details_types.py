"""The registered types of authorization details (RFC 9396), with the validator of each: what fits, and where."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from app.services.schema_validator import SchemaValidator
from app.specs.protocol_error import InvalidAuthorizationDetails
from app.specs.rfc9396_authorization_details import AuthorizationDetail, Details, TypeOrders
from app.specs.rfc9396_details_types import DetailsType, parse_details_type
from app.storage.details_types import DetailsTypeRow

# What one detail may hold in all: a validator looks at each value, and at some more than once.
MAX_VALUES = 500
_log = structlog.get_logger("tokenhouse.details_types")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownType:
    """One registered type, ready to judge a detail."""

    definition: DetailsType
    validator: SchemaValidator

    def check(self, detail: AuthorizationDetail) -> None:
        """RFC 9396 5: raises `InvalidAuthorizationDetails` unless the detail conforms to its type."""
        members = dict(detail.members)
        if _count_values(members) > MAX_VALUES:
            raise InvalidAuthorizationDetails("authorization_details has an entry with too many values")
        problem = self.validator.find_problem(members)
        if problem is not None:
            # The value itself is the client's and may be anything: it stays out of the answer.
            raise InvalidAuthorizationDetails(
                "authorization_details has an entry that does not conform to its type",
                detail=f"{self.definition.type[:100]}, {problem}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailsTypes:
    """Every registered type, by name."""

    by_name: Mapping[str, KnownType]

    @property
    def orders(self) -> TypeOrders:
        """How details of each type compare."""
        return {name: known.definition.orders for name, known in self.by_name.items()}

    def get(self, name: str) -> KnownType:
        """The type. Raises `InvalidAuthorizationDetails`."""
        known = self.by_name.get(name)
        if known is None:
            raise InvalidAuthorizationDetails(
                "authorization_details has an entry of an unknown type", detail=f"type {name!r:.300}"
            )
        return known

    def check(self, details: Details) -> None:
        """Every detail is of a known type and conforms to it. Raises `InvalidAuthorizationDetails`."""
        for detail in details:
            self.get(detail.type).check(detail)


def read_details_types(rows: tuple[DetailsTypeRow, ...]) -> DetailsTypes:
    """The stored types. One that is damaged is left out: it is then unknown, and refused."""
    known: dict[str, KnownType] = {}
    for row in rows:
        try:
            known[row.type] = open_details_type(row.document)
        except ValueError as error:
            _log.error("a stored type of authorization details is damaged", type=row.type, reason=str(error))
    return DetailsTypes(by_name=known)


def open_details_type(document: Mapping[str, Any]) -> KnownType:
    """The type that a document describes. Raises ValueError that says what is wrong with it."""
    definition = parse_details_type(document)
    return KnownType(definition=definition, validator=SchemaValidator(definition.schema))


def _count_values(value: object) -> int:
    if isinstance(value, dict):
        return 1 + sum(_count_values(one) for one in value.values())
    if isinstance(value, list):
        return 1 + sum(_count_values(one) for one in value)
    return 1
