"""The client credentials grant (RFC 6749 4.4): a machine's own token, for what an operator configured and nothing else.

Nobody is asked, so nothing is open by default: a client has its policy's `resources`, its registered `scope`, or both
to narrow each other; with neither it gets nothing. No person is behind the token: no identity scopes, no ID token, no
refresh token, and the subject is the `client_id`, which never looks like a person's.
"""

from dataclasses import dataclass
from typing import Final

from app.services.authenticate_client import AuthenticatedClient
from app.services.authorization_request import RequestedResource
from app.services.bind_sender import SenderBinding
from app.services.client_registry import Client, Resource
from app.services.decide_tokens import (
    check_grant_type_is_registered,
    choose_lifetime_s,
    describe_authentication,
)
from app.services.deployment import Deployment
from app.services.issue_tokens import Issuance, IssuedTokens, issue_tokens
from app.services.limit_networks import check_sender_is_within, decide_networks
from app.services.requested_resources import check_registered_scope, choose_resources
from app.services.userinfo import userinfo_resource
from app.specs.oidc_core import OPENID_SCOPES
from app.specs.protocol_error import InvalidScope, InvalidTarget, UnauthorizedClient
from app.specs.rfc6749_oauth import parse_scope

GRANT_TYPE: Final = "client_credentials"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentialsRequest:
    """A token request with `grant_type=client_credentials`; the client has been authenticated."""

    authenticated: AuthenticatedClient
    binding: SenderBinding
    scope: str | None
    resources: tuple[str, ...]
    access_token_lifetime_s: int | None

    @property
    def client(self) -> Client:
        """Whose request it is."""
        return self.authenticated.client


def grant_client_credentials(deployment: Deployment, request: ClientCredentialsRequest) -> IssuedTokens:
    """The machine's token.

    Raises `UnauthorizedClient`, `InvalidScope`, `InvalidTarget`, `InvalidGrant`, `InvalidDpopProof`,
    `TemporarilyUnavailable`.
    """
    check_may_act_for_itself(request.client)
    chosen = find_target(deployment, request)
    resource = deployment.registry.resources().find(chosen.resource)
    if resource is None:
        raise InvalidTarget("the resource is no longer known here")
    issuance = decide_machine_token(deployment, request, resource, chosen.scope)
    return issue_tokens(deployment, issuance, now=deployment.clock())


def check_may_act_for_itself(client: Client) -> None:
    """RFC 6749 4.4: "The client credentials grant type MUST only be used by confidential clients." """
    if not client.is_confidential:
        raise UnauthorizedClient("a public client cannot act for itself")
    check_grant_type_is_registered(client, GRANT_TYPE)
    if client.metadata.scope is None and client.metadata.policy.resources is None:
        raise InvalidScope(
            "nothing is configured that the client may do by itself",
            detail="neither a registered scope nor policy.resources",
        )


def find_target(deployment: Deployment, request: ClientCredentialsRequest) -> RequestedResource:
    """`choose_target`, after another look at the database where a resource may have been added a moment ago."""
    deployment.notice_changes()
    generation = deployment.registry.generation
    try:
        return choose_target(deployment, request)
    except (InvalidScope, InvalidTarget):
        deployment.notice_changes(at_once=True)
        if deployment.registry.generation == generation:
            raise
        return choose_target(deployment, request)


def choose_target(deployment: Deployment, request: ClientCredentialsRequest) -> RequestedResource:
    """The one resource, with the scopes there. Without `scope` it is all that the client is registered for."""
    client, asked = request.client, request.resources
    userinfo = userinfo_resource(deployment.issuer)
    if len(asked) > 1:
        raise InvalidTarget("an access token is for one resource; name one")
    if userinfo in asked:
        raise InvalidTarget("the userinfo endpoint tells of people, and no person is behind this token")
    resources = deployment.registry.resources()
    requested = parse_scope(request.scope)
    check_registered_scope(client, requested)
    identity = [name for name in requested if name in OPENID_SCOPES]
    if identity:
        raise InvalidScope("no person is behind this token", detail=f"asked for {identity!r}")
    if not requested:
        if not asked and client.metadata.policy.resources is not None and len(client.metadata.policy.resources) == 1:
            asked = client.metadata.policy.resources
        requested = list_default_scope(client, resources.find(asked[0]) if asked else None)
        if not requested and client.metadata.scope is not None:
            # Registered for scopes elsewhere: a token without any would still open what this API asks no scope for.
            raise InvalidScope("the client is not registered for a scope of the resource")
    chosen = choose_resources(client, resources, api_scope=requested, asked=asked, userinfo=userinfo)
    if not chosen:
        raise InvalidScope("scope is missing")
    return chosen[0]


def list_default_scope(client: Client, resource: Resource | None) -> tuple[str, ...]:
    """RFC 6749 3.3: what a request without `scope` gets: the registered scopes, as far as they are the resource's."""
    registered = parse_scope(client.metadata.scope)
    if resource is None:
        return tuple(name for name in registered if name not in OPENID_SCOPES)
    if client.metadata.scope is None:
        return tuple(resource.descriptions)
    return tuple(name for name in registered if name in resource.descriptions)


def decide_machine_token(
    deployment: Deployment, request: ClientCredentialsRequest, resource: Resource, scope: tuple[str, ...]
) -> Issuance:
    """What is issued. Raises `InvalidTarget` and `InvalidGrant` where networks are in the way."""
    client = request.client
    networks = decide_networks(client, resource)
    check_sender_is_within(request.binding, networks)
    return Issuance(
        grant_type=GRANT_TYPE,
        client_id=client.client_id,
        client_pk=client.pk,
        client_authentication=describe_authentication(request.authenticated),
        subject=client.client_id,
        access_token_subject=client.client_id,
        grant_id=None,
        session_id=None,
        audience=resource.identifier,
        scope=scope,
        response_scope=" ".join(scope),
        access_token_format=resource.metadata.access_token_format,
        signing_alg=resource.metadata.signing_alg,
        lifetime_s=choose_lifetime_s(deployment, client, resource, None, request.access_token_lifetime_s),
        auth_time_s=None,
        acr=None,
        amr=(),
        id_token=None,
        networks=networks,
        sender=request.binding,
        spends=None,
    )
