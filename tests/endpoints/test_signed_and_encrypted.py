"""What a client registered to have signed and encrypted: ID tokens and userinfo (OpenID Connect Core 2 and 5.3.2)."""

import json
from typing import Any

import pytest

from app.specs.protocol_error import ProtocolError
from app.specs.rfc7515_jose import parse_unverified_header, verify_jws
from app.specs.rfc7516_jwe import decrypt_jwe, parse_unverified_jwe_header
from app.specs.rfc7517_jwk import PrivateKey, PublicKey, generate_private_jwk, import_private_jwk, public_members
from tests.actors.http import Reply
from tests.actors.relying_party import RelyingParty, read_jwt
from tests.deployments import Account
from tests.world import World

ALGORITHMS = ("RSA-OAEP-256", "ECDH-ES+A256KW")


@pytest.fixture(scope="module")
def private_jwks() -> dict[str, dict[str, str]]:
    return {alg: generate_private_jwk(alg) for alg in ALGORITHMS}


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user(name="Ada Lovelace")


def own_key(jwk: dict[str, str]) -> PrivateKey:
    return import_private_jwk(jwk, is_our_own=True)


def published(*jwks: dict[str, str]) -> dict[str, Any]:
    return {"keys": [public_members(jwk) for jwk in jwks]}


def verify(world: World, token: str, alg: str) -> dict[str, Any]:
    """The claims of a JWT that one of the server's published keys signed."""
    keys = world.operator.deployment.keys.published
    key: PublicKey = keys[parse_unverified_header(token).kid or ""]
    claims: dict[str, Any] = json.loads(verify_jws(token, key, algorithms=[alg], typ="JWT"))
    return claims


def userinfo(world: World, party: RelyingParty, account: Account) -> Reply:
    reply = party.userinfo(world.get_tokens(party, account, scope="openid profile").access_token)
    assert reply.status == 200, reply.text
    assert reply.headers["cache-control"] == "no-store"
    return reply


# ----- Userinfo -----


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.3.2", "signed: iss and aud, and application/jwt")
@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_userinfo_is_signed_for_who_registered_for_it(world: World, account: Account, alg: str) -> None:
    party = world.relying_party(userinfo_signed_response_alg=alg)
    reply = userinfo(world, party, account)
    assert reply.headers["content-type"] == "application/jwt"
    claims = verify(world, reply.text, alg)
    assert (claims["iss"], claims["aud"], claims["sub"]) == (world.issuer, party.client_id, account.sub)
    assert claims["name"] == "Ada Lovelace"
    # 135: it says nothing of a login and never ends, so that it is no ID token.
    assert not claims.keys() & {"exp", "iat", "nonce", "auth_time", "at_hash", "scope", "client_id"}


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.3.2", "encrypted, signed before or not")
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_userinfo_is_encrypted_to_the_clients_key(
    world: World, account: Account, private_jwks: dict[str, dict[str, str]], alg: str
) -> None:
    members = {"jwks": published(*private_jwks.values()), "userinfo_encrypted_response_alg": alg}
    encrypted = userinfo(world, world.relying_party(**members), account)
    assert encrypted.headers["content-type"] == "application/jwt"
    header = parse_unverified_jwe_header(encrypted.text)
    assert (header.alg, header.enc, header.cty) == (alg, "A128CBC-HS256", None)
    assert header.kid == private_jwks[alg]["kid"]
    told = json.loads(decrypt_jwe(encrypted.text, own_key(private_jwks[alg])))
    assert (told["sub"], told["name"]) == (account.sub, "Ada Lovelace")

    nested = {**members, "userinfo_signed_response_alg": "ES256", "userinfo_encrypted_response_enc": "A256GCM"}
    party = world.relying_party(**nested)
    both = userinfo(world, party, account).text
    header = parse_unverified_jwe_header(both)
    assert (header.enc, header.cty) == ("A256GCM", "JWT")
    signed = decrypt_jwe(both, own_key(private_jwks[alg])).decode()
    assert verify(world, signed, "ES256")["aud"] == party.client_id


# ----- ID tokens -----


@pytest.mark.requirement("OpenID Connect Core 1.0", "2", "signed and then encrypted, a Nested JWT")
def test_an_id_token_is_signed_and_then_encrypted(
    world: World, account: Account, private_jwks: dict[str, dict[str, str]]
) -> None:
    alg = "ECDH-ES+A256KW"
    party = world.relying_party(
        grant_types=["authorization_code", "refresh_token"],
        jwks=published(private_jwks[alg]),
        id_token_signed_response_alg="ES256",
        id_token_encrypted_response_alg=alg,
        id_token_encrypted_response_enc="A128GCM",
    )
    tokens = world.get_tokens(party, account)
    for id_token in (tokens.id_token, party.refresh(tokens.refresh_token).id_token):
        header = parse_unverified_jwe_header(str(id_token))
        assert (header.alg, header.enc, header.cty) == (alg, "A128GCM", "JWT")
        claims = verify(world, decrypt_jwe(str(id_token), own_key(private_jwks[alg])).decode(), "ES256")
        assert (claims["sub"], claims["aud"]) == (account.sub, party.client_id)
        assert claims["at_hash"]


def test_without_a_key_that_fits_nothing_is_told_in_the_open(
    world: World, account: Account, private_jwks: dict[str, dict[str, str]]
) -> None:
    for member in ("id_token_encrypted_response_alg", "userinfo_encrypted_response_alg"):
        with pytest.raises(ProtocolError, match=member):
            world.operator.add_client(jwks=published(private_jwks["RSA-OAEP-256"]), **{member: "ECDH-ES"})
    # Nothing is fetched from here, so that there is no key either.
    elsewhere = {"jwks_uri": "https://127.0.0.1:1/jwks.json"}
    party = world.relying_party(**elsewhere, id_token_encrypted_response_alg="ECDH-ES")
    code, pending = world.get_code(party, account)
    for _ in range(2):
        reply = party.try_exchange(code, pending)
        # Not `invalid_grant` the second time either: the code was not spent on it.
        assert (reply.status, reply.json()["error"]) == (400, "invalid_request")
    party = world.relying_party(**elsewhere, userinfo_encrypted_response_alg="ECDH-ES")
    reply = party.userinfo(world.get_tokens(party, account).access_token)
    assert (reply.status, reply.json()["error"]) == (400, "invalid_request")


# ----- 135: one kind of token is not another -----


def test_135_neither_userinfo_nor_an_id_token_opens_userinfo(world: World, account: Account) -> None:
    party = world.relying_party(userinfo_signed_response_alg="RS256")
    tokens = world.get_tokens(party, account)
    signed_userinfo = party.userinfo(tokens.access_token).text
    for token in (signed_userinfo, str(tokens.id_token)):
        assert party.userinfo(token).status == 401
    kinds = [parse_unverified_header(token).media_type for token in (tokens.access_token, str(tokens.id_token))]
    assert kinds == ["application/at+jwt", "application/jwt"]
    assert tokens.claims["aud"] != read_jwt(str(tokens.id_token))["aud"]


def test_135_no_client_gets_tokens_that_its_secret_signed(world: World) -> None:
    for member in ("id_token_signed_response_alg", "userinfo_signed_response_alg"):
        for alg in ("HS256", "none"):
            with pytest.raises(ProtocolError, match=member):
                world.operator.add_client(**{member: alg})
