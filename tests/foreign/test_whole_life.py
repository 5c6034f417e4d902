"""Clients of others, unmodified, over the whole life of a login: in, refreshed, described, and out for good."""

from dataclasses import replace
from typing import Any

import pytest

from app.specs.rfc7517_jwk import generate_private_jwk, public_members
from tests.actors.signing_key import SigningKey, jwk_set
from tests.deployments import Account
from tests.foreign.authlib_life import run_authlib_life
from tests.foreign.conftest import House, require_node, require_python
from tests.foreign.node_clients import run_node_flow
from tests.foreign.python_scripts import run_python_flow

GOODBYE = "https://prints.example/goodbye"
RENEWABLE = ["authorization_code", "refresh_token"]


def check_life(result: dict[str, Any], account: Account, house: House, *, goodbye: str = GOODBYE) -> None:
    """What every client has seen in the end."""
    assert result["id_token_claims"]["iss"] == house.issuer
    assert result["id_token_claims"]["sub"] == account.sub
    assert result["userinfo"]["sub"] == account.sub
    assert result["userinfo"]["name"] == "Ada Lovelace"
    assert result["refresh_token_rotated"] is True
    assert result["goodbye"].startswith(f"{goodbye}?state=")
    assert result["goodbye_state_is_ours"] is True
    assert result["silent_login_afterwards"] == "login_required"
    assert result["refresh_afterwards"] == "invalid_grant"


def test_openid_client_lives_the_whole_life_of_a_login(house: House) -> None:
    require_node()
    account = house.add_account()
    config = house.config(scope="openid profile", grant_types=RENEWABLE, post_logout_redirect_uris=[GOODBYE])

    result = run_node_flow("openid_client_life.js", config, house.person(account))

    check_life(result, account, house)


@pytest.mark.requirement("RFC 9101", "4", "a client of others asks by signed request objects")
@pytest.mark.requirement("RFC 7523", "2.2", "a client of others authenticates itself by its key")
@pytest.mark.requirement("OAuth 2.0 Form Post Response Mode", "2", "a client of others reads a posted response")
def test_openid_client_signs_its_requests_and_assertions_and_is_answered_by_a_form(house: House) -> None:
    require_node()
    account, key = house.add_account(), SigningKey("ES256")
    config = house.config(
        scope="openid profile",
        grant_types=RENEWABLE,
        post_logout_redirect_uris=[GOODBYE],
        token_endpoint_auth_method="private_key_jwt",
        request_object_signing_alg="ES256",
        jwks=jwk_set(key),
    )

    result = run_node_flow(
        "openid_client_life.js",
        replace(config, signing_jwk=key.private_jwk, response_mode="form_post"),
        house.person(account),
    )

    check_life(result, account, house)


@pytest.mark.requirement("OpenID Connect Core 1.0", "2", "a client of others reads encrypted ID tokens")
def test_openid_client_reads_what_is_signed_and_then_encrypted_to_its_key(house: House) -> None:
    require_node()
    account, key = house.add_account(), generate_private_jwk("ECDH-ES+A256KW")
    encrypted = {
        f"{what}_encrypted_response_{member}": value
        for what in ("id_token", "userinfo")
        for member, value in (("alg", "ECDH-ES+A256KW"), ("enc", "A256GCM"))
    }
    config = house.config(
        scope="openid profile",
        grant_types=RENEWABLE,
        post_logout_redirect_uris=[GOODBYE],
        jwks={"keys": [public_members(key)]},
        id_token_signed_response_alg="ES256",
        userinfo_signed_response_alg="ES256",
        **encrypted,
    )

    result = run_node_flow("openid_client_life.js", replace(config, decryption_jwk=key), house.person(account))

    check_life(result, account, house)
    assert result["id_token_parts"] == 5


@pytest.mark.requirement("OpenID Connect RP-Initiated Logout 1.0", "3", "a client of others is told that it is done")
def test_authlib_lives_the_whole_life_of_a_login(house: House) -> None:
    account = house.add_account()
    config = house.config(scope="openid profile", grant_types=RENEWABLE, post_logout_redirect_uris=[GOODBYE])

    check_life(run_authlib_life(config, house.person(account)), account, house)


@pytest.mark.requirement("RFC 7591", "3.1", "a client of others registers itself openly and lives on with that")
def test_idpyoidc_registers_itself_and_lives_a_login(house: House) -> None:
    require_python()
    account = house.add_account()

    result = run_python_flow("idpyoidc_life.py", house.unregistered(scope="openid profile"), house.person(account))

    assert result["id_token_claims"]["sub"] == account.sub
    assert result["id_token_claims"]["aud"] == [result["client"]["client_id"]]
    assert result["userinfo"]["name"] == "Ada Lovelace"
    assert result["goodbye"]["state"]
    assert result["silent_login_afterwards"] == "login_required"
