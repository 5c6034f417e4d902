"""Clients and resources as the rules see them, remembered until the database says that something changed.

A small cache in front of the tables: `refresh` looks at the change counters at most every half second, so that a
change made anywhere is seen everywhere within one. A client that was not found is never remembered. What redeems
something reads the state again inside its own transaction; this cache is never the only truth for that.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from cachetools import LRUCache

from app.features import Feature, Profile
from app.services.clock import Clock
from app.services.details_types import DetailsTypes, read_details_types
from app.specs.resource_metadata import ResourceMetadata, parse_resource_metadata
from app.specs.rfc7591_metadata import ClientMetadata, parse_client_metadata
from app.specs.rfc8252_redirects import matches_redirect_uri
from app.storage.clients import ClientRow, SecretRow, find_client, find_client_secrets
from app.storage.database import Database
from app.storage.details_types import list_details_types
from app.storage.resources import ResourceRow, list_resources

METADATA_DOCUMENT = "metadata_document"
"""The origin of clients that are a document on the web."""
_REMEMBERED_CLIENTS = 10_000


class BrokenClient(Exception):
    """The stored client cannot be read; only this client fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A registered client: its metadata, and what the operator decided about it."""

    pk: int
    client_id: str
    metadata: ClientMetadata
    policy_version: int
    security_profile: Profile
    is_disabled: bool
    origin: str | None = None
    """Where the client came from: None is the operator."""
    secrets: tuple[SecretRow, ...] = field(repr=False)

    @property
    def is_confidential(self) -> bool:
        """Whether the client authenticates itself (RFC 6749 2.1)."""
        return self.metadata.token_endpoint_auth_method != "none"  # noqa: S105 - a method's name

    @property
    def is_document(self) -> bool:
        """Whether the client is a document on the web, which may say something else tomorrow."""
        return self.origin == METADATA_DOCUMENT

    @property
    def name(self) -> str:
        """What people are shown; the client_id where no name was registered."""
        return self.metadata.client_name or self.client_id

    def owns_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether the URI is one of the client's. RFC 9700 4.1.3: exact string matching.

        One document serves every machine that an application runs on, so it cannot know the port that the one has free.
        """
        return any(
            matches_redirect_uri(redirect_uri, registered, any_port_of_localhost=self.is_document)
            for registered in self.metadata.redirect_uris
        )

    def may_ask_for(self, resource: str) -> bool:
        """Whether the operator lets this client ask for the resource."""
        resources = self.metadata.policy.resources
        return resources is None or resource in resources

    def may_use_details_type(self, name: str) -> bool:
        """Whether the client is registered for this type of authorization details (RFC 9396 10)."""
        types = self.metadata.authorization_details_types
        return types is None or name in types


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A registered API."""

    pk: int
    metadata: ResourceMetadata
    descriptions: Mapping[str, str]
    required: frozenset[str]

    @property
    def identifier(self) -> str:
        """The `aud` of its tokens, always this and never an alias."""
        return self.metadata.resource

    @property
    def name(self) -> str:
        """What people are shown."""
        return self.metadata.resource_name or self.metadata.resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Every resource, by identifier and alias, and by scope."""

    by_identifier: Mapping[str, Resource]
    all: tuple[Resource, ...]

    def find(self, identifier: str) -> Resource | None:
        """The resource of an identifier or alias, matched exactly."""
        return self.by_identifier.get(identifier)


