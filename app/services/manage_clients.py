"""Clients, as the operator manages them: each change is one transaction with its audit event and its announcement.

A client_id lives in one namespace with subjects and resources, because all three end up in the same claims; and it is
never given to another client, even after it was removed.
"""

import base64
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from app.features import PROFILES, Profile, ProfileRules, effective_profile
from app.services.deployment import Deployment
from app.services.end_client import end_client, end_holdings
from app.services.mint_secret import mint_secret
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.services.sealed_secrets import READABLE_METHODS, seal_secret
from app.specs.protocol_error import InvalidClientMetadata
from app.specs.rfc7591_metadata import SECRET_METHODS, ClientMetadata, parse_client_metadata
from app.storage import changes, clients
from app.storage.clients import ClientRow
from app.storage.conflicts import AlreadyTaken
from app.storage.database import Connection
from app.storage.resources import find_resource

DEFAULT_OVERLAP_S: Final = 86_400
MAX_OVERLAP_S: Final = 30 * 86_400

_SECRET_TYPE: Final = "cs"  # noqa: S105 - a type, not a secret
T = TypeVar("T")

_STRICTEST_DEFAULT: Profile = "oauth21"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredClient:
    """A client, as the operator sees it: the RFC 7591 document and what stands beside it."""

    client_id: str
    issued_at: int
    metadata: Mapping[str, Any]
    policy: Mapping[str, Any]
    security_profile: str
    disabled: bool
    origin: str = "operator"
    client_secret: str | None = field(default=None, repr=False)
    """Only in the answer to the command that made it: nobody can read it back."""

    def to_document(self) -> dict[str, Any]:
        """RFC 7591 3.2.1: "the authorization server ... responds with ... all registered metadata"."""
        document: dict[str, Any] = {"client_id": self.client_id, "client_id_issued_at": self.issued_at // 1000}
        if self.client_secret is not None:
            # "REQUIRED if client_secret is issued. ... or 0 if it will not expire."
            document |= {"client_secret": self.client_secret, "client_secret_expires_at": 0}
        policy = {**self.policy, "security_profile": self.security_profile}
        return {**document, **self.metadata, "policy": policy, "disabled": self.disabled, "origin": self.origin}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClient:
    """A client that is about to be stored: validated, with everything decided about it."""

    client_id: str
    metadata: ClientMetadata
    security_profile: Profile
    client_secret: str | None = field(repr=False)
    origin: str | None = None
    """Where it comes from, as `clients.origin` says it."""
    initial_access_token_id: int | None = None
    software_statement: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RotatedSecret:
    """A new secret, and until when the ones before it still count (milliseconds)."""

    client_id: str
    client_secret: str = field(repr=False)
    previous_expire_at: int


def add_client(deployment: Deployment, document: Mapping[str, Any]) -> RegisteredClient:
    """A new client. Raises `InvalidClientMetadata`, `InvalidRedirectUri` or `Refusal`."""
    metadata = parse_client_metadata(document)
    new = NewClient(
        client_id=metadata.client_id or new_client_id(),
        metadata=metadata,
        security_profile=decide_profile(metadata.policy.security_profile, server=deployment.profile),
        client_secret=choose_secret(metadata),
    )

    def work(connection: Connection) -> RegisteredClient:
        row = store_client(deployment, connection, new, now=deployment.clock())
        body = {"method": metadata.token_endpoint_auth_method, "security_profile": new.security_profile}
        _record(deployment, connection, "client.created", new.client_id, body)
        return to_registered_client(row, client_secret=new.client_secret)

    return deployment.database.transact(work)


def store_client(deployment: Deployment, connection: Connection, new: NewClient, *, now: int) -> ClientRow:
    """Write a client and its secret, and announce it. Raises `InvalidClientMetadata`. The caller records the event."""
    check_profile_allows(new.metadata, effective_profile(server=deployment.profile, client=new.security_profile))
    # First, because it locks: a resource of the same name that is being added at this moment waits or is seen. Nobody
    # remembers that a client is not there, so strangers who register need not make every node forget all that it knows.
    changes.bump(connection, "clients" if new.origin is None else "registrations")
    if find_resource(connection, new.client_id) is not None:
        raise InvalidClientMetadata("client_id: is the identifier of a resource")
    stored = split_document(new.metadata)
    policy = canonical_policy(connection, stored.pop("policy", {}))
    if new.software_statement is not None:
        stored["software_statement"] = new.software_statement
    client_pk = _insert(connection, new, stored, policy, now=now)
    if new.client_secret is not None:
        method = new.metadata.token_endpoint_auth_method
        insert_secret(deployment, connection, client_pk, new.client_secret, method=method, now=now)
    row = clients.find_client_by_pk(connection, client_pk)
    assert row is not None  # noqa: S101 - read back in the transaction that wrote it
    return row


def check_profile_allows(metadata: ClientMetadata, rules: ProfileRules) -> None:
    """Raises `InvalidClientMetadata` for a promise that the client's security profile would never let it keep."""
    if metadata.request_object_signing_alg == "none" and not rules.unsigned_request_objects:
        raise InvalidClientMetadata(
            f"request_object_signing_alg: none is not for clients of the security profile {rules.name}"
        )


def list_clients(deployment: Deployment) -> tuple[RegisteredClient, ...]:
    """Every client that was not removed, the oldest first."""
    with deployment.database.reading() as connection:
        return tuple(to_registered_client(row) for row in clients.list_clients(connection))


def show_client(deployment: Deployment, client_id: str) -> RegisteredClient:
    """One client. Raises `Refusal`."""
    with deployment.database.reading() as connection:
        return to_registered_client(_check_present(clients.find_client(connection, client_id), client_id))


def rotate_client_secret(
    deployment: Deployment, client_id: str, *, overlap_s: int = DEFAULT_OVERLAP_S
) -> RotatedSecret:
    """A new secret; the old ones count for `overlap_s` more seconds, or end sooner where they would have anyway."""
    if not 0 <= overlap_s <= MAX_OVERLAP_S:
        raise Refusal("invalid_overlap", f"the overlap must be 0 to {MAX_OVERLAP_S} seconds")
    secret = mint_secret(_SECRET_TYPE)

    def work(connection: Connection, row: ClientRow) -> RotatedSecret:
        method = row.metadata.get("token_endpoint_auth_method")
        if method not in SECRET_METHODS:
            raise Refusal("public_client", f"client {client_id!r} has no secret: its method needs none")
        now = deployment.clock()
        previous_expire_at = now + overlap_s * 1000
        clients.expire_client_secrets(connection, row.id, previous_expire_at)
        insert_secret(deployment, connection, row.id, secret, method=method, now=now)
        _record(deployment, connection, "client.secret_rotated", client_id, {"overlap_s": overlap_s})
        return RotatedSecret(client_id=client_id, client_secret=secret, previous_expire_at=previous_expire_at)

    return change_client(deployment, client_id, work)


def disable_client(deployment: Deployment, client_id: str) -> RegisteredClient:
    """Stop a client, and end its grants; enabling it later brings none of these back."""

    def work(connection: Connection, row: ClientRow) -> RegisteredClient:
        now = deployment.clock()
        # The root row first: whatever is being issued meanwhile waits for it, or is found by the statement after it.
        clients.set_disabled(connection, row.id, row.disabled_at or now)
        ended = end_holdings(deployment, connection, row, actor="operator", reason="client_disabled", now=now)
        _record(deployment, connection, "client.disabled", client_id, {"grants": ended})
        return to_registered_client(clients.find_client_by_pk(connection, row.id))

    return change_client(deployment, client_id, work)


def enable_client(deployment: Deployment, client_id: str) -> RegisteredClient:
    """Let a client work again."""

    def work(connection: Connection, row: ClientRow) -> RegisteredClient:
        clients.set_disabled(connection, row.id, None)
        _record(deployment, connection, "client.enabled", client_id, {})
        return to_registered_client(clients.find_client_by_pk(connection, row.id))

    return change_client(deployment, client_id, work)


def remove_client(deployment: Deployment, client_id: str) -> RegisteredClient:
    """End a client for good, with its grants and secrets. Its client_id stays taken."""

    def work(connection: Connection, row: ClientRow) -> RegisteredClient:
        now = deployment.clock()
        ended = end_client(deployment, connection, row, actor="operator", now=now)
        _record(deployment, connection, "client.removed", client_id, {"grants": ended})
        return to_registered_client(clients.find_client_by_pk(connection, row.id))

    return change_client(deployment, client_id, work)


def new_client_id() -> str:
    """A client_id: `c` and 26 base32 characters, so that it can never look like a subject."""
    return "c" + base64.b32encode(secrets.token_bytes(17)).decode().lower()[:26]


# ----- Parts -----


def decide_profile(wanted: Profile | None, *, server: Profile) -> Profile:
    """What the operator wants of a client, or the strictest. Raises `InvalidClientMetadata` as `check_profile` does."""
    strictest = max(_STRICTEST_DEFAULT, server, key=lambda name: PROFILES[name].strictness)
    if wanted is None:
        return strictest
    check_profile(wanted, server=server)
    return wanted


def check_profile(wanted: Profile | None, *, server: Profile) -> None:
    """Raises `InvalidClientMetadata` where a client would be laxer than its server."""
    if wanted is not None and PROFILES[wanted].strictness < PROFILES[server].strictness:
        raise InvalidClientMetadata(f"policy.security_profile: must not be laxer than the server's {server}")


def choose_secret(metadata: ClientMetadata) -> str | None:
    """The secret of a new client: the one that it brings, or a fresh one where its method needs one."""
    if metadata.client_secret is not None:
        return metadata.client_secret.get_secret_value()
    return mint_secret(_SECRET_TYPE) if metadata.token_endpoint_auth_method in SECRET_METHODS else None


def split_document(metadata: ClientMetadata) -> dict[str, Any]:
    """What is stored of a client's metadata: everything but its name, which has a column of its own."""
    document = metadata.to_document()
    document.pop("client_id", None)
    return document


def canonical_policy(connection: Connection, policy: Mapping[str, Any]) -> dict[str, Any]:
    """The policy with the identifiers of resources in the place of their aliases, and without the profile."""
    # The profile has a column of its own; two places could disagree.
    canonical = {name: value for name, value in policy.items() if name != "security_profile"}
    for member in ("resources", "introspects"):
        if canonical.get(member) is not None:
            found = [(asked, find_resource(connection, asked)) for asked in canonical[member]]
            canonical[member] = [asked if row is None else row.resource for asked, row in found]
    if canonical.get("token_exchange_audiences"):
        canonical["token_exchange_audiences"] = _canonical_audiences(connection, canonical["token_exchange_audiences"])
    return canonical


def _canonical_audiences(connection: Connection, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    by_resource: dict[str, dict[str, Any]] = {}
    for entry in entries:
        row = find_resource(connection, entry["resource"])
        resource = entry["resource"] if row is None else row.resource
        if resource in by_resource:
            raise InvalidClientMetadata("policy.token_exchange_audiences: names one resource twice")
        by_resource[resource] = {**entry, "resource": resource}
    return list(by_resource.values())


def _insert(
    connection: Connection, new: NewClient, metadata: Mapping[str, Any], policy: Mapping[str, Any], *, now: int
) -> int:
    try:
        return clients.insert_client(
            connection,
            client_id=new.client_id,
            metadata=metadata,
            policy=policy,
            security_profile=new.security_profile,
            created_at=now,
            origin=new.origin,
            initial_access_token_id=new.initial_access_token_id,
        )
    except AlreadyTaken:
        raise InvalidClientMetadata("client_id: is taken, perhaps by a client that was removed") from None


def insert_secret(
    deployment: Deployment, connection: Connection, client_pk: int, secret: str, *, method: str, now: int
) -> None:
    """One more secret of the client, as a digest; sealed, too, where its method makes the server read it back.

    Raises `InvalidClientMetadata` for such a method where the operator wants no readable secrets.
    """
    if method in READABLE_METHODS and not deployment.settings.seals_client_secrets:
        raise InvalidClientMetadata(
            f"token_endpoint_auth_method: {method} needs a secret that can be read back, which "
            "TOKENHOUSE_SEALED_CLIENT_SECRETS=off rules out"
        )
    digest, digest_key_id = deployment.seals.digest(_SECRET_TYPE, secret)
    sealed_secret = None
    if method in READABLE_METHODS:
        sealed_secret = seal_secret(
            deployment.seals, secret, client_pk=client_pk, digest=digest, digest_key_id=digest_key_id
        )
    try:
        clients.insert_client_secret(
            connection,
            client_pk,
            digest=digest,
            digest_key_id=digest_key_id,
            created_at=now,
            sealed_secret=sealed_secret,
        )
    except AlreadyTaken:
        raise InvalidClientMetadata("client_secret: is in use already; every client needs its own") from None


def change_client(deployment: Deployment, client_id: str, work: Callable[[Connection, ClientRow], T]) -> T:
    """What `work` does to a client that is held meanwhile; every process hears of it. Raises `Refusal`."""

    def change(connection: Connection) -> T:
        changes.bump(connection, "clients")
        return work(connection, _check_present(clients.lock_client(connection, client_id), client_id))

    return deployment.database.transact(change)


def _check_present(row: ClientRow | None, client_id: str) -> ClientRow:
    if row is None or row.removed_at is not None:
        raise Refusal("unknown_client", f"there is no client {client_id!r}")
    return row


def _record(
    deployment: Deployment, connection: Connection, event_type: str, client_id: str, body: Mapping[str, Any]
) -> None:
    deployment.recorder.record(connection, Event(type=event_type, actor="operator", client_id=client_id, body=body))


def to_registered_client(row: ClientRow | None, *, client_secret: str | None = None) -> RegisteredClient:
    """A stored client as the operator sees it."""
    assert row is not None  # noqa: S101 - read back in the transaction that wrote it
    return RegisteredClient(
        client_id=row.client_id,
        issued_at=row.created_at,
        metadata=row.metadata,
        policy=row.policy,
        security_profile=row.security_profile,
        disabled=row.disabled_at is not None,
        origin=row.origin or "operator",
        client_secret=client_secret,
    )
