"""From a grant to one `Issuance`: which audience, which scope, for how long. The same rules for every grant type.

A token request may only narrow what was granted: one of its resources, some of its scopes, a shorter life.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.services.authenticate_client import AuthenticatedClient
from app.services.bind_sender import SenderBinding
from app.services.client_registry import Client, Resource
from app.services.deployment import Deployment
from app.services.encrypt_for_client import find_id_token_envelope
from app.services.grant_snapshot import GrantSnapshot
from app.services.issue_tokens import IdTokenIssuance, Issuance, Spend
from app.services.limit_networks import check_sender_is_within, decide_networks, read_networks
from app.services.narrow_details import narrow_details
from app.services.release_claims import release_for_userinfo, release_requested
from app.services.subjects import get_client_subject, get_resource_subject
from app.services.userinfo import userinfo_resource
from app.specs.protocol_error import Difference, InvalidGrant, InvalidScope, InvalidTarget, UnauthorizedClient
from app.specs.rfc8707_resources import parse_resource
from app.specs.rfc9396_authorization_details import Details


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The living grant that tokens are asked on. `expires_at` in milliseconds.

    `subject`: the person's own, whatever clients and APIs are told; a machine's `client_id` where `is_person` is False.
    `narrowing`: what the person had taken back of it when `snapshot` was read.
    `holder_knows`: the subject by which whoever gets the token knows the person, where that is not the client's own.
    """

    grant_id: str
    session_id: int | None
    subject: str
    user_claims: Mapping[str, Any]
    snapshot: GrantSnapshot
    expires_at: int
    is_person: bool = True
    holder_knows: str | None = None
    narrowing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenWish:
    """What a token request asks of a grant. `scope` None, `authorization_details` empty: all that was granted there."""

    grant_type: str
    resources: tuple[str, ...] = ()
    scope: tuple[str, ...] | None = None
    access_token_lifetime_s: int | None = None
    authorization_details: Details = ()
    nonce: str | None = None


def check_grant_type_is_registered(client: Client, grant_type: str) -> None:
    """RFC 6749 5.2: "The authenticated client is not authorized to use this authorization grant type"."""
    if grant_type not in client.metadata.grant_types:
        raise UnauthorizedClient("the client is not registered for this grant type")


def decide_tokens(
    deployment: Deployment,
    authenticated: AuthenticatedClient,
    basis: Basis,
    wish: TokenWish,
    *,
    sender: SenderBinding,
    spends: Spend | None,
    now: int,
) -> Issuance:
    """What is issued. Raises `InvalidTarget`, `InvalidScope`, `InvalidAuthorizationDetails` or `InvalidGrant`. Does not
    look whether it may still be spent: `issue_tokens` does, in its transaction.
    """
    userinfo = userinfo_resource(deployment.issuer)
    client, snapshot = authenticated.client, basis.snapshot
    audience = choose_audience(deployment, snapshot, wish.resources)
    resource = deployment.registry.resources().find(audience)
    if resource is None and audience != userinfo:
        raise InvalidTarget("the resource is no longer known here")
    if resource is not None and not client.may_ask_for(audience):
        raise InvalidTarget("the resource is no longer for this client")
    networks = decide_networks(client, resource, read_networks(snapshot.networks))
    check_sender_is_within(sender, networks)
    details = narrow_details(deployment, snapshot, wish.authorization_details, audience)
    granted = keep_known_scope(resource, snapshot.scope[audience], wish.scope)
    if snapshot.scope[audience] and not granted and not details:
        raise InvalidScope("no scope that was granted is known at the resource any more")
    identity_scope = snapshot.scope.get(userinfo, ())
    if wish.scope is not None:
        check_scope_is_granted(snapshot, wish.scope)
        granted = tuple(name for name in granted if name in wish.scope)
        identity_scope = tuple(name for name in identity_scope if name in wish.scope)
    offline = ["offline_access"] if snapshot.refresh_tokens == "offline" else []
    if wish.scope is not None and "offline_access" not in wish.scope:
        offline = []
    access_token_subject = choose_subject(deployment, basis, resource)
    until_end_s = (basis.expires_at - now) // 1000
    return Issuance(
        grant_type=wish.grant_type,
        client_id=client.client_id,
        client_pk=client.pk,
        client_authentication=describe_authentication(authenticated),
        subject=basis.subject,
        access_token_subject=access_token_subject,
        grant_id=basis.grant_id,
        grant_narrowing=basis.narrowing,
        session_id=basis.session_id,
        audience=audience,
        scope=granted,
        response_scope=" ".join(dict.fromkeys([*identity_scope, *granted, *offline])),
        access_token_format=choose_format(deployment, client, basis, resource, access_token_subject),
        signing_alg=resource.metadata.signing_alg if resource is not None else "ES256",
        lifetime_s=choose_lifetime_s(
            deployment, client, resource, until_end_s, snapshot.access_token_lifetime_s, wish.access_token_lifetime_s
        ),
        auth_time_s=snapshot.auth_time_s,
        acr=snapshot.acr,
        amr=snapshot.amr,
        authorization_details=details,
        id_token=_id_token(
            deployment,
            client,
            basis,
            identity_scope,
            nonce=wish.nonce,
            lifetime_s=min(deployment.settings.id_token_lifetime_s, until_end_s),
            access_token_is_for_userinfo=audience == userinfo,
        ),
        networks=networks,
        sender=sender,
        spends=spends,
    )


