"""A client reads, changes and ends its own registration (RFC 7592), with its registration access token.

A change is a whole new document, judged as at registration and together with the operator's policy of this client:
nothing that was refused then can come in piece by piece. The token changes with it; the one before it counts for a
while, because the answer with the new one may be lost.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from app.features import PROFILES, Profile
from app.services.deployment import Deployment
from app.services.end_client import end_client
from app.services.manage_clients import check_profile_allows
from app.services.mint_secret import mint_secret
from app.services.record_event import Event
from app.services.register_client import (
    MAX_TOKEN_CHARACTERS,
    Registration,
    choose_profile,
    describe_registration,
    parse_own_metadata,
)
from app.services.software_statements import verify_software_statement
from app.services.update_client import OVERLAP_MS, change_method, check_sector_again, store_metadata
from app.specs.protocol_error import InvalidClientMetadata, InvalidRequest, InvalidToken, UnauthorizedClient
from app.specs.rfc7591_metadata import ClientMetadata
from app.specs.rfc7591_software_statement import reread_statement_metadata
from app.storage import changes, clients
from app.storage.clients import ClientRow
from app.storage.database import Connection
from app.storage.registrations import (
    ORIGIN,
    expire_registration_tokens,
    find_registration_token,
    insert_registration_token,
)

# RFC 7592 2.2: the request "MUST NOT include" these.
_SERVERS_OWN_MEMBERS: Final = frozenset(
    {"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementRequest:
    """Whose registration is meant, and the token that came with it."""

    client_id: str
    registration_access_token: str = field(repr=False)


def read_registration(deployment: Deployment, request: ManagementRequest) -> Registration:
    """What is registered. Raises `InvalidToken` or `UnauthorizedClient`."""
    with deployment.database.reading() as connection:
        row = find_own_client(deployment, connection, request)
    return describe_registration(deployment, row, registration_access_token=request.registration_access_token)


def update_registration(
    deployment: Deployment, request: ManagementRequest, document: Mapping[str, Any]
) -> Registration:
    """Replace the metadata. Raises `InvalidToken`, `UnauthorizedClient`, `InvalidClientMetadata`, `InvalidRedirectUri`
    or `InvalidRequest`.
    """
    with deployment.database.reading() as connection:
        before = find_own_client(deployment, connection, request)
    check_own_members(document, client_id=request.client_id)
    statement, attested = find_statement(deployment, before, document.get("software_statement"))
    proposed = parse_own_metadata(document, attested=attested, policy=before.policy)
    check_sector_again(deployment, before.metadata, proposed)
    token, fresh_secret = mint_secret("rg"), mint_secret("cs")

    def work(connection: Connection) -> tuple[ClientRow, bool]:
        now = deployment.clock()
        changes.bump(connection, "clients")
        clients.lock_client(connection, request.client_id)
        row = find_own_client(deployment, connection, request)
        metadata = parse_own_metadata(document, attested=attested, policy=row.policy)
        check_same_secret(deployment, connection, row, document.get("client_secret"), now=now)
        method = metadata.token_endpoint_auth_method
        has_new_method = method != row.metadata.get("token_endpoint_auth_method")
        profile = choose_new_profile(deployment, row, metadata, has_new_method=has_new_method)
        changed = store_metadata(connection, row, metadata, row.policy, profile=profile, statement=statement)
        gets_secret = has_new_method and change_method(
            deployment, connection, row, metadata, fresh_secret, actor="client", now=now
        )
        rotate_token(deployment, connection, row.id, token, now=now)
        body = {"method": method, "changed": sorted(changed)}
        event = Event(type="client.updated", actor="client", client_id=row.client_id, body=body)
        deployment.recorder.record(connection, event)
        return find_own_client(deployment, connection, request), gets_secret

    row, gets_secret = deployment.database.transact(work)
    # The client may use at once what it has just been told; other processes see it within a second.
    deployment.notice_changes(at_once=True)
    return describe_registration(
        deployment, row, registration_access_token=token, client_secret=fresh_secret if gets_secret else None
    )


def remove_registration(deployment: Deployment, request: ManagementRequest) -> None:
    """End the client with its grants, tokens and secrets. Raises `InvalidToken` or `UnauthorizedClient`."""
    with deployment.database.reading() as connection:
        # A token that is none must not take the place of the only writer.
        find_own_client(deployment, connection, request)

    def work(connection: Connection) -> None:
        changes.bump(connection, "clients")
        clients.lock_client(connection, request.client_id)
        row = find_own_client(deployment, connection, request)
        ended = end_client(deployment, connection, row, actor="client", now=deployment.clock())
        event = Event(type="client.removed", actor="client", client_id=row.client_id, body={"grants": ended})
        deployment.recorder.record(connection, event)

    deployment.database.transact(work)
    deployment.notice_changes(at_once=True)


# ----- Parts -----


def find_own_client(deployment: Deployment, connection: Connection, request: ManagementRequest) -> ClientRow:
    """The client that the token is for. Raises `InvalidToken`, the same for every reason, or `UnauthorizedClient`.

    RFC 7592 2.1: a client that does not exist is a 401 as a wrong token is, and one that may not do this is a 403.
    """
    token = None
    if len(request.registration_access_token) <= MAX_TOKEN_CHARACTERS:
        digests = deployment.seals.digests("rg", request.registration_access_token)
        token = find_registration_token(connection, digests, now=deployment.clock())
    row = None if token is None else clients.find_client_by_pk(connection, token.client_pk)
    if row is None or row.client_id != request.client_id or row.removed_at is not None or row.origin != ORIGIN:
        detail = "no such token" if row is None else "the token is another client's"
        raise InvalidToken("the registration access token is not valid", detail=detail)
    if row.disabled_at is not None:
        raise UnauthorizedClient("the client may not do this at present", detail="the client is disabled")
    return row


def check_own_members(document: Mapping[str, Any], *, client_id: str) -> None:
    """What RFC 7592 2.2 says of a change before its contents are looked at."""
    if not _SERVERS_OWN_MEMBERS.isdisjoint(document):
        names = ", ".join(sorted(_SERVERS_OWN_MEMBERS & set(document)))
        raise InvalidRequest(f"the request must not include {names}")
    # "This request MUST include the "client_id" field as issued to the client during registration."
    if document.get("client_id") != client_id:
        raise InvalidClientMetadata("client_id: must be the one that was issued")


def check_same_secret(
    deployment: Deployment, connection: Connection, row: ClientRow, unverified_secret: object, *, now: int
) -> None:
    """RFC 7592 2.2: `client_secret`, where it is sent, "MUST match the currently issued client secret"."""
    if unverified_secret is None:
        return
    digests = (
        deployment.seals.digests("cs", unverified_secret)
        if isinstance(unverified_secret, str) and len(unverified_secret) <= MAX_TOKEN_CHARACTERS
        else ()
    )
    stored = clients.find_client_secrets(connection, row.id, now)
    if not any(hmac.compare_digest(digest, secret.digest) for digest in digests for secret in stored):
        raise InvalidClientMetadata("client_secret: is not the one that was issued, and cannot be chosen")


def find_statement(deployment: Deployment, row: ClientRow, statement: object) -> tuple[str | None, Mapping[str, Any]]:
    """The software statement that holds after a change, and what it attests: a new one, or that of before.

    Leaving it out does not get rid of it: what somebody else said of the client would be the client's to say again.
    """
    kept = row.metadata.get("software_statement")
    # RFC 7592 2.2 has a client send back what it was told; what was verified once is not judged by today's keys.
    if statement is not None and statement != kept:
        return str(statement), verify_software_statement(deployment, statement)
    return (None, {}) if kept is None else (kept, reread_statement_metadata(kept))


def choose_new_profile(
    deployment: Deployment, row: ClientRow, metadata: ClientMetadata, *, has_new_method: bool
) -> Profile:
    """A client may become stricter by a change, never laxer. Raises `InvalidClientMetadata`."""
    profile: Profile = row.security_profile  # type: ignore[assignment]
    if has_new_method:
        chosen = choose_profile(metadata, server=deployment.profile)
        profile = max(profile, chosen, key=lambda name: PROFILES[name].strictness)
    check_profile_allows(metadata, PROFILES[profile])
    return profile


def rotate_token(deployment: Deployment, connection: Connection, client_pk: int, token: str, *, now: int) -> None:
    """A new registration access token; those before it count for `OVERLAP_MS`, or end sooner where they would have."""
    expire_registration_tokens(connection, client_pk, now + OVERLAP_MS)
    digest, digest_key_id = deployment.seals.digest("rg", token)
    insert_registration_token(connection, client_pk, digest=digest, digest_key_id=digest_key_id, created_at=now)
