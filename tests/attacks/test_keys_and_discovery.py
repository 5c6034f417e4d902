"""Attacks on keys, JWKS and discovery (cases 132 to 135), as far as they concern what is built."""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from app.services.list_audit import list_audit
from app.services.manage_keys import list_keys, revoke_signing_key, rotate_keys, rotate_keys_now
from app.services.refusal import Refusal
from app.specs.protocol_error import InvalidClientMetadata, InvalidToken
from app.specs.rfc7517_jwk import thumbprint
from app.verifier import AccessTokenVerifier
from tests.actors.http import send
from tests.actors.relying_party import RelyingParty, Tokens
from tests.attacks.good_conduct import assert_json_error
from tests.conftest import run_world
from tests.deployments import Account
from tests.patience import wait_until
from tests.server import ServerProcess, free_port
from tests.world import World

ALGORITHMS = ("ES256", "RS256")
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
DOCUMENTS = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user()


def read_jwks(world: World) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = send(f"{world.url}/jwks").json()["keys"]
    return keys


def published_kids(world: World) -> set[str]:
    return {key["kid"] for key in read_jwks(world)}


def find_key(world: World, alg: str, state: str) -> str:
    (kid,) = (key.kid for key in list_keys(world.operator.deployment) if (key.alg, key.state) == (alg, state))
    return kid


def kid_of(token: str | None) -> str:
    assert token is not None
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


def verify_offline(world: World, token: str, resource: str) -> None:
    """As an API does that fetches the keys now. Raises `InvalidToken`."""
    keys = {"keys": read_jwks(world)}
    AccessTokenVerifier(issuer=world.issuer, audience=resource, keys=keys).verify(token)


# ----- Case 132: the key set -----


@pytest.mark.requirement("RFC 7517", "5", "JWK Set Format")
def test_132_the_key_set_holds_public_keys_only_each_named_by_its_thumbprint(world: World) -> None:
    keys = read_jwks(world)
    assert {key["alg"] for key in keys if key["use"] == "sig"} == set(ALGORITHMS)
    # One key of each to encrypt to: a retired one decrypts, and nobody new shall find it.
    assert sorted(key["alg"] for key in keys if key["use"] == "enc") == ["ECDH-ES", "RSA-OAEP-256"]
    for key in keys:
        assert not PRIVATE_MEMBERS & set(key)
        assert key["use"] in {"sig", "enc"}
        assert key["kty"] in {"EC", "RSA"}
        assert key["kid"] == thumbprint(key)
    assert len(published_kids(world)) == len(keys)


def test_132_the_keys_are_those_that_the_operator_sees(world: World) -> None:
    keys = list_keys(world.operator.deployment)
    assert published_kids(world) == {key.kid for key in keys}
    for alg in ALGORITHMS:
        states = [key.state for key in keys if key.alg == alg]
        assert states.count("active") == states.count("standby") == 1


@pytest.mark.parametrize("path", ["/jwks", *DOCUMENTS])
@pytest.mark.parametrize("condition", ["{}", "W/{}", '"other", {}', "*"])
def test_132_public_documents_are_cached_and_confirmed_without_being_sent_again(
    world: World, path: str, condition: str
) -> None:
    first = send(world.url + path)
    assert first.status == 200
    assert first.headers["content-type"] == "application/json"
    assert first.headers["cache-control"] == "public, max-age=300"
    etag = first.headers["etag"]
    again = send(world.url + path, headers={"If-None-Match": condition.format(etag)})
    assert again.status == 304
    assert again.body == b""
    assert again.headers["etag"] == etag
    assert again.headers["cache-control"] == first.headers["cache-control"]
    assert send(world.url + path, headers={"If-None-Match": '"other"'}).body == first.body