def choose_audience(deployment: Deployment, snapshot: GrantSnapshot, resources: tuple[str, ...]) -> str:
    """RFC 8707 2.2: the one resource that the token is for; `invalid_target` unless that is clear and granted."""
    userinfo = userinfo_resource(deployment.issuer)
    apis = [resource for resource in snapshot.scope if resource != userinfo]
    if len(resources) > 1:
        raise InvalidTarget("an access token is for one resource; name one")
    if not resources:
        if len(apis) > 1:
            raise InvalidTarget("several resources were granted; name one with the parameter resource")
        return apis[0] if apis else userinfo
    identifier = resources[0]
    known = deployment.registry.resources().find(identifier)
    audience = known.identifier if known is not None else parse_resource(identifier)
    if audience not in snapshot.scope:
        difference = Difference(what="resource", expected="\n".join(snapshot.scope), received=identifier)
        raise InvalidTarget("the resource was not granted", differences=[difference])
    return audience


def keep_known_scope(
    resource: Resource | None, granted: tuple[str, ...], wished: tuple[str, ...] | None
) -> tuple[str, ...]:
    """What was granted, without what the API has no longer. Raises `InvalidScope` where that is wished for."""
    if resource is None:
        return granted
    unknown = [name for name in granted if name not in resource.descriptions]
    if wished is not None and not set(wished).isdisjoint(unknown):
        raise InvalidScope("a scope that was granted is not known at the resource any more")
    return tuple(name for name in granted if name not in unknown)


def choose_subject(deployment: Deployment, basis: Basis, resource: Resource | None) -> str:
    """Who the access token says that the person is: what its resource is told; at userinfo, what the client is told."""
    if not basis.is_person:
        return basis.subject
    if resource is None:
        return basis.snapshot.client_subject or basis.subject
    return get_resource_subject(deployment, resource, basis.subject)


def choose_format(
    deployment: Deployment, client: Client, basis: Basis, resource: Resource | None, access_token_subject: str
) -> Literal["jwt", "opaque"]:
    """A client can read a JWT: a pairwise one gets none that says another subject than its own, and an API's server
    none that says another one than its own tokens do.
    """
    if resource is None:
        return "jwt"
    if basis.holder_knows is not None and basis.holder_knows != access_token_subject:
        return "opaque"
    if basis.is_person and access_token_subject != get_client_subject(deployment, client, basis.subject):
        is_pairwise = client.metadata.subject_type == "pairwise"
        return "opaque" if is_pairwise else resource.metadata.access_token_format
    return resource.metadata.access_token_format


def check_scope_is_granted(snapshot: GrantSnapshot, scope: tuple[str, ...]) -> None:
    """RFC 6749 6: the scope "MUST NOT include any scope not originally granted by the resource owner"."""
    granted = {name for names in snapshot.scope.values() for name in names}
    if snapshot.refresh_tokens == "offline":
        granted.add("offline_access")
    excess = [name for name in scope if name not in granted]
    if excess:
        difference = Difference(what="scope", expected="\n".join(sorted(granted)), received="\n".join(excess))
        raise InvalidScope("a scope was not granted", differences=[difference])


def choose_lifetime_s(
    deployment: Deployment, client: Client, resource: Resource | None, until_end_s: int | None, *asked: int | None
) -> int:
    """The shortest of what resource, client and request say; never beyond the grant's end, if it has one. Seconds."""
    policies = [
        resource.metadata.access_token_lifetime_s if resource is not None else None,
        client.metadata.policy.access_token_lifetime_s,
    ]
    allowed = min(
        (lifetime for lifetime in policies if lifetime is not None),
        default=deployment.settings.access_token_lifetime_s,
    )
    lifetime_s = min([allowed, *(lifetime for lifetime in (until_end_s, *asked) if lifetime is not None)])
    if lifetime_s < 1:
        raise InvalidGrant("the grant has ended", detail="less than a second of the grant is left")
    return int(lifetime_s)


def describe_authentication(authenticated: AuthenticatedClient) -> dict[str, Any]:
    """For the audit trail: during the overlap of a rotation it names which secret was used, and never either."""
    described = {"method": authenticated.method, "secret_created_at": authenticated.secret_created_at}
    return described if authenticated.kid is None else {**described, "kid": authenticated.kid}


def _id_token(
    deployment: Deployment,
    client: Client,
    basis: Basis,
    identity_scope: tuple[str, ...],
    *,
    nonce: str | None,
    lifetime_s: int,
    access_token_is_for_userinfo: bool,
) -> IdTokenIssuance | None:
    if "openid" not in identity_scope or "openid" not in deployment.settings.feature_names:
        return None
    snapshot, user_claims = basis.snapshot, basis.user_claims
    claims = release_requested(user_claims, snapshot, snapshot.claims.id_token, identity_scope)
    if not access_token_is_for_userinfo:
        # OpenID Connect Core 5.4: claims come from userinfo, and from the ID token where no access token gets them.
        claims |= release_for_userinfo(user_claims, snapshot, identity_scope)
    return IdTokenIssuance(
        subject=basis.snapshot.client_subject or basis.subject,
        signing_alg=client.metadata.id_token_signed_response_alg,
        lifetime_s=lifetime_s,
        nonce=nonce,
        sid=basis.snapshot.sid,
        claims=claims,
        envelope=find_id_token_envelope(deployment, client),
    )
