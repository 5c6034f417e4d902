"""Attacks on introspection (cases 90 and 91), and what those whom a token concerns are told (RFC 7662, RFC 9701)."""

import json

import pytest

from app.services.manage_clients import disable_client, enable_client
from app.services.manage_grants import list_grants, revoke_grant
from app.services.manage_users import disable_user
from app.specs.rfc7515_jose import parse_unverified_header, sign_jws, verify_jws
from app.specs.rfc7517_jwk import generate_private_jwk, import_private_jwk, import_public_jwk
from app.specs.rfc7662_introspection import MEDIA_TYPE, TYP
from tests.actors.http import send
from tests.actors.machine import Machine
from tests.actors.refreshing import OFFLINE, allow, refreshing_party
from tests.actors.relying_party import read_jwt
from tests.attacks.good_conduct import assert_inactive, assert_json_error, assert_no_store
from tests.deployments import Account
from tests.patience import wait_until
from tests.world import World

pytestmark = pytest.mark.usefixtures("standing")

FORMATS = ("jwt", "opaque")


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user()


# ----- Whom it concerns -----


@pytest.mark.parametrize("token_format", FORMATS)
def test_the_api_and_the_client_are_told_what_a_persons_token_says(
    world: World, account: Account, token_format: str
) -> None:
    api = world.operator.add_resource(access_token_format=token_format)
    party = world.relying_party()
    tokens = world.get_tokens(party, account, scope="openid photos.read", resource=api)
    assert ("." in tokens.access_token) is (token_format == "jwt")
    assert tokens.id_claims["at_hash"]
    for caller in (world.api_server(api), world.api_server(api + "/"), Machine.of(party)):
        reply = caller.introspect(tokens.access_token)
        assert_no_store(reply)
        response = reply.json()
        assert all(response.pop(name) for name in ("iat", "exp", "jti", "auth_time", "acr"))
        assert (response.pop("status", None) is None) is (token_format == "opaque")
        assert response == {
            "active": True,
            "iss": world.issuer,
            "sub": account.sub,
            "aud": api,
            "client_id": party.client_id,
            "scope": "photos.read",
            "token_type": "Bearer",
        }
    for hint in ("access_token", "refresh_token", "no_such_type", "x" * 1000):
        assert world.api_server(api).introspect(tokens.access_token, token_type_hint=hint).json()["active"] is True


def test_an_offline_refresh_token_says_that_it_is_one(world: World, account: Account) -> None:
    party = refreshing_party(world)
    tokens = allow(world, party, account, scope=OFFLINE)
    response = Machine.of(party).introspect(tokens.refresh_token).json()
    assert set(response["scope"].split(" ")) == {"openid", "offline_access"}
    assert response["scope"] == tokens.scope


def test_an_online_refresh_token_is_active_for_as_long_as_it_can_be_used(world: World, account: Account) -> None:
    party = refreshing_party(world)
    tokens = allow(world, party, account)
    idle_s = world.operator.deployment.settings.session_idle_lifetime_s
    world.clock.move(seconds=idle_s - 5)
    assert Machine.of(party).introspect(tokens.refresh_token).json()["active"] is True
    world.clock.move(seconds=10)
    assert_inactive(Machine.of(party).introspect(tokens.refresh_token))
    assert party.try_refresh(tokens.refresh_token).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("token_format", FORMATS)
def test_a_machines_token_is_told_of_until_its_client_ends(world: World, token_format: str) -> None:
    api = world.operator.add_resource(access_token_format=token_format)
    machine, server = world.machine(policy={"resources": [api]}), world.api_server(api)
    token = machine.get_token(scope="photos.read").access_token
    response = server.introspect(token).json()
    assert response["active"] is True
    assert response["sub"] == response["client_id"] == machine.client_id
    assert machine.introspect(token).json() == response
    disable_client(world.operator.deployment, machine.client_id)
    assert_inactive(server.introspect(token))
    # Enabling brings nothing back that was ended.
    enable_client(world.operator.deployment, machine.client_id)
    wait_until(lambda: machine.try_get_token().status == 200)
    assert_inactive(server.introspect(token))


# ----- Case 90 -----


@pytest.mark.requirement("RFC 7662", "2.1", "the endpoint MUST also require some form of authorization")
def test_90_who_does_not_prove_to_be_a_confidential_client_is_told_nothing(world: World, account: Account) -> None:
    api = world.operator.add_resource()
    public = world.relying_party(token_endpoint_auth_method="none", policy={"introspects": [api]})
    token = world.get_tokens(public, account, scope="photos.read", resource=api).access_token
    impostor = world.api_server(api)
    impostor.client_secret = "A" * 43
    replies = [
        send(f"{world.url}/introspect", method="POST", form={"token": token}),
        send(f"{world.url}/introspect", method="POST", form={"token": token, "client_id": public.client_id}),
        send(
            f"{world.url}/introspect",
            method="POST",
            headers={"Authorization": f"Bearer {token}"},
            form={"token": token},
        ),
        impostor.introspect(token),
        impostor.introspect(token, headers={"Accept": MEDIA_TYPE}),
    ]
    for reply in replies:
        assert_json_error(reply, "invalid_client", 401)
    assert send(f"{world.url}/introspect?token={token}").status == 405
    assert_json_error(world.api_server(api).post("/introspect"), "invalid_request")
    assert_json_error(world.api_server(api).introspect(token, client_id="somebody-else"), "invalid_request")


