"""New metadata for a client that is there: what changes with them, whoever asks for it.

The operator replaces the document of any client, with the policy in it (`update_client`); a client that registered
itself replaces its own (`manage_registration`). Both times people are asked again where what they saw is different, and
a new way to authenticate has its own secret.
"""

from collections.abc import Mapping
from typing import Any, Final

from app.features import Profile, effective_profile
from app.services.deployment import Deployment
from app.services.end_client import end_holdings
from app.services.manage_clients import (
    RegisteredClient,
    canonical_policy,
    change_client,
    check_profile_allows,
    decide_profile,
    insert_secret,
    show_client,
    split_document,
    to_registered_client,
)
from app.services.mint_secret import mint_secret
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.services.sector_identifier import check_sector_identifier
from app.specs.protocol_error import InvalidClientMetadata
from app.specs.rfc7591_metadata import SECRET_METHODS, ClientMetadata, parse_client_metadata
from app.storage import clients
from app.storage.client_documents import ORIGIN as DOCUMENT_ORIGIN
from app.storage.clients import ClientRow
from app.storage.database import Connection
from app.storage.registrations import ORIGIN as REGISTRATION_ORIGIN

OVERLAP_MS: Final = 3_600_000
"""How long the secret of before a change still counts, where there is another one after it."""

# What a person saw, or trusted without seeing it, when they consented.
_CONSENTED_MEMBERS: Final = frozenset(
    {
        "client_name",
        "client_uri",
        "logo_uri",
        "policy_uri",
        "tos_uri",
        "redirect_uris",
        "application_type",
        "subject_type",
        "sector_identifier_uri",
        "token_endpoint_auth_method",
    }
)
# What `tokenhouse client show` prints beside the document.
_SHOWN_MEMBERS: Final = ("client_id", "client_id_issued_at", "disabled", "origin", "software_statement")


def update_client(deployment: Deployment, client_id: str, document: Mapping[str, Any]) -> RegisteredClient:
    """Replace a client's metadata and policy, as `show_client` shows them. A secret is in the answer where it is new.

    What is left out is not kept. Raises `InvalidClientMetadata`, `InvalidRedirectUri`, `TemporarilyUnavailable` or
    `Refusal`.
    """
    before = show_client(deployment, client_id)
    metadata = parse_client_metadata(_check_shown_members(before, document))
    check_may_be_trusted(before, metadata)
    wanted = metadata.policy.security_profile
    # One that the server has outgrown may stay as it is: the stricter of the two counts in any case.
    is_kept = before.security_profile == wanted
    profile = wanted if wanted and is_kept else decide_profile(wanted, server=deployment.profile)
    check_profile_allows(metadata, effective_profile(server=deployment.profile, client=profile))
    check_sector_again(deployment, before.metadata, metadata)
    fresh_secret = mint_secret("cs")

    def work(connection: Connection, row: ClientRow) -> RegisteredClient:
        now = deployment.clock()
        policy = canonical_policy(connection, split_document(metadata).get("policy", {}))
        changed = store_metadata(
            connection, row, metadata, policy, profile=profile, statement=row.metadata.get("software_statement")
        )
        gets_secret = "token_endpoint_auth_method" in changed and change_method(
            deployment, connection, row, metadata, fresh_secret, actor="operator", now=now
        )
        body = {"method": metadata.token_endpoint_auth_method, "changed": sorted(changed)}
        event = Event(type="client.updated", actor="operator", client_id=client_id, body=body)
        deployment.recorder.record(connection, event)
        stored = clients.find_client_by_pk(connection, row.id)
        return to_registered_client(stored, client_secret=fresh_secret if gets_secret else None)

    return change_client(deployment, client_id, work)


def check_sector_again(deployment: Deployment, before: Mapping[str, Any], metadata: ClientMetadata) -> None:
    """As at registration, where the file's address or a redirect URI is new; else nothing is fetched."""
    has_new_redirects = not set(metadata.redirect_uris) <= set(before.get("redirect_uris", ()))
    if metadata.sector_identifier_uri != before.get("sector_identifier_uri") or has_new_redirects:
        check_sector_identifier(deployment.fetcher, metadata)


def store_metadata(
    connection: Connection,
    row: ClientRow,
    metadata: ClientMetadata,
    policy: Mapping[str, Any],
    *,
    profile: Profile,
    statement: str | None,
) -> frozenset[str]:
    """Write the new metadata; the names of the members that are different now, `policy` for any of it.

    `statement`: the software statement that stands behind them.
    """
    stored = split_document(metadata)
    stored.pop("policy", None)
    if statement is not None:
        stored["software_statement"] = statement
    names = {*stored, *row.metadata}
    changed = {name for name in names if stored.get(name) != row.metadata.get(name)}
    is_asked_again = any(name.partition("#")[0] in _CONSENTED_MEMBERS for name in changed)
    if policy != row.policy or profile != row.security_profile:
        changed.add("policy")
    clients.update_client(
        connection,
        row.id,
        metadata=stored,
        policy=policy,
        policy_version=row.policy_version + is_asked_again,
        security_profile=profile,
    )
    return frozenset(changed)


def change_method(
    deployment: Deployment,
    connection: Connection,
    row: ClientRow,
    metadata: ClientMetadata,
    fresh: str,
    *,
    actor: str,
    now: int,
) -> bool:
    """What another way to authenticate does; whether the client has the secret `fresh` as its own now.

    A method without a secret ends the one of before at once; another one with a secret gets its own, as by a rotation.
    A client that is public from now on loses what it holds: its refresh tokens are bound to no key, and were worth
    nothing to others only because the client had to authenticate itself (RFC 9700 2.2.2). The caller has stored the
    metadata.
    """
    method = metadata.token_endpoint_auth_method
    if method == "none":
        end_holdings(deployment, connection, row, actor=actor, reason="client_became_public", now=now)
    gets_secret = method in SECRET_METHODS
    clients.expire_client_secrets(connection, row.id, now + (OVERLAP_MS if gets_secret else 0))
    if gets_secret:
        insert_secret(deployment, connection, row.id, fresh, method=method, now=now)
    return gets_secret


def check_may_be_trusted(before: RegisteredClient, metadata: ClientMetadata) -> None:
    """A client that may change its own name and addresses gets nothing new that lets people trust it unseen.

    Raises `InvalidClientMetadata`.
    """
    if before.origin != REGISTRATION_ORIGIN:
        return
    for member in ("appearance", "skip_consent"):
        if getattr(metadata.policy, member) and not before.policy.get(member):
            raise InvalidClientMetadata(f"policy.{member}: is not for clients that registered themselves")


def _check_shown_members(before: RegisteredClient, document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without what an update cannot change: that may be in it as it was shown, and not otherwise."""
    if before.origin == DOCUMENT_ORIGIN:
        raise Refusal("document_client", "its metadata are those of its document, which it keeps itself")
    if "client_secret" in document:
        raise InvalidClientMetadata("client_secret: is changed by `tokenhouse client rotate-secret`")
    if not isinstance(document.get("policy"), dict):
        # A restriction that was forgotten would fail open.
        raise InvalidClientMetadata("policy: is required; {} is one without any restriction")
    shown = before.to_document()
    for name in _SHOWN_MEMBERS:
        if name in document and document[name] != shown.get(name):
            raise InvalidClientMetadata(f"{name}: cannot be changed by an update")
    return {name: value for name, value in document.items() if name not in _SHOWN_MEMBERS}
