"""Token exchange (RFC 8693): a living access token for one that can do less, for somebody who acts for its person.

Only the token's own client may exchange it, or the confidential client that is the server of its audience; only for
resources that the operator listed for that client; and what comes out never has more, nor lives longer, than what came
in. It hangs on a grant of its own, the child of the one behind the subject token, and ends with it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from app.services.authenticate_client import AuthenticatedClient
from app.services.bind_sender import SenderBinding
from app.services.client_registry import BrokenClient, Client, Resource
from app.services.decide_tokens import Basis, TokenWish, check_grant_type_is_registered, decide_tokens
from app.services.deployment import Deployment
from app.services.exchanged_grant import ExchangedGrant
from app.services.find_token import FoundToken, find_token
from app.services.grant_snapshot import GrantSnapshot
from app.services.identifiers import new_grant_id
from app.services.issue_tokens import IssuedTokens, issue_tokens
from app.services.machine_token import MachineToken
from app.specs.oidc_claims_request import NO_CLAIMS
from app.specs.protocol_error import (
    Difference,
    InvalidDpopProof,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    InvalidToken,
)
from app.specs.rfc8693_token_exchange import GRANT_TYPE, build_act
from app.specs.rfc8707_resources import parse_resource
from app.specs.rfc9068_access_token import CONSTRAINING_CLAIMS, AccessTokenClaims, check_claims
from app.specs.rfc9396_authorization_details import Details, details_claim
from app.specs.rfc9449_dpop import parse_confirmation_claim
from app.specs.tokenhouse_networks import format_networks, parse_networks_claim
from app.storage.grants import GrantRow
from app.storage.lineage import SubjectGrant, find_ancestor_snapshots, find_subject_grant
from app.storage.revocation import MAX_EXCHANGE_DEPTH

DURATION: Final = "exchange"
"""Beside a person's `once`, `day` and `until_revoked`: until the subject token ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenExchange:
    """A token request with this grant type; the client has been authenticated. `targets`: `resource` and `audience`."""

    authenticated: AuthenticatedClient
    binding: SenderBinding
    subject_token: str = field(repr=False)
    targets: tuple[str, ...]
    scope: tuple[str, ...] | None
    access_token_lifetime_s: int | None
    authorization_details: Details = ()

    @property
    def client(self) -> Client:
        """Who exchanges, and who will act."""
        return self.authenticated.client


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A living access token of ours, and what it hangs on. `grant` None: a machine's, which hangs on none.
    `machine_token`: where a machine's JWT is found.

    `client_pk` is that of the token's own client.
    """

    claims: AccessTokenClaims
    jti: bytes
    audience: str
    client_pk: int
    grant: SubjectGrant | None
    machine_token: MachineToken | None
    snapshot: GrantSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A resource that the client may exchange tokens for. `allowed_scopes` None: the operator set no bound."""

    resource: Resource
    allowed_scopes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What may be had at the target at most."""

    scope: Collection[str]
    authorization_details: tuple[Mapping[str, Any], ...] = ()


def exchange_token(deployment: Deployment, exchange: TokenExchange) -> IssuedTokens:
    """The exchanged token. Raises `InvalidRequest`, `InvalidTarget`, `InvalidScope`, `InvalidAuthorizationDetails`,
    `UnauthorizedClient` or `TemporarilyUnavailable`; `InvalidDpopProof` for a bound subject token without a proof.
    """
    now = deployment.clock()
    check_grant_type_is_registered(exchange.client, GRANT_TYPE)
    subject = find_living_subject(deployment, exchange.subject_token)
    check_may_exchange(exchange.client, subject)
    check_sender(exchange, subject)
    check_depth(subject)
    target = choose_target(deployment, exchange, subject)
    granted = find_granted(deployment, subject, target)
    scope = choose_scope(exchange, target, granted)
    basis = make_basis(exchange.client, subject, target, replace(granted, scope=scope))
    exchanged = make_child(exchange.client, subject, basis, now=now)
    wish = TokenWish(
        grant_type=GRANT_TYPE,
        resources=(target.resource.identifier,),
        access_token_lifetime_s=exchange.access_token_lifetime_s,
        authorization_details=exchange.authorization_details,
    )
    try:
        issuance = decide_tokens(
            deployment, exchange.authenticated, basis, wish, sender=exchange.binding, spends=None, now=now
        )
        return issue_tokens(deployment, replace(issuance, exchanged=exchanged), now=now)
    except InvalidGrant as error:
        # RFC 8693 2.2.2: a subject token that is "invalid for any reason" is an `invalid_request`.
        raise InvalidRequest(
            "subject_token is not valid", detail=error.detail or error.description, differences=error.differences
        ) from error


# ----- The subject token -----


def find_living_subject(deployment: Deployment, subject_token: str) -> Subject:
    """The subject token, which must be an access token of ours that is alive. Raises `InvalidRequest`.

    The answer does not say what is wrong with it: a token is not tried out here. What it hangs on is held, and judged
    again, when the exchanged token is written.
    """
    found = find_token(deployment, subject_token)
    if found is None or found.kind != "access_token" or found.jti is None:
        raise _refusal("not an access token of ours, or expired")
    if not found.is_live:
        raise _refusal("token, grant, session, user or client has ended")
    claims = read_claims(deployment, found)
    grant = None
    if found.grant_id is not None:
        with deployment.database.reading() as connection:
            grant = find_subject_grant(connection, found.grant_id)
        if grant is None:
            raise _refusal("its grant has been purged")
    (audience,) = claims.audience
    snapshot = GrantSnapshot(scope={audience: tuple(sorted(claims.scope))})
    return Subject(
        claims=claims,
        jti=found.jti,
        audience=audience,
        client_pk=grant.client_pk if grant is not None else find_machine_pk(deployment, claims.client_id),
        grant=grant,
        machine_token=found.machine_token,
        snapshot=snapshot if grant is None else GrantSnapshot.from_document(grant.snapshot),
    )


def read_claims(deployment: Deployment, found: FoundToken) -> AccessTokenClaims:
    """What the token says, checked like everybody's: an opaque one too. The constraining claims are seen to here."""
    try:
        claims = check_claims(
            dict(found.claims),
            issuer=deployment.issuer,
            audience=str(found.claims.get("aud")),
            now_s=deployment.clock() / 1000,
            leeway_s=0,
            enforced=CONSTRAINING_CLAIMS,
        )
        parse_confirmation_claim(found.claims)
        parse_networks_claim(found.claims)
    except InvalidToken as error:
        raise _refusal(error.description, error.differences) from error
    return claims