@pytest.mark.requirement("RFC 7662", "2.2", "a token that the protected resource is not allowed to introspect")
@pytest.mark.parametrize("token_format", FORMATS)
def test_90_a_token_that_does_not_concern_the_caller_looks_like_none_at_all(
    world: World, account: Account, token_format: str
) -> None:
    api, other = world.operator.add_resource(access_token_format=token_format), world.operator.add_resource()
    party = world.relying_party()
    tokens = world.get_tokens(party, account, scope="photos.read", resource=api)
    identity = world.get_tokens(party, account, scope="openid")
    of_machine = world.machine(policy={"resources": [api]}).get_token().access_token
    server = world.api_server(api)
    strangers = (world.api_server(other), Machine.of(world.relying_party()), world.machine())
    for stranger in strangers:
        for token in (tokens.access_token, of_machine, identity.access_token, "th_at_" + "0" * 49, "x"):
            assert_inactive(stranger.introspect(token))
    # Nor does the API learn of tokens for userinfo, or of what is no token at all.
    assert_inactive(server.introspect(identity.access_token))
    assert identity.id_token is not None
    code, _ = world.get_code(party, account)
    key = import_private_jwk(generate_private_jwk("ES256"), is_our_own=True)
    forged = sign_jws({"typ": "at+jwt"}, json.dumps(identity.claims | {"aud": api}).encode(), key, "ES256")
    for junk in (
        identity.id_token,
        code,
        party.client_secret or "",
        forged,
        forged + ".",
        "e30.e30.",
        "\u00e9",
        "." * 999,
    ):
        assert_inactive(server.introspect(junk))
        assert_inactive(Machine.of(party).introspect(junk))


@pytest.mark.parametrize("token_format", FORMATS)
def test_90_what_has_ended_is_inactive_at_once(world: World, token_format: str) -> None:
    api = world.operator.add_resource(access_token_format=token_format)
    deployment, server, party = world.operator.deployment, world.api_server(api), world.relying_party()

    def fresh() -> tuple[str, Account]:
        somebody = world.operator.add_user()
        token = world.get_tokens(party, somebody, scope="photos.read", resource=api).access_token
        assert server.introspect(token).json()["active"] is True
        return token, somebody

    token, somebody = fresh()
    (grant,) = list_grants(deployment, user=somebody.sub)
    revoke_grant(deployment, grant.grant_id)
    assert_inactive(server.introspect(token))
    token, somebody = fresh()
    disable_user(deployment, somebody.username)
    assert_inactive(server.introspect(token))
    (expiring, _), (ended_with_client, _) = fresh(), fresh()
    disable_client(deployment, party.client_id)
    assert_inactive(server.introspect(ended_with_client))
    enable_client(deployment, party.client_id)
    assert_inactive(server.introspect(ended_with_client))
    world.clock.move(seconds=299)
    assert_inactive(server.introspect(expiring))
    world.clock.move(seconds=2)
    assert_inactive(server.introspect(expiring))


@pytest.mark.parametrize("token_format", FORMATS)
def test_90_a_token_is_active_to_its_last_second(world: World, account: Account, token_format: str) -> None:
    api = world.operator.add_resource(access_token_format=token_format, access_token_lifetime_s=60)
    server = world.api_server(api)
    token = world.get_tokens(world.relying_party(), account, scope="photos.read", resource=api).access_token
    assert server.introspect(token).json()["active"] is True
    world.clock.move(seconds=55)
    assert server.introspect(token).json()["active"] is True
    world.clock.move(seconds=6)
    assert_inactive(server.introspect(token))


# ----- Case 91: signed responses -----


@pytest.mark.requirement("RFC 9701", "5", "the response is a JWT of the type token-introspection+jwt")
@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_91_a_signed_response_is_for_its_caller_and_is_no_access_token(
    world: World, account: Account, alg: str
) -> None:
    api = world.operator.add_resource()
    server = world.api_server(api, introspection_signed_response_alg=alg)
    party = world.relying_party()
    token = world.get_tokens(party, account, scope="photos.read", resource=api).access_token
    reply = server.introspect(token, headers={"Accept": MEDIA_TYPE})
    assert (reply.status, reply.headers["content-type"]) == (200, MEDIA_TYPE)
    assert_no_store(reply)
    header = parse_unverified_header(reply.text)
    keys = {key["kid"]: key for key in send(f"{world.url}/jwks").json()["keys"]}
    public = import_public_jwk(keys[header.kid or ""])
    claims = json.loads(verify_jws(reply.text, public, algorithms=(alg,), typ=TYP))
    assert set(claims) == {"iss", "aud", "iat", "token_introspection"}
    assert (claims["iss"], claims["aud"]) == (world.issuer, server.client_id)
    assert claims["token_introspection"] == server.introspect(token).json()
    # Whoever finds it cannot use it as anything else.
    assert party.userinfo(reply.text).status == 401
    assert_inactive(server.introspect(reply.text))
    assert server.revoke(reply.text).status == 200
    assert server.introspect(token).json()["active"] is True
    stranger = world.api_server(world.operator.add_resource())
    untold = stranger.introspect(token, headers={"Accept": MEDIA_TYPE})
    assert read_jwt(untold.text)["token_introspection"] == {"active": False}
