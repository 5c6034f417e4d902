"""The modules of the certification's config and dynamic plans (without the one that demands the implicit flow)."""

import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from app.services.manage_keys import rotate_keys_now
from tests.actors.http import send
from tests.conformance.certifier import Certifier, Party, make_key, public_jwk
from tests.faults.patience import eventually


def test_discovery_endpoint_verification(certified: Certifier) -> None:
    document = send(f"{certified.world.issuer}/.well-known/openid-configuration").json()
    assert document["issuer"] == certified.world.issuer
    assert "code" in document["response_types_supported"]
    assert "RS256" in document["id_token_signing_alg_values_supported"]
    assert "none" not in document["id_token_signing_alg_values_supported"]
    assert {"public", "pairwise"} == set(document["subject_types_supported"])
    assert {"openid", "profile", "email", "address", "phone", "offline_access"} <= set(document["scopes_supported"])
    assert document["claims_supported"]
    assert document["claims_parameter_supported"] is True
    assert document["request_parameter_supported"] is True
    assert document["request_uri_parameter_supported"] is True
    assert {"query", "fragment", "form_post"} <= set(document["response_modes_supported"])
    keys = send(document["jwks_uri"]).json()["keys"]
    assert len({key["kid"] for key in keys}) == len(keys)
    assert not any({"d", "p", "q", "k"} & set(key) for key in keys)


def test_idtoken_unsigned_is_refused_at_registration(certified: Certifier) -> None:
    document = {"redirect_uris": ["https://rp.example/cb"], "id_token_signed_response_alg": "none"}
    reply = certified.try_register(document)
    assert (reply.status, reply.json()["error"]) == (400, "invalid_client_metadata")


def test_userinfo_rs256(certified: Certifier) -> None:
    party = certified.register(userinfo_signed_response_alg="RS256")
    person = certified.person()
    token = party.tokens(certified.world.browser(), person)["access_token"]
    reply = party.userinfo(token)
    assert reply.headers["content-type"] == "application/jwt"
    keys = KeySet.import_key_set(send(f"{certified.world.issuer}/jwks").json())
    claims = jwt.decode(reply.text, keys, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["aud"]) == (certified.world.issuer, party.document["client_id"])
    assert claims["sub"] == person.sub


def test_ensure_redirect_uri_in_authorization_request(certified: Certifier) -> None:
    party = certified.register(redirect_uris=["https://rp.example/one", "https://rp.example/two"])
    reply = certified.world.browser().get(party.url(redirect_uri=None))
    assert (reply.status, 'id="error-page"' in reply.text) == (400, True)


def test_redirect_uri_query_ok(certified: Certifier) -> None:
    party = certified.register(redirect_uris=["https://rp.example/cb?bar=foo"])
    browser, person = certified.world.browser(), certified.person()
    reply = party.visit(browser, browser.get(party.url()), person)
    assert reply.location.startswith("https://rp.example/cb?bar=foo&")


@pytest.mark.parametrize("uri", ["https://rp.example/cb?bar=other", "https://rp.example/cb?bar=foo&foo=bar"])
def test_redirect_uri_query_mismatch_and_added(certified: Certifier, uri: str) -> None:
    party = certified.register(redirect_uris=["https://rp.example/cb?bar=foo"])
    reply = certified.world.browser().get(party.url(redirect_uri=uri))
    assert (reply.status, 'id="error-page"' in reply.text) == (400, True)


def test_redirect_uri_regfrag(certified: Certifier) -> None:
    reply = certified.try_register({"redirect_uris": ["https://rp.example/cb#fragment"]})
    assert (reply.status, reply.json()["error"]) == (400, "invalid_redirect_uri")


@pytest.mark.parametrize("member", ["policy_uri", "tos_uri"])
def test_registration_uri_is_shown(certified: Certifier, member: str) -> None:
    party = certified.register(**{member: "https://rp.example/read-this"})
    assert 'href="https://rp.example/read-this"' in certified.world.browser().get(party.url()).text


def test_registration_logo_uri(certified: Certifier) -> None:
    party = certified.register(logo_uri="https://127.0.0.1/logo.png")
    assert "/client-logo/" in certified.world.browser().get(party.url()).text


def test_registration_jwks_uri(certified: Certifier) -> None:
    key = make_key()
    with certified.hosting(json.dumps({"keys": [public_jwk(key)]})) as hosted:
        party = certified.register(
            key=key, jwks=None, jwks_uri=hosted.url, token_endpoint_auth_method="private_key_jwt"
        )
        party.tokens(certified.world.browser(), certified.person())


