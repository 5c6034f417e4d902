"""The userinfo endpoint's rules (OpenID Connect Core 5.3): our own access tokens, checked and looked up."""

from dataclasses import dataclass
from typing import Any

from app.services.bind_sender import use_proof, verify_sender_proof
from app.services.deployment import Deployment
from app.services.grant_snapshot import GrantSnapshot
from app.services.issue_tokens import decode_jti
from app.services.limit_networks import is_address_within
from app.services.own_access_token import verify_own_access_token
from app.services.release_claims import release_for_userinfo
from app.specs.protocol_error import InsufficientScope, InvalidToken
from app.specs.rfc6750_bearer import PresentedToken
from app.specs.rfc9068_access_token import CONSTRAINING_CLAIMS, AccessTokenClaims
from app.specs.rfc9449_dpop import DpopProof, check_binding, check_scheme, parse_confirmation_claim
from app.specs.tokenhouse_networks import parse_networks_claim
from app.storage.grants import find_token_holder


def userinfo_resource(issuer: str) -> str:
    """The identifier of the userinfo endpoint as a resource: the `aud` of the tokens that open it."""
    return f"{issuer}/userinfo"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserinfoRequest:
    """The token as it came, and what tells who sends it: the DPoP header's value, if any."""

    presented: PresentedToken
    method: str
    dpop: str | None
    address: str


def read_userinfo(deployment: Deployment, request: UserinfoRequest) -> dict[str, Any]:
    """The claims that the token's scopes allow.

    Raises `InvalidToken`, `InsufficientScope`, and for a token that is bound to a key `InvalidDpopProof` and
    `UseDpopNonce`.

    Unlike a resource server we can see the grant: a token that was revoked, or whose grant, session, user or client
    has ended, is refused at once.
    """
    claims = verify_own_access_token(
        deployment,
        request.presented.unverified_token,
        audience=userinfo_resource(deployment.issuer),
        # Both by `check_sender`.
        enforced=CONSTRAINING_CLAIMS,
    )
    proof = check_sender(deployment, request, claims)
    if "openid" not in claims.scope:
        raise InsufficientScope("the scope openid is needed")
    jti = decode_jti(claims.jti)
    holder = None
    if jti is not None:
        with deployment.database.reading() as connection:
            holder = find_token_holder(connection, jti, now=deployment.clock())
    if holder is None:
        raise InvalidToken("the access token is no longer valid", detail="revoked, or its grant has ended")
    if proof is not None:
        # Last, because it leaves a mark; here nothing is issued, so that the transaction is its own.
        now = deployment.clock()
        deployment.database.transact(lambda connection: use_proof(connection, proof, now=now))
    snapshot = GrantSnapshot.from_document(holder.snapshot)
    return {
        "sub": snapshot.client_subject or holder.sub,
        **release_for_userinfo(holder.user_claims, snapshot, claims.scope),
    }


def check_sender(deployment: Deployment, request: UserinfoRequest, claims: AccessTokenClaims) -> DpopProof | None:
    """The proof, if the token is bound to a key (RFC 9449 7); the address, if it is limited to networks.

    Does not see replays.
    """
    bound_jkt, networks = parse_confirmation_claim(claims.claims), parse_networks_claim(claims.claims)
    check_scheme(request.presented.scheme, bound_jkt=bound_jkt)
    if networks is not None and not is_address_within(request.address, networks):
        detail = f"{request.address!r:.60} is in none of {networks!s:.300}"
        raise InvalidToken("the access token is not valid from this network", detail=detail)
    if bound_jkt is None:
        return None
    proof = verify_sender_proof(
        deployment,
        request.dpop,
        method=request.method,
        url=userinfo_resource(deployment.issuer),
        access_token=request.presented.unverified_token,
    )
    check_binding(proof, bound_jkt=bound_jkt)
    return proof