class ClientRegistry:
    """The remembered clients and resources of one process."""

    def __init__(self, database: Database, clock: Clock, *, absent_features: tuple[Feature, ...] = ()) -> None:
        self._database = database
        self._clock = clock
        self._absent_features = absent_features
        self._knows_documents = all(feature.name != "client_id_metadata_documents" for feature in absent_features)
        self._clients: LRUCache[str, Client] = LRUCache(maxsize=_REMEMBERED_CLIENTS)
        self._resources: Resources | None = None
        self._details_types: DetailsTypes | None = None
        self._lock = threading.Lock()
        self.generation = 0

    def find_readable_client(self, client_id: str) -> Client | None:
        """As `find_client`, for who only shows it: None also for one that is damaged."""
        try:
            return self.find_client(client_id)
        except BrokenClient:
            return None

    def find_client_name(self, client_id: str) -> str:
        """What the client calls itself, also where it was removed; its client_id where nothing else is known."""
        client = self.find_readable_client(client_id)
        if client is not None:
            return client.name
        with self._database.reading() as connection:
            row = find_client(connection, client_id)
        name = None if row is None else row.metadata.get("client_name")
        return name if isinstance(name, str) and name else client_id

    def find_client(self, client_id: str) -> Client | None:
        """The client, disabled ones too; None if there is none. Raises `BrokenClient`."""
        with self._lock:
            client = self._clients.get(client_id)
            generation = self.generation
        if client is not None:
            return client
        with self._database.reading() as connection:
            row = find_client(connection, client_id)
            if row is None or row.removed_at is not None:
                return None
            if row.origin == METADATA_DOCUMENT and not self._knows_documents:
                return None
            secrets = find_client_secrets(connection, row.id, self._clock())
        client = self.read_client(row, secrets)
        self._remember(generation, lambda: self._clients.__setitem__(client_id, client))
        return client

    def read_client(self, row: ClientRow, secrets: tuple[SecretRow, ...] = ()) -> Client:
        """A stored client, without what it registered for features that are off. Raises `BrokenClient`."""
        client = read_client(row, secrets)
        return replace(client, metadata=pass_over(client.metadata, self._absent_features))

    def resources(self) -> Resources:
        """Every resource."""
        with self._lock:
            resources = self._resources
            generation = self.generation
        if resources is not None:
            return resources
        with self._database.reading() as connection:
            rows = list_resources(connection)
        resources = read_resources(rows)

        def keep() -> None:
            self._resources = resources

        self._remember(generation, keep)
        return resources

    def details_types(self) -> DetailsTypes:
        """Every type of authorization details."""
        with self._lock:
            types = self._details_types
            generation = self.generation
        if types is not None:
            return types
        with self._database.reading() as connection:
            rows = list_details_types(connection)
        types = read_details_types(rows)

        def keep() -> None:
            self._details_types = types

        self._remember(generation, keep)
        return types

    def forget_client(self, client_id: str) -> None:
        """Drop one client: it was changed by this process, which need not wait until it notices."""
        with self._lock:
            self._clients.pop(client_id, None)

    def forget(self) -> None:
        """Drop everything remembered: something changed."""
        with self._lock:
            self._clients.clear()
            self._resources = None
            self._details_types = None
            self.generation += 1

    def _remember(self, generation: int, keep: Callable[[], None]) -> None:
        with self._lock:
            # What was read before a `forget` may be older than the change that caused it.
            if generation == self.generation:
                keep()


def pass_over(metadata: ClientMetadata, absent: tuple[Feature, ...]) -> ClientMetadata:
    """The metadata without members and grant types of features that are absent. What restricts the client stays."""
    members = {name for feature in absent for name in feature.client_members}
    grant_types = {name for feature in absent for name in feature.grant_types}
    if not members and not grant_types:
        return metadata
    fields = ClientMetadata.model_fields
    kept = tuple(name for name in metadata.grant_types if name not in grant_types)
    return metadata.model_copy(update={"grant_types": kept, **{name: fields[name].get_default() for name in members}})


def read_client(row: ClientRow, secrets: tuple[SecretRow, ...] = ()) -> Client:
    """A stored client. Raises `BrokenClient` where the row is damaged."""
    try:
        metadata = parse_client_metadata({**row.metadata, "policy": row.policy})
    except Exception as error:
        # Whatever is wrong with one row must stay with that one client.
        raise BrokenClient(f"client {row.id}") from error
    profile: Profile = row.security_profile  # type: ignore[assignment]
    return Client(
        pk=row.id,
        client_id=row.client_id,
        metadata=metadata,
        policy_version=row.policy_version,
        security_profile=profile,
        is_disabled=row.disabled_at is not None,
        origin=row.origin,
        secrets=secrets,
    )


def read_resources(rows: tuple[ResourceRow, ...]) -> Resources:
    """The stored resources, indexed."""
    by_identifier: dict[str, Resource] = {}
    resources = []
    for row in rows:
        metadata = parse_resource_metadata(row.metadata)
        resource = Resource(
            pk=row.id,
            metadata=metadata,
            descriptions={scope.name: scope.description for scope in metadata.scopes},
            required=frozenset(scope.name for scope in metadata.scopes if scope.required),
        )
        resources.append(resource)
        by_identifier.update((identifier, resource) for identifier in row.identifiers)
    return Resources(by_identifier=by_identifier, all=tuple(resources))