def test_refresh_token_rp_key_rotation(certified: Certifier) -> None:
    old, new = make_key("old"), make_key("new")
    with certified.hosting(json.dumps({"keys": [public_jwk(old)]})) as hosted:
        party = certified.register(
            key=old,
            jwks=None,
            jwks_uri=hosted.url,
            token_endpoint_auth_method="private_key_jwt",
            grant_types=["authorization_code", "refresh_token"],
        )
        first = party.tokens(certified.world.browser(), certified.person(), scope="openid offline_access")
        hosted.publish(json.dumps({"keys": [public_jwk(new)]}))
        certified.world.clock.move(seconds=61)
        party.key = new
        reply = party.refresh(first["refresh_token"])
        assert reply.status == 200, reply.text


def test_registration_sector_uri(certified: Certifier) -> None:
    uris = ["https://one.example/cb", "https://two.example/cb"]
    with certified.hosting(json.dumps(uris)) as hosted:
        party = certified.register(redirect_uris=uris, subject_type="pairwise", sector_identifier_uri=hosted.url)
        person = certified.person()
        response = party.tokens(certified.world.browser(), person)
        sub = party.check_id_token(response["id_token"])["sub"]
        assert sub != person.sub
        assert party.userinfo(response["access_token"]).json()["sub"] == sub


def test_registration_sector_bad(certified: Certifier) -> None:
    with certified.hosting(json.dumps(["https://other.example/cb"])) as hosted:
        document = {"redirect_uris": ["https://one.example/cb"], "sector_identifier_uri": hosted.url}
        reply = certified.try_register(document)
    assert (reply.status, reply.json()["error"]) == (400, "invalid_client_metadata")


def published_kids(certified: Certifier) -> set[str]:
    """The keys that sign; those that others encrypt to are replaced, not kept."""
    keys = send(f"{certified.world.issuer}/jwks").json()["keys"]
    return {key["kid"] for key in keys if key["use"] == "sig"}


def test_server_rotate_keys(certified: Certifier) -> None:
    party, person = certified.register(), certified.person()
    party.tokens(certified.world.browser(), person)
    before = published_kids(certified)
    rotate_keys_now(certified.world.operator.deployment)
    eventually(lambda: published_kids(certified) - before, within_s=30, what="a new key is published")
    assert before <= published_kids(certified)
    party.tokens(certified.world.browser(), person)


def sign_request(party: Party, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256"}, claims, party.key)


def test_request_uri_signed_rs256(certified: Certifier) -> None:
    with certified.hosting("", "application/oauth-authz-req+jwt") as hosted:
        party = certified.register(request_object_signing_alg="RS256", request_uris=[f"{hosted.url}#1234"])
        client_id = party.document["client_id"]
        claims = {**party.request(state="inside"), "iss": client_id, "aud": certified.world.issuer}
        hosted.publish(sign_request(party, claims))
        answered = party.authorize(
            certified.world.browser(), certified.person(), request_uri=f"{hosted.url}#1234", state="inside"
        )
    assert "code" in answered


@pytest.mark.parametrize("audience", ["issuer", "token endpoint"])
def test_ensure_client_assertion_with_iss_aud_succeeds(certified: Certifier, audience: str) -> None:
    party = certified.register(token_endpoint_auth_method="private_key_jwt")
    code = party.authorize(certified.world.browser(), certified.person())["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": party.redirect_uri}
    issuer = certified.world.issuer
    reply = party.ask_for_tokens(form, audience=issuer if audience == "issuer" else f"{issuer}/token")
    assert reply.status == 200, reply.text


def test_third_party_initiated_login(certified: Certifier) -> None:
    party = certified.register(initiate_login_uri="https://rp.example/start")
    document = party.document
    reply = send(
        document["registration_client_uri"],
        headers={"Authorization": f"Bearer {document['registration_access_token']}"},
    )
    assert reply.status == 200
    assert reply.json()["initiate_login_uri"] == "https://rp.example/start"
    refused = certified.try_register(
        {"redirect_uris": ["https://rp.example/cb"], "initiate_login_uri": "http://rp.example/start"}
    )
    assert (refused.status, refused.json()["error"]) == (400, "invalid_client_metadata")


def test_a_registration_is_deleted(certified: Certifier) -> None:
    document = certified.register().document
    bearer = {"Authorization": f"Bearer {document['registration_access_token']}"}
    assert send(document["registration_client_uri"], method="DELETE", headers=bearer).status == 204
    assert send(document["registration_client_uri"], headers=bearer).status == 401