@pytest.mark.parametrize("path", ["/jwks", *DOCUMENTS])
def test_132_public_documents_have_a_head_and_no_other_method(world: World, path: str) -> None:
    head, whole = send(world.url + path, method="HEAD"), send(world.url + path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["etag"] == whole.headers["etag"]
    assert head.headers["content-length"] == str(len(whole.body))
    for method in ("POST", "PUT", "DELETE"):
        refused = send(world.url + path, method=method)
        assert_json_error(refused, "invalid_request", 405)
        assert refused.headers["allow"] == "GET, HEAD"


# ----- Rotation and case 133: revocation -----


def _is_seen(world: World, kids: set[str]) -> bool:
    return published_kids(world) == kids


def test_a_planned_rotation_publishes_the_next_key_long_before_it_signs(world: World, account: Account) -> None:
    party, resource = world.relying_party(), world.operator.add_resource()
    request: dict[str, Any] = {"scope": "openid photos.read", "resource": resource}
    etag = send(f"{world.url}/jwks").headers["etag"]
    before = world.get_tokens(party, account, **request)
    deployment = world.operator.deployment
    rotate_keys(deployment)
    pending = {alg: find_key(world, alg, "pending") for alg in ALGORITHMS}
    wait_until(lambda: set(pending.values()) <= published_kids(world))
    assert send(f"{world.url}/jwks").headers["etag"] != etag
    during = world.get_tokens(party, account, **request)
    assert kid_of(during.access_token) == kid_of(before.access_token)
    world.clock.move(seconds=601)
    deployment.rotate_keys_if_due()
    assert {alg: find_key(world, alg, "active") for alg in ALGORITHMS} == pending

    def signs_with_the_new_keys() -> bool:
        tokens = world.get_tokens(party, account, **request)
        return (kid_of(tokens.access_token), kid_of(tokens.id_token)) == (pending["ES256"], pending["RS256"])

    wait_until(signs_with_the_new_keys)
    assert kid_of(before.access_token) in published_kids(world), "what it signed is verified for as long as it lives"


def test_an_old_key_leaves_the_set_an_hour_after_it_signed_last(world: World) -> None:
    old = {find_key(world, alg, "active") for alg in ALGORITHMS}
    deployment = world.operator.deployment
    rotate_keys_now(deployment)
    world.clock.move(seconds=3590)
    deployment.rotate_keys_if_due()
    wait_until(lambda: old <= published_kids(world))
    world.clock.move(seconds=3600)
    deployment.rotate_keys_if_due()
    wait_until(lambda: not old & published_kids(world))


def test_133_a_revoked_key_is_out_at_once_and_the_standby_signs(world: World, account: Account) -> None:
    party, resource = world.relying_party(), world.operator.add_resource()
    for_userinfo = world.get_tokens(party, account)
    for_api = world.get_tokens(party, account, scope="photos.read", resource=resource)
    verify_offline(world, for_api.access_token, resource)
    revoked, standby = find_key(world, "ES256", "active"), find_key(world, "ES256", "standby")
    assert kid_of(for_api.access_token) == kid_of(for_userinfo.access_token) == revoked
    assert standby in published_kids(world), "verifiers know the standby already"
    revoke_signing_key(world.operator.deployment, revoked)
    wait_until(lambda: party.userinfo(for_userinfo.access_token).status == 401)
    assert revoked not in published_kids(world)
    with pytest.raises(InvalidToken):
        verify_offline(world, for_api.access_token, resource)
    after = world.get_tokens(party, account, scope="photos.read", resource=resource)
    assert kid_of(after.access_token) == standby
    verify_offline(world, after.access_token, resource)
    assert find_key(world, "ES256", "standby") not in {standby, revoked}
    events = list_audit(world.operator.deployment, event_type="key.revoked")
    assert events[0].body == {"kid": revoked}


@pytest.mark.parametrize("state", ["active", "standby"])
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_133_after_a_revocation_every_algorithm_has_a_key_and_a_standby(
    world: World, account: Account, alg: str, state: str
) -> None:
    revoked = find_key(world, alg, state)
    revoke_signing_key(world.operator.deployment, revoked)
    keys = {key.kid for key in list_keys(world.operator.deployment)}
    assert revoked not in keys
    wait_until(lambda: _is_seen(world, keys))
    tokens = world.get_tokens(world.relying_party(id_token_signed_response_alg=alg), account)
    assert kid_of(tokens.id_token) == find_key(world, alg, "active")
    assert find_key(world, alg, "standby") in keys


def test_two_nodes_on_one_database_agree_about_the_keys(world: World, account: Account) -> None:
    node = ServerProcess(environment=world.environment, port=free_port(), clock_path=world.clock.path)
    try:
        node.start()
        rotate_keys_now(world.operator.deployment)
        kids = {key.kid for key in list_keys(world.operator.deployment)}
        for url in (world.url, node.url):
            wait_until(lambda url=url: {jwk["kid"] for jwk in send(f"{url}/jwks").json()["keys"]} == kids)  # type: ignore[misc]
        party = world.relying_party()
        here = world.get_tokens(party, account)
        party.server_url = node.url
        there = world.get_tokens(party, account)
        assert kid_of(here.access_token) == kid_of(there.access_token) == find_key(world, "ES256", "active")
        assert party.userinfo(here.access_token).status == 200
        party.server_url = world.url
        assert party.userinfo(there.access_token).status == 200
    finally:
        node.stop()


@pytest.mark.parametrize("kid", ["unknown", "", "../keys", "' OR 1=1 --"])
def test_133_a_key_that_is_not_there_cannot_be_revoked(world: World, kid: str) -> None:
    with pytest.raises(Refusal):
        revoke_signing_key(world.operator.deployment, kid)


# ----- Case 134: discovery -----


@pytest.mark.requirement("RFC 8414", "3.3", "The issuer value returned MUST be identical")
@pytest.mark.parametrize("path", DOCUMENTS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"},
        {"Forwarded": "host=evil.example"},
    ],
    ids=["plain", "Host", "X-Forwarded-Host", "Forwarded"],
)
def test_134_the_issuer_is_the_configured_one_whatever_host_is_asked(
    world: World, path: str, headers: dict[str, str]
) -> None:
    document = send(world.url + path, headers=headers).json()
    assert document["issuer"] == world.issuer
    for name, value in document.items():
        if name.endswith(("_endpoint", "_uri")):
            assert value.startswith(world.issuer + "/"), name


