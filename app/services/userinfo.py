"""The userinfo endpoint's rules (OpenID Connect Core 5.3): our own access tokens, checked and looked up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.services.bind_sender import use_proof, verify_sender_proof
from app.services.client_registry import BrokenClient, Client
from app.services.deployment import Deployment
from app.services.encrypt_for_client import Envelope, find_userinfo_envelope
from app.services.grant_snapshot import GrantSnapshot
from app.services.issue_tokens import decode_jti
from app.services.limit_networks import is_address_within
from app.services.own_access_token import verify_own_access_token
from app.services.release_claims import release_for_userinfo
from app.services.signing_keys import NoSigningKey
from app.specs.protocol_error import InsufficientScope, InvalidToken, TemporarilyUnavailable
from app.specs.rfc6750_bearer import PresentedToken
from app.specs.rfc7515_jose import sign_jws
from app.specs.rfc9068_access_token import CONSTRAINING_CLAIMS, AccessTokenClaims
from app.specs.rfc9449_dpop import DpopProof, check_binding, check_scheme, parse_confirmation_claim
from app.specs.tokenhouse_networks import parse_networks_claim
from app.storage.grants import TokenHolder, find_token_holder


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


@dataclass(frozen=True, slots=True, kw_only=True)
class UserinfoResponse:
    """What is answered: JSON, or a JWT where the client registered for one. `body` is about a person: not for logs."""

    media_type: str
    body: bytes = field(repr=False)


def read_userinfo(deployment: Deployment, request: UserinfoRequest) -> UserinfoResponse:
    """The claims that the token's scopes allow, in the form that its client registered for.

    Raises `InvalidToken`, `InsufficientScope`, and for a token that is bound to a key `InvalidDpopProof` and
    `UseDpopNonce`; `InvalidRequest` for a client whose answers are to be encrypted and that publishes no key for it.

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
    client = find_client_of(deployment, holder)
    envelope = find_userinfo_envelope(deployment, client)
    if proof is not None:
        # Last, because it leaves a mark; here nothing is issued, so that the transaction is its own.
        now = deployment.clock()
        deployment.database.transact(lambda connection: use_proof(connection, proof, now=now))
    snapshot = GrantSnapshot.from_document(holder.snapshot)
    told = {
        "sub": snapshot.client_subject or holder.sub,
        **release_for_userinfo(holder.user_claims, snapshot, claims.scope),
    }
    return make_response(deployment, client, told, envelope)


def find_client_of(deployment: Deployment, holder: TokenHolder) -> Client:
    """The client that a living token was issued to. Raises `InvalidToken` where it ended a moment ago."""
    try:
        client = deployment.registry.find_client(holder.client_id)
    except BrokenClient as error:
        raise InvalidToken("the access token is no longer valid", detail=str(error)) from error
    if client is None:
        raise InvalidToken("the access token is no longer valid", detail="its client was removed")
    return client


def make_response(
    deployment: Deployment, client: Client, told: Mapping[str, Any], envelope: Envelope | None
) -> UserinfoResponse:
    """Section 5.3.2: JSON; or signed, with `iss` and `aud`; and encrypted, signed or not."""
    alg = client.metadata.userinfo_signed_response_alg
    body = orjson.dumps(told if alg is None else {**told, "iss": deployment.issuer, "aud": client.client_id})
    if alg is not None:
        try:
            key = deployment.get_signing_key(alg)
        except NoSigningKey as error:
            come_back = {"Retry-After": "2"}
            raise TemporarilyUnavailable("no signing key is available", detail=str(error), headers=come_back) from error
        body = sign_jws({"typ": "JWT"}, body, key, alg).encode("ascii")
    if envelope is not None:
        body = envelope.seal(body, is_jwt=alg is not None).encode("ascii")
    # "If the UserInfo Response is signed and/or encrypted, then [...] the content-type [...] MUST be application/jwt."
    is_json = alg is None and envelope is None
    return UserinfoResponse(media_type="application/json" if is_json else "application/jwt", body=body)


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
