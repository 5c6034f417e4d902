"""Grants in the words in which they were asked for, for the page of connected applications."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from urllib.parse import urlsplit

from app.services.connected_applications import Access, Application, Delegation
from app.services.decide_interaction import find_claim
from app.services.deployment import Deployment
from app.services.granted_pairs import GrantedPair, granted_pairs
from app.services.limit_networks import find_address
from app.services.narrow_details import details_at, read_details
from app.services.narrow_grant import may_be_tied_to_networks
from app.services.userinfo import userinfo_resource
from app.specs.rfc9396_details_types import DescribedDetail, describe_detail
from app.storage.account_grants import RememberedRow
from app.web.application_pages import ShownAccess, ShownApi, ShownApplication, ShownDelegation
from app.web.describe_identity import describe_identity
from app.web.language import format_moment, gettext, mark
from app.web.pages import ConsentScope
from app.web.site import Site

_DURATIONS: Final = {
    "once": mark("For that one time: it ends when you sign out"),
    "day": mark("For a day"),
    "until_revoked": mark("Until it is revoked"),
}


def describe_application(
    site: Site, application: Application, *, zone: tzinfo | None, address: str
) -> ShownApplication:
    """One application, for its person. `address`: where they are now."""
    return ShownApplication(
        client_id=application.client_id,
        card=None if application.client is None else site.client_card(application.client),
        accesses=tuple(_describe_access(site, access, zone=zone, address=address) for access in application.accesses),
        remembered=tuple(_describe_answer(site.deployment, row) for row in application.remembered),
        is_never_asked_about=application.client is not None and application.client.metadata.policy.skip_consent,
    )


def in_zone(at: int, zone: tzinfo | None) -> datetime:
    """A time of ours (milliseconds) where the person is, else in UTC."""
    return datetime.fromtimestamp(at / 1000, tz=zone or UTC)


def say_when(at: int) -> str:
    """A time of ours (milliseconds), as the reader writes it."""
    return format_moment(datetime.fromtimestamp(at / 1000, tz=UTC))


def _describe_access(site: Site, access: Access, *, zone: tzinfo | None, address: str) -> ShownAccess:
    deployment, snapshot = site.deployment, access.snapshot
    userinfo = userinfo_resource(deployment.issuer)
    pairs = granted_pairs(deployment, snapshot)
    tomorrow = in_zone(deployment.clock(), zone) + timedelta(days=1)
    return ShownAccess(
        grant_id=access.grant_id,
        since=say_when(access.created_at),
        last_use=None if access.last_used_at is None else say_when(access.last_used_at),
        last_address=access.last_address,
        until=say_when(access.expires_at),
        duration=gettext(_DURATIONS[access.duration]) if access.duration in _DURATIONS else "",
        identity=tuple(_choice(deployment, each) for each in pairs if each.pair[0] == userinfo),
        apis=tuple(
            _describe_api(deployment, access, resource, pairs) for resource in snapshot.scope if resource != userinfo
        ),
        is_offline=snapshot.refresh_tokens == "offline",
        is_narrowed=access.is_narrowed,
        networks=", ".join(snapshot.networks) or None,
        may_choose_networks=may_be_tied_to_networks(deployment, snapshot),
        here=find_address(address),
        earliest=min(tomorrow, in_zone(access.expires_at, zone)).date().isoformat(),
        latest=in_zone(access.expires_at, zone).date().isoformat(),
        zone=str(zone or "UTC"),
        delegations=tuple(_describe_delegation(deployment, each) for each in access.delegations),
    )


def _describe_api(deployment: Deployment, access: Access, resource: str, pairs: tuple[GrantedPair, ...]) -> ShownApi:
    known = deployment.registry.resources().find(resource)
    own = tuple(each for each in pairs if each.pair[0] == resource)
    return ShownApi(
        name=resource if known is None else known.name,
        host=urlsplit(resource).netloc or resource,
        choices=tuple(_choice(deployment, each) for each in own),
        details=_details(deployment, access, resource),
        is_whole=all(not each.pair[1] for each in own),
    )


def _details(deployment: Deployment, access: Access, resource: str) -> tuple[DescribedDetail, ...]:
    types, resources = deployment.registry.details_types(), deployment.registry.resources()
    details = details_at(
        read_details(access.snapshot.authorization_details), resource, types=types, resources=resources
    )
    return tuple(describe_detail(types.get(detail.type).definition, detail) for detail in details)


def _choice(deployment: Deployment, each: GrantedPair) -> ConsentScope:
    resource, name = each.pair
    is_identity = resource == userinfo_resource(deployment.issuer)
    return ConsentScope(
        value=each.value,
        name=(find_claim(each.pair) or name) if is_identity else name,
        description=_describe_pair(deployment, resource, name),
        required=each.is_required,
        checked=True,
    )


def _describe_pair(deployment: Deployment, resource: str, name: str) -> str:
    if resource == userinfo_resource(deployment.issuer):
        return describe_identity(name)
    known = deployment.registry.resources().find(resource)
    if not name:
        return gettext("Use this API")
    return name if known is None else known.descriptions.get(name, name)


def _describe_delegation(deployment: Deployment, delegation: Delegation) -> ShownDelegation:
    ((audience, names),) = delegation.snapshot.scope.items()
    known = deployment.registry.resources().find(audience)
    return ShownDelegation(
        grant_id=delegation.grant_id,
        name=delegation.client_id if delegation.client is None else delegation.client.name,
        api=audience if known is None else known.name,
        scopes=tuple(_describe_pair(deployment, audience, name) for name in names),
        until=say_when(delegation.expires_at),
        children=tuple(_describe_delegation(deployment, child) for child in delegation.children),
    )


def _describe_answer(deployment: Deployment, row: RememberedRow) -> str:
    what = _describe_pair(deployment, row.resource, row.scope)
    if row.decision == "allowed":
        return gettext("You said yes: %(what)s", what=what)
    return gettext("You said no: %(what)s", what=what)
