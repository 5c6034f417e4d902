"""What is different since a person last answered the same client: for the page on which they answer it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from app.services.authorization_request import AuthorizationRequest
from app.services.client_registry import Client
from app.services.decide_interaction import asked_pairs, client_identity
from app.services.deployment import Deployment
from app.services.grant_snapshot import GrantSnapshot
from app.services.narrow_details import details_at, digest_requested, read_details
from app.services.userinfo import userinfo_resource
from app.specs.rfc9396_authorization_details import Details
from app.storage.consents import ConsentRow
from app.storage.grants import list_grants
from app.storage.sessions import SessionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """`new`: what was never decided on. `declined`: what was declined. `earlier_name`: what the client was called.

    `is_other_client`: it comes from elsewhere, or with other keys. `other_details`: at which APIs other details are
    asked for now; `earlier_details`: what was allowed there last, as far as that is still known.
    """

    new: frozenset[tuple[str, str]] = frozenset()
    declined: frozenset[tuple[str, str]] = frozenset()
    earlier_name: str | None = None
    has_other_logo: bool = False
    is_other_client: bool = False
    other_details: frozenset[str] = frozenset()
    earlier_details: Mapping[str, Details] = field(default_factory=dict)


def find_changes(
    deployment: Deployment,
    session: SessionRow,
    client: Client,
    request: AuthorizationRequest,
    consents: Sequence[ConsentRow],
) -> Changes:
    """Compare with what is remembered of this client; nothing is new to somebody who never answered it."""
    if not consents:
        return Changes()
    decided = {(row.resource, row.scope) for row in consents}
    asked = asked_pairs(request, userinfo=userinfo_resource(deployment.issuer))
    latest = max(consents, key=lambda row: row.decided_at)
    shown = _read_shown(latest.client_shown)
    digests = digest_requested(deployment.registry, request)
    other_details = frozenset(
        row.resource for row in consents if row.resource in digests and row.details_digest != digests[row.resource]
    )
    return Changes(
        new=frozenset(asked) - decided,
        declined=frozenset((row.resource, row.scope) for row in consents if row.decision == "declined"),
        earlier_name=shown["name"] if shown and shown["name"] != client.name else None,
        has_other_logo=bool(shown) and shown.get("logo_uri") != (client.metadata.logo_uri or ""),
        is_other_client=latest.client_identity_digest != client_identity(client, request.redirect_uri),
        other_details=other_details,
        earlier_details=_earlier_details(deployment, session, client, other_details) if other_details else {},
    )


def client_as_shown(client: Client) -> str:
    """What a person saw of a client when they answered it, to be compared with later."""
    return orjson.dumps({"name": client.name, "logo_uri": client.metadata.logo_uri or ""}).decode()


def _read_shown(text: str | None) -> dict[str, str]:
    shown: dict[str, str] = {} if text is None else orjson.loads(text)
    return shown


def _earlier_details(
    deployment: Deployment, session: SessionRow, client: Client, wanted: frozenset[str]
) -> dict[str, Details]:
    types, resources = deployment.registry.details_types(), deployment.registry.resources()
    with deployment.database.reading() as connection:
        views = list_grants(connection, now=deployment.clock(), user_id=session.user_id)
    earlier: dict[str, Details] = {}
    for view in views:
        if view.client_id != client.client_id:
            continue
        allowed = read_details(GrantSnapshot.from_document(view.grant.snapshot).authorization_details)
        for resource in wanted - earlier.keys():
            there = details_at(allowed, resource, types=types, resources=resources)
            if there:
                earlier[resource] = there
    return earlier
