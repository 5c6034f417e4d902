"""Authorization details (RFC 9396) from the request to the token: where each belongs, and what may be asked of them.

A detail belongs to the resources that its `locations` name, or to every one where it names none, as far as its type may
be used there. A token carries those of its audience. A token request may narrow them and never widen them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from app.services.authorization_request import AuthorizationRequest
from app.services.client_registry import ClientRegistry, Resources
from app.services.deployment import Deployment
from app.services.details_types import DetailsTypes
from app.services.grant_snapshot import GrantSnapshot
from app.specs.protocol_error import InvalidAuthorizationDetails
from app.specs.rfc9396_authorization_details import (
    AuthorizationDetail,
    Details,
    canonical_text,
    details_claim,
    is_subset,
    parse_authorization_details_list,
)


def narrow_details(
    deployment: Deployment, snapshot: GrantSnapshot, requested: Details, audience: str
) -> tuple[Mapping[str, Any], ...]:
    """What a token for `audience` carries: all that was granted there, or the narrower that is requested (section 6).

    Raises `InvalidAuthorizationDetails` for what is not conforming, not for this audience, or wider than granted.
    `requested` empty: nothing was asked for. Spends nothing, so it is called before anything is spent.
    """
    if not snapshot.authorization_details and not requested:
        return ()
    types, resources = deployment.registry.details_types(), deployment.registry.resources()
    everything = read_details(snapshot.authorization_details)
    if any(detail.type not in types.by_name for detail in everything):
        # An API reads details as the limit of what is allowed: a token without them would allow more.
        raise InvalidAuthorizationDetails("a detail that was granted is of a type that is no longer known here")
    granted = details_at(everything, audience, types=types, resources=resources)
    if not requested:
        return tuple(details_claim(granted))
    types.check(requested)
    if len(details_at(requested, audience, types=types, resources=resources)) < len(requested):
        raise InvalidAuthorizationDetails("authorization_details has an entry that is not for this resource")
    if not is_subset(requested, granted, types.orders):
        raise InvalidAuthorizationDetails("authorization_details asks for more than was granted")
    return tuple(details_claim(requested))


def details_at(details: Details, resource: str, *, types: DetailsTypes, resources: Resources) -> Details:
    """Those of the details that belong to a resource; one whose type is no longer known belongs nowhere."""
    return tuple(detail for detail in details if belongs_to(detail, resource, types=types, resources=resources))


def details_of_resources(registry: ClientRegistry, request: AuthorizationRequest) -> dict[str, Details]:
    """The details of a request by the resource to which they belong, for each one that is asked for and has any."""
    details = read_details(request.authorization_details)
    if not details:
        return {}
    types, resources = registry.details_types(), registry.resources()
    found = {
        asked.resource: details_at(details, asked.resource, types=types, resources=resources)
        for asked in request.resources
    }
    return {resource: there for resource, there in found.items() if there}


def belongs_to(detail: AuthorizationDetail, resource: str, *, types: DetailsTypes, resources: Resources) -> bool:
    """Whether a detail is for this registered API. Our own userinfo endpoint is none."""
    known = types.by_name.get(detail.type)
    if known is None or resources.find(resource) is None:
        return False
    if known.definition.resources is not None and resource not in known.definition.resources:
        return False
    locations = detail.members.get("locations") or ()
    return not locations or any(find_location(location, resources) == resource for location in locations)


def find_location(location: str, resources: Resources) -> str | None:
    """The identifier of the registered resource that a location names; None for any other."""
    known = resources.find(location)
    return None if known is None else known.identifier


def read_details(stored: Sequence[Mapping[str, Any]]) -> Details:
    """Details that were checked when they were stored."""
    return parse_authorization_details_list([dict(detail) for detail in stored]) if stored else ()


def digest_requested(registry: ClientRegistry, request: AuthorizationRequest) -> dict[str, bytes]:
    """What a consent remembers of the details that a request asks for, by resource: equal for equal ones."""
    return {
        resource: hashlib.sha256(canonical_text(details).encode()).digest()
        for resource, details in details_of_resources(registry, request).items()
    }