def test_134_both_documents_are_one(world: World) -> None:
    first, second = (send(world.url + path) for path in DOCUMENTS)
    assert first.body == second.body


def test_134_only_what_is_really_enabled_is_listed(world: World) -> None:
    document = send(world.url + DOCUMENTS[0]).json()
    assert document["response_types_supported"] == ["code"]
    assert document["response_modes_supported"] == ["query", "fragment", "form_post"]
    assert set(document["grant_types_supported"]) == {
        "authorization_code",
        "client_credentials",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    }
    assert document["code_challenge_methods_supported"] == ["S256"]
    methods = document["token_endpoint_auth_methods_supported"]
    assert sorted(methods) == ["client_secret_basic", "client_secret_post", "none", "private_key_jwt"]
    assert sorted(document["id_token_signing_alg_values_supported"]) == ["ES256", "RS256"]
    assert document["subject_types_supported"] == ["public", "pairwise"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["request_object_signing_alg_values_supported"] == ["RS256", "PS256", "ES256"]
    assert document["require_request_uri_registration"] is True
    assert "openid" in document["scopes_supported"]
    for absent in ("registration", "device_authorization", "pushed_authorization_request"):
        assert f"{absent}_endpoint" not in document
    assert '"HS256"' not in json.dumps(document)


def test_134_every_listed_url_answers(world: World) -> None:
    document = send(world.url + DOCUMENTS[0]).json()
    urls = [value for name, value in document.items() if name.endswith(("_endpoint", "_uri"))]
    assert len(urls) >= 4
    for url in urls:
        # Whoever is not logged in has nothing to end, and is sent on.
        assert send(world.url + url.removeprefix(world.issuer)).status in {200, 303, 400, 401, 405}


def test_134_a_new_apis_scopes_are_listed_within_a_second(world: World) -> None:
    scopes = [{"name": "calendar.read", "description": "See your calendar"}]
    world.operator.add_resource(scopes=scopes)
    wait_until(lambda: "calendar.read" in send(world.url + DOCUMENTS[0]).json()["scopes_supported"])


@pytest.fixture
def https_world(sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    """An issuer with TLS, a name and a path, as behind a proxy."""
    yield from run_world(tmp_path, sqlite_url, origin="https://id.example.com", issuer_path="/tenant/one")


def test_134_an_issuer_with_a_path_is_found_where_the_specifications_say(https_world: World) -> None:
    world, path = https_world, "/tenant/one"
    found = [
        send(world.url + where)
        for where in (
            f"{path}/.well-known/openid-configuration",
            f"/.well-known/oauth-authorization-server{path}",
            f"{path}/.well-known/oauth-authorization-server",
        )
    ]
    assert {reply.status for reply in found} == {200}
    assert len({reply.body for reply in found}) == 1
    document = found[0].json()
    assert document["issuer"] == "https://id.example.com/tenant/one"
    for name, value in document.items():
        if name.endswith(("_endpoint", "_uri")):
            assert value.startswith("https://id.example.com/tenant/one/"), name
    for elsewhere in (
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/tenant",
        "/.well-known/oauth-authorization-server/tenant/two",
        "/tenant/one.well-known/openid-configuration",
        "/jwks",
        "/token",
        "/authorize",
        "/tenant/jwks",
        "/tenant/onejwks",
        f"{path}{path}/.well-known/openid-configuration",
    ):
        assert send(world.url + elsewhere).status == 404, elsewhere


# ----- Case 135: one kind of token is not another -----


@pytest.fixture
def tokens(world: World, account: Account) -> Tokens:
    resource = world.operator.add_resource()
    return world.get_tokens(world.relying_party(), account, scope="openid photos.read", resource=resource)


def test_135_access_tokens_and_id_tokens_have_nothing_in_common_but_who(tokens: Tokens) -> None:
    assert tokens.id_token is not None
    access, identity = (jwt.get_unverified_header(token) for token in (tokens.access_token, tokens.id_token))
    assert (access["typ"], identity["typ"]) == ("at+jwt", "JWT")
    assert tokens.claims["aud"] != tokens.id_claims["aud"]
    assert tokens.id_claims["aud"] == tokens.claims["client_id"]
    assert {"scope", "client_id", "jti"}.isdisjoint(tokens.id_claims)
    assert {"nonce", "at_hash", "sid"}.isdisjoint(tokens.claims)
    assert tokens.claims["sub"] == tokens.id_claims["sub"]


def test_135_an_api_refuses_an_id_token(world: World, tokens: Tokens) -> None:
    assert tokens.id_token is not None
    for audience in (tokens.claims["aud"], tokens.id_claims["aud"]):
        with pytest.raises(InvalidToken):
            verify_offline(world, tokens.id_token, audience)


@pytest.mark.parametrize("alg", ["HS256", "none", "RS512", "PS256"])
def test_135_no_client_gets_id_tokens_that_are_symmetric_or_unsigned(world: World, alg: str) -> None:
    with pytest.raises(InvalidClientMetadata):
        world.operator.add_client(id_token_signed_response_alg=alg)


@pytest.mark.requirement("OpenID Connect Core 1.0", "3.1.3.7", "ID Token Validation")
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_135_an_id_token_is_signed_as_the_client_registered(world: World, account: Account, alg: str) -> None:
    party = world.relying_party(id_token_signed_response_alg=alg)
    code, pending = world.get_code(party, account, scope="openid email")
    tokens = party.exchange(code, pending)
    claims = verify_id_token(world, party, tokens, alg)
    assert claims["nonce"] == pending.nonce
    assert claims["sub"] == account.sub
    assert claims["exp"] - claims["iat"] == 600
    assert claims["amr"] == ["pwd"]
    digest = hashlib.sha256(tokens.access_token.encode()).digest()
    assert claims["at_hash"] == base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()
    assert "email" not in claims, "the access token fetches it from userinfo"


def verify_id_token(world: World, party: RelyingParty, tokens: Tokens, alg: str) -> dict[str, Any]:
    """As a client does, with a library of others."""
    keys = jwt.PyJWKSet.from_dict({"keys": read_jwks(world)})
    claims: dict[str, Any] = jwt.decode(
        tokens.id_token or "",
        keys[kid_of(tokens.id_token)],
        algorithms=[alg],
        audience=party.client_id,
        issuer=world.issuer,
        options={"require": ["iss", "sub", "aud", "exp", "iat"]},
    )
    return claims
