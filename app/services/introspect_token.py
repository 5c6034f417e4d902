"""Token introspection (RFC 7662): what a token says and whether it is alive, for those whom it concerns.

Whom it concerns: the client that it was issued to, and the servers of the API that it is for (`policy.introspects`).
Everybody else hears of every token what they hear of a made-up one, so that nobody can use us as an oracle.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from app.services.client_registry import Client
from app.services.deployment import Deployment
from app.services.find_token import FoundToken, find_token
from app.services.signing_keys import NoSigningKey
from app.services.subjects import get_client_subject
from app.specs.protocol_error import InvalidClient, TemporarilyUnavailable
from app.specs.rfc7515_jose import sign_jws
from app.specs.rfc7662_introspection import INACTIVE, TYP, build_response, build_signed_claims
from app.storage.token_states import find_client_subject


def introspect_token(deployment: Deployment, caller: Client, token: str) -> Mapping[str, Any]:
    """The response of section 2.2. Raises `InvalidClient` for a public client."""
    check_may_introspect(caller)
    found = find_token(deployment, token)
    if found is None or not found.is_live or not concerns(caller, found):
        return INACTIVE
    claims = {**found.claims, "sub": get_subject(deployment, caller, found)}
    return build_response(claims, token_type=find_token_type(found))


def check_may_introspect(caller: Client) -> None:
    """Section 2.1: "the endpoint MUST also require some form of authorization to access this endpoint"."""
    if not caller.is_confidential:
        raise InvalidClient("only a client that authenticates itself may introspect", detail="the client is public")


def concerns(caller: Client, found: FoundToken) -> bool:
    """Whether the caller is told of the token."""
    if found.client_id == caller.client_id:
        return True
    return found.kind == "access_token" and found.claims.get("aud") in (caller.metadata.policy.introspects or ())


def get_subject(deployment: Deployment, caller: Client, found: FoundToken) -> Any:
    """Who the caller is told it is: what its API is told, by the token itself; of its own tokens, what it knows itself.

    A pairwise client's tokens for public APIs are opaque, and here it must not read through them either. What it knows
    is what its ID tokens said: its sector of now may be one that it moved to, to hear what others call the person.
    """
    is_its_apis = found.kind == "access_token" and found.claims.get("aud") in (caller.metadata.policy.introspects or ())
    if is_its_apis or found.grant_id is None or found.sub is None:
        return found.claims.get("sub")
    with deployment.database.reading() as connection:
        told = find_client_subject(connection, found.grant_id)
    if told is None or told.is_exchanged:
        # Of a grant by exchange it had no ID token.
        return get_client_subject(deployment, caller, found.sub)
    return told.sub or found.sub


def find_token_type(found: FoundToken) -> str | None:
    """RFC 6749 5.1's type of an access token, RFC 9449's where it is bound to a key; a refresh token has none."""
    if found.kind == "refresh_token":
        return None
    confirmation = found.claims.get("cnf")
    return "DPoP" if isinstance(confirmation, dict) and "jkt" in confirmation else "Bearer"


def sign_response(deployment: Deployment, caller: Client, response: Mapping[str, Any]) -> str:
    """The response as a JWT for the caller alone (RFC 9701 5). Raises `TemporarilyUnavailable` without a key."""
    claims = build_signed_claims(
        response, issuer=deployment.issuer, audience=caller.client_id, issued_at_s=deployment.clock() // 1000
    )
    alg = caller.metadata.introspection_signed_response_alg
    try:
        key = deployment.get_signing_key(alg)
    except NoSigningKey as error:
        come_back = {"Retry-After": "2"}
        raise TemporarilyUnavailable("no signing key is available", detail=str(error), headers=come_back) from error
    return sign_jws({"typ": TYP}, orjson.dumps(claims), key, alg)