def find_machine_pk(deployment: Deployment, client_id: str) -> int:
    """Whose token it is that hangs on no grant: the machine's own, which was alive a moment ago."""
    try:
        client = deployment.registry.find_client(client_id)
    except BrokenClient as error:
        raise _refusal(str(error)) from error
    if client is None:
        raise _refusal("the machine's client is no longer there")
    return client.pk


def check_may_exchange(client: Client, subject: Subject) -> None:
    """The subject token's own client, or the confidential one that is the server of its audience. Nobody else hears
    that the token is good.
    """
    is_own = subject.client_pk == client.pk
    is_linked = client.is_confidential and subject.audience in (client.metadata.policy.introspects or ())
    if not is_own and not is_linked:
        raise _refusal("the client is neither the token's own nor linked to its audience")


def check_sender(exchange: TokenExchange, subject: Subject) -> None:
    """What is bound to a key is exchanged for what is bound to a key. Raises `InvalidDpopProof`.

    An API cannot have the key of the application that called it, so it proves one of its own. A public client has
    nothing but that key to be known by: with a stolen token alone, anybody could have it bound to another.
    """
    bound_jkt = parse_confirmation_claim(subject.claims.claims)
    if bound_jkt is None:
        return
    if exchange.binding.jkt is None:
        raise InvalidDpopProof("the subject token is bound to a key: the token for it must be too")
    if not exchange.client.is_confidential and exchange.binding.jkt != bound_jkt:
        raise InvalidDpopProof("the subject token is bound to another key")


