"""Types of authorization details (RFC 9396), as the operator manages them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.services.deployment import Deployment
from app.services.details_types import open_details_type
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.specs.rfc9396_details_types import DetailsType
from app.storage import changes, details_types
from app.storage.conflicts import AlreadyTaken
from app.storage.database import Connection
from app.storage.resources import find_resource


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredDetailsType:
    """A type, as the operator sees it."""

    type: str
    document: Mapping[str, Any]

    def to_document(self) -> dict[str, Any]:
        """The document that was registered, with resources under their identifiers."""
        return dict(self.document)


def add_details_type(deployment: Deployment, document: Mapping[str, Any]) -> RegisteredDetailsType:
    """A new type. It is never changed: what was granted of it would mean something else. Raises `Refusal`."""
    try:
        definition = open_details_type(document).definition
    except ValueError as error:
        raise Refusal("invalid_details_type", str(error)) from error

    def work(connection: Connection) -> RegisteredDetailsType:
        # With the resources, in whose cache the types are: what they may be used at is found there.
        changes.bump(connection, "resources")
        stored = definition.to_document()
        if definition.resources is not None:
            stored["resources"] = _find_identifiers(connection, definition)
        try:
            details_types.insert_details_type(connection, definition.type, stored, created_at=deployment.clock())
        except AlreadyTaken:
            raise Refusal("details_type_exists", f"the type {definition.type!r} is registered already") from None
        event = Event(type="details_type.created", actor="operator", body={"type": definition.type})
        deployment.recorder.record(connection, event)
        return RegisteredDetailsType(type=definition.type, document=stored)

    return deployment.database.transact(work)


def remove_details_type(deployment: Deployment, type_: str) -> RegisteredDetailsType:
    """Forget a type: it can be asked for no longer, and a grant that has any of it gives no token from now on.

    Raises `Refusal`.
    """
    removed = show_details_type(deployment, type_)

    def work(connection: Connection) -> RegisteredDetailsType:
        changes.bump(connection, "resources")
        if not details_types.delete_details_type(connection, type_):
            raise _unknown(type_)
        event = Event(type="details_type.removed", actor="operator", body={"type": type_})
        deployment.recorder.record(connection, event)
        return removed

    return deployment.database.transact(work)


def list_details_types(deployment: Deployment) -> tuple[RegisteredDetailsType, ...]:
    """Every type, the oldest first."""
    with deployment.database.reading() as connection:
        rows = details_types.list_details_types(connection)
    return tuple(RegisteredDetailsType(type=row.type, document=row.document) for row in rows)


def show_details_type(deployment: Deployment, type_: str) -> RegisteredDetailsType:
    """One type. Raises `Refusal`."""
    for registered in list_details_types(deployment):
        if registered.type == type_:
            return registered
    raise _unknown(type_)


# ----- Parts -----


def _unknown(type_: str) -> Refusal:
    return Refusal("unknown_details_type", f"there is no type {type_!r}")


def _find_identifiers(connection: Connection, definition: DetailsType) -> list[str]:
    identifiers = []
    for asked in definition.resources or ():
        row = find_resource(connection, asked)
        if row is None:
            raise Refusal("unknown_resource", f"resources: there is no resource {asked!r}")
        identifiers.append(row.resource)
    return list(dict.fromkeys(identifiers))
