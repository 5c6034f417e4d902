"""Resources (APIs), as the operator manages them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.services.deployment import Deployment
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.specs.protocol_error import InvalidRequest
from app.specs.resource_metadata import ResourceMetadata, parse_resource_metadata
from app.storage import changes, resources
from app.storage.clients import find_client
from app.storage.conflicts import AlreadyTaken
from app.storage.database import Connection
from app.storage.resources import ResourceRow

_USERINFO_PATH = "/userinfo"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredResource:
    """A resource, as the operator sees it."""

    resource: str
    metadata: Mapping[str, Any]

    def to_document(self) -> dict[str, Any]:
        """The document that was registered, with the defaults filled in."""
        return dict(self.metadata)


def add_resource(deployment: Deployment, document: Mapping[str, Any]) -> RegisteredResource:
    """A new resource. Raises `InvalidRequest` or `Refusal`."""
    metadata = parse_resource_metadata(document)

    def work(connection: Connection) -> RegisteredResource:
        # Clients first, in the order that everybody keeps: a client of the same name that is being added is seen.
        changes.bump(connection, "clients")
        changes.bump(connection, "resources")
        _check_identifiers_are_free(connection, metadata, issuer=deployment.issuer)
        _insert(connection, metadata, now=deployment.clock())
        body = {"resource": metadata.resource, "scopes": [scope.name for scope in metadata.scopes]}
        deployment.recorder.record(connection, Event(type="resource.created", actor="operator", body=body))
        return RegisteredResource(resource=metadata.resource, metadata=metadata.to_document())

    return deployment.database.transact(work)


def update_resource(deployment: Deployment, identifier: str, document: Mapping[str, Any]) -> RegisteredResource:
    """Replace what is registered of a resource; its identifier stays. What is left out is not kept.

    Tokens that were issued keep what they say; what is issued from now on, to refresh tokens too, goes by the new
    document. Raises `InvalidRequest` or `Refusal`.
    """
    resource = show_resource(deployment, identifier).resource
    if document.get("resource", resource) != resource:
        raise InvalidRequest("resource: cannot be changed by an update; tokens name it")
    metadata = parse_resource_metadata({**document, "resource": resource})

    def check_aliases(row: ResourceRow) -> None:
        # What was granted may name one: it must not mean another API one day.
        missing = sorted({*row.identifiers} - {resource, *metadata.aliases})
        if missing:
            raise InvalidRequest(f"aliases: {missing[0]} cannot be taken away")

    def work(connection: Connection) -> RegisteredResource:
        changes.bump(connection, "clients")
        changes.bump(connection, "resources")
        row = resources.find_resource(connection, resource)
        assert row is not None  # noqa: S101 - nothing removes a resource
        check_aliases(row)
        _check_identifiers_are_free(connection, metadata, issuer=deployment.issuer)
        stored = metadata.to_document()
        try:
            resources.update_resource(
                connection,
                row,
                resource_name=metadata.resource_name or resource,
                metadata=stored,
                aliases=metadata.aliases,
            )
        except AlreadyTaken:
            raise Refusal("resource_exists", "an alias is another resource's already") from None
        changed = sorted(name for name in {*stored, *row.metadata} if stored.get(name) != row.metadata.get(name))
        body = {"resource": resource, "changed": changed}
        deployment.recorder.record(connection, Event(type="resource.updated", actor="operator", body=body))
        return RegisteredResource(resource=resource, metadata=stored)

    return deployment.database.transact(work)


def list_resources(deployment: Deployment) -> tuple[RegisteredResource, ...]:
    """Every resource, the oldest first."""
    with deployment.database.reading() as connection:
        return tuple(_to_resource(row) for row in resources.list_resources(connection))


def show_resource(deployment: Deployment, identifier: str) -> RegisteredResource:
    """One resource, by its identifier or an alias. Raises `Refusal`."""
    with deployment.database.reading() as connection:
        row = resources.find_resource(connection, identifier)
    if row is None:
        raise Refusal("unknown_resource", f"there is no resource {identifier!r}")
    return _to_resource(row)


def _check_identifiers_are_free(connection: Connection, metadata: ResourceMetadata, *, issuer: str) -> None:
    for identifier in (metadata.resource, *metadata.aliases):
        # Tokens for the server's own endpoints must not be mistaken for another API's.
        if identifier.rstrip("/") in (issuer, issuer + _USERINFO_PATH):
            raise InvalidRequest(f"resource: {identifier} is the authorization server's own")
        # A machine's `sub` is its client_id: an audience of the same name would be ambiguous. Removed clients count.
        if find_client(connection, identifier) is not None:
            raise InvalidRequest(f"resource: {identifier} is a client_id")


def _insert(connection: Connection, metadata: ResourceMetadata, *, now: int) -> None:
    try:
        resources.insert_resource(
            connection,
            resource=metadata.resource,
            resource_name=metadata.resource_name or metadata.resource,
            metadata=metadata.to_document(),
            aliases=metadata.aliases,
            created_at=now,
        )
    except AlreadyTaken:
        raise Refusal("resource_exists", "the resource, or an alias of it, is registered already") from None


def _to_resource(row: ResourceRow) -> RegisteredResource:
    return RegisteredResource(resource=row.resource, metadata=row.metadata)