def check_depth(subject: Subject) -> None:
    """A chain of exchanges has an end: each link is one more grant that a revocation has to find."""
    depth = subject.grant.depth if subject.grant is not None else 0
    if max(depth, len(subject.claims.actors)) >= MAX_EXCHANGE_DEPTH:
        raise InvalidRequest(f"the subject token has been exchanged {MAX_EXCHANGE_DEPTH} times, which is the most")


def _refusal(detail: str, differences: Sequence[Difference] = ()) -> InvalidRequest:
    return InvalidRequest("subject_token is not valid", detail=detail, differences=differences)


# ----- What it is exchanged for -----


def choose_target(deployment: Deployment, exchange: TokenExchange, subject: Subject) -> Target:
    """The one resource that the new token is for; where none is named, the subject token's. Raises `InvalidTarget`."""
    found: dict[str, Resource] = {}
    for value in exchange.targets or (subject.audience,):
        resource = find_resource(deployment, value)
        found[resource.identifier] = resource
    if len(found) > 1:
        raise InvalidTarget("an access token is for one resource; name one")
    (resource,) = found.values()
    check_may_leave_resource(exchange, subject, resource)
    for entry in exchange.client.metadata.policy.token_exchange_audiences or ():
        if entry.resource == resource.identifier:
            return Target(resource=resource, allowed_scopes=entry.scopes)
    detail = f"not among its token_exchange_audiences: {resource.identifier!r:.300}"
    raise InvalidTarget("the client may not exchange tokens for the target", detail=detail)


def check_may_leave_resource(exchange: TokenExchange, subject: Subject, target: Resource) -> None:
    """Whoever has a public client's bearer token can say that he is that client: it must not open another API.

    A client that authenticates itself, or that proved the key which the token is bound to, may go on to others.
    """
    is_proven = exchange.client.is_confidential or parse_confirmation_claim(subject.claims.claims) is not None
    if target.identifier != subject.audience and not is_proven:
        raise InvalidTarget("a public client exchanges a bearer token for the token's own resource only")


def find_resource(deployment: Deployment, identifier: str) -> Resource:
    """The resource of an identifier or alias; one that was registered a moment ago too. Raises `InvalidTarget`."""
    resource = deployment.registry.resources().find(identifier)
    if resource is None:
        parse_resource(identifier)
        deployment.notice_changes(at_once=True)
        resource = deployment.registry.resources().find(identifier)
    if resource is None:
        raise InvalidTarget("the target is not known here", detail=f"sent {identifier!r:.300}")
    return resource


def find_granted(deployment: Deployment, subject: Subject, target: Target) -> Granted:
    """What was granted at the target, as far as the subject token shows it.

    At its own resource, that is what the token says. Elsewhere, what its grant holds there, or else the nearest grant
    of those that it was exchanged from. Where nobody was ever asked about the target, the operator's list decides
    alone; and without a list, nothing is granted: `InvalidTarget`.
    """
    identifier = target.resource.identifier
    if identifier == subject.audience:
        details = details_claim(subject.claims.authorization_details)
        return Granted(scope=subject.claims.scope, authorization_details=tuple(details))
    snapshots = [subject.snapshot]
    if subject.grant is not None and subject.grant.depth > 0:
        with deployment.database.reading() as connection:
            ancestors = find_ancestor_snapshots(connection, subject.grant.grant_id)
        snapshots.extend(map(GrantSnapshot.from_document, ancestors))
    for snapshot in snapshots:
        if identifier in snapshot.scope:
            return Granted(scope=snapshot.scope[identifier], authorization_details=snapshot.authorization_details)
    if any(identifier in snapshot.withdrawn for snapshot in snapshots):
        # They were asked, and took back all of it: the operator's list must not give more than before.
        raise InvalidTarget("nothing was granted at the target", detail="the person took back what they granted there")
    if target.allowed_scopes is None:
        detail = "the grant holds nothing there, and the policy lists no scopes"
        raise InvalidTarget("nothing was granted at the target", detail=detail)
    return Granted(scope=target.allowed_scopes)


def choose_scope(exchange: TokenExchange, target: Target, granted: Granted) -> tuple[str, ...]:
    """What the new token may do: all that is allowed, or the part that is asked for. Raises `InvalidScope`.

    The bounds are the resource's own scopes, the operator's for this client there, the client's registration, and
    what was granted.
    """
    bounds: list[Collection[str]] = [granted.scope]
    if target.allowed_scopes is not None:
        bounds.append(target.allowed_scopes)
    if exchange.client.metadata.scope is not None:
        bounds.append(exchange.client.metadata.scope.split(" "))
    allowed = tuple(name for name in target.resource.descriptions if all(name in bound for bound in bounds))
    if exchange.scope is not None:
        excess = [name for name in exchange.scope if name not in allowed]
        if excess:
            raise InvalidScope("a scope is more than may be exchanged", detail=f"excess: {excess!r:.300}")
        return exchange.scope
    if not allowed and not granted.authorization_details:
        raise InvalidScope("none of the subject token's scopes may be exchanged for the target")
    return allowed


def choose_networks(client: Client, subject: Subject) -> tuple[str, ...]:
    """What the new token is limited to besides the policies of client and resource. Raises `InvalidRequest`.

    A token's networks are where its holder is. Its own client stays within them; another client is elsewhere, so that
    its own, by its policy, take their place. One that has none would turn a limited token into one for everywhere.
    """
    networks = parse_networks_claim(subject.claims.claims)
    if networks is None:
        return ()
    if subject.client_pk == client.pk:
        return tuple(format_networks(networks))
    if client.metadata.policy.networks is None:
        raise InvalidRequest("the subject token is limited to networks, and the client is not")
    return ()


# ----- The grant that it hangs on -----


def make_basis(client: Client, subject: Subject, target: Target, granted: Granted) -> Basis:
    """The child grant, as a grant that tokens are asked on. It ends when the subject token does."""
    user_sub = subject.grant.user_sub if subject.grant is not None else None
    return Basis(
        grant_id=new_grant_id(),
        session_id=subject.grant.session_id if subject.grant is not None else None,
        # The token may name the person as one sector knows them: the target is told what it knows itself.
        subject=user_sub or subject.claims.subject,
        is_person=user_sub is not None,
        holder_knows=None if client.client_id == subject.claims.client_id else subject.claims.subject,
        user_claims={},
        snapshot=replace(
            subject.snapshot,
            scope={target.resource.identifier: tuple(granted.scope)},
            refresh_tokens=None,
            client_subject=None,
            claims=NO_CLAIMS,
            allowed_claims=(),
            claims_locales=(),
            authorization_details=granted.authorization_details,
            networks=choose_networks(client, subject),
        ),
        expires_at=subject.claims.expires_at_s * 1000,
    )


def make_child(client: Client, subject: Subject, basis: Basis, *, now: int) -> ExchangedGrant:
    """The child grant, as it is stored."""
    ((audience, scope),) = basis.snapshot.scope.items()
    parent = subject.grant
    row = GrantRow(
        grant_id=basis.grant_id,
        user_id=parent.user_id if parent is not None else None,
        client_pk=client.pk,
        session_id=basis.session_id,
        parent_grant_id=parent.grant_id if parent is not None else None,
        parent_jti=subject.jti,
        origin_client_pk=subject.client_pk if parent is None else parent.origin_client_pk,
        depth=1 + (parent.depth if parent is not None else 0),
        snapshot=basis.snapshot.to_document(),
        duration=DURATION,
        policy_version=client.policy_version,
        created_at=now,
        expires_at=basis.expires_at,
        revoked_at=None,
    )
    return ExchangedGrant(
        row=row,
        subject=basis.subject,
        client_id=client.client_id,
        parent_jti=subject.claims.jti,
        act=build_act([client.client_id, *subject.claims.actors]),
        audience=audience,
        scope=scope,
        machine_token=subject.machine_token,
    )
