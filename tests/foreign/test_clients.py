"""OpenID and OAuth clients that others wrote complete the flow, unmodified, over TLS."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.services.initial_access_tokens import add_initial_access_token
from app.specs.rfc8693_token_exchange import ACCESS_TOKEN, GRANT_TYPE
from tests.actors.relying_party import read_jwt
from tests.foreign.conftest import REDIRECT_URI, House, require_node
from tests.foreign.node_clients import Drive, ForeignConfig, run_node_flow
from tests.foreign.python_clients import (
    run_authlib_flow,
    run_requests_oauth2client_flow,
    run_requests_oauthlib_flow,
)

Flow = Callable[[ForeignConfig, Drive], dict[str, Any]]


def openid_client(config: ForeignConfig, drive: Drive) -> dict[str, Any]:
    require_node()
    return run_node_flow("openid_client.js", config, drive)


def oauth4webapi(config: ForeignConfig, drive: Drive) -> dict[str, Any]:
    require_node()
    return run_node_flow("oauth4webapi.js", config, drive)


FLOWS = pytest.mark.parametrize(
    "flow",
    [
        pytest.param(openid_client, id="openid-client"),
        pytest.param(oauth4webapi, id="oauth4webapi"),
        pytest.param(run_authlib_flow, id="Authlib"),
        pytest.param(run_requests_oauthlib_flow, id="requests-oauthlib"),
    ],
)
NODE_FLOWS = pytest.mark.parametrize(
    "flow", [pytest.param(openid_client, id="openid-client"), pytest.param(oauth4webapi, id="oauth4webapi")]
)


@FLOWS
def test_a_client_of_others_logs_a_person_in_and_reads_their_claims(house: House, flow: Flow) -> None:
    account = house.add_account()
    config = house.config(scope="openid profile email")

    result = flow(config, house.person(account))

    assert result["id_token_claims"]["sub"] == account.sub
    assert result["id_token_claims"]["iss"] == house.issuer
    assert result["userinfo"]["sub"] == account.sub
    assert result["userinfo"]["name"] == "Ada Lovelace"
    assert result["userinfo"]["email"] == f"{account.username}@example.com"


@FLOWS
def test_a_client_of_others_gets_a_token_for_an_api_without_openid(house: House, flow: Flow) -> None:
    resource = house.operator.add_resource()
    config = house.config(scope="photos.read", resource=resource)

    result = flow(config, house.person(house.add_account()))

    assert result["token_type"].lower() == "bearer"
    assert result["expires_in"] == 300
    assert result["scope"] == "photos.read"
    assert result["id_token_claims"] is None


@FLOWS
def test_a_client_of_others_gets_an_id_token_and_a_token_for_an_api_at_once(house: House, flow: Flow) -> None:
    resource = house.operator.add_resource()
    account = house.add_account()
    config = house.config(scope="openid photos.read", resource=resource)

    result = flow(config, house.person(account))

    assert result["id_token_claims"]["sub"] == account.sub
    assert result["access_token"].count(".") == 2


@NODE_FLOWS
@pytest.mark.parametrize("method", ["client_secret_post", "none"])
def test_a_client_of_others_authenticates_in_another_way(house: House, flow: Flow, method: str) -> None:
    account = house.add_account()
    config = house.config(scope="openid", token_endpoint_auth_method=method)

    result = flow(config, house.person(account))

    assert result["id_token_claims"]["sub"] == account.sub


@NODE_FLOWS
def test_a_client_of_others_gets_the_id_token_algorithm_that_it_registered(house: House, flow: Flow) -> None:
    account = house.add_account()
    config = house.config(scope="openid", id_token_signed_response_alg="ES256")

    # Both libraries refuse an ID token whose `alg` is not the expected one.
    result = flow(config, house.person(account))

    assert result["id_token_claims"]["sub"] == account.sub


@NODE_FLOWS
@pytest.mark.requirement(
    "RFC 8414", "3", "the metadata is found at the well-known path of OAuth 2.0 authorization servers"
)
def test_a_client_of_others_finds_the_server_by_its_oauth_metadata(house: House, flow: Flow) -> None:
    account = house.add_account()
    config = house.config(scope="openid", discovery="oauth2")

    result = flow(config, house.person(account))

    assert result["id_token_claims"]["sub"] == account.sub


@pytest.mark.parametrize(
    "flow",
    [
        pytest.param(openid_client, id="openid-client"),
        pytest.param(run_requests_oauth2client_flow, id="requests_oauth2client"),
    ],
)
@pytest.mark.parametrize("method", ["client_secret_basic", "none"])
@pytest.mark.requirement("RFC 9449", "8", "a client that is told use_dpop_nonce comes back with the nonce")
def test_a_client_of_others_gets_and_uses_a_token_that_is_bound_to_its_key(
    house: House, flow: Flow, method: str
) -> None:
    account = house.add_account()
    config = house.config(
        scope="openid email",
        dpop_bound_access_tokens=True,
        token_endpoint_auth_method=method,
        grant_types=["authorization_code", "refresh_token"],
    )

    result = flow(config, house.person(account))

    assert result["token_type"].lower() == "dpop"
    assert set(read_jwt(result["access_token"])["cnf"]) == {"jkt"}
    assert result["id_token_claims"]["sub"] == account.sub
    assert result["userinfo"]["email"] == f"{account.username}@example.com"


@pytest.mark.parametrize(
    "flow",
    [
        pytest.param(openid_client, id="openid-client"),
        pytest.param(run_requests_oauth2client_flow, id="requests_oauth2client"),
    ],
)
@pytest.mark.requirement("RFC 8693", "2.1", "a client exchanges the token that it holds by the grant's full name")
@pytest.mark.requirement("RFC 7009", "2.1", "a client revokes its own token, and what hangs on it ends with it")
def test_a_client_of_others_exchanges_introspects_and_revokes_tokens_that_are_bound_to_its_key(
    house: House, flow: Flow
) -> None:
    photos, prints = house.operator.add_resource(), house.operator.add_resource()
    config = house.config(
        scope="photos.read",
        resource=photos,
        dpop_bound_access_tokens=True,
        grant_types=["authorization_code", "refresh_token", GRANT_TYPE],
        policy={"token_exchange_audiences": [{"resource": prints, "scopes": ["photos.read"]}]},
    )

    result = flow(replace(config, exchange_for=prints), house.person(house.add_account()))

    exchanged, introspected = result["exchanged"], result["introspected"]
    assert (exchanged["token_type"].lower(), exchanged["issued_token_type"]) == ("dpop", ACCESS_TOKEN)
    claims = read_jwt(exchanged["access_token"])
    assert (claims["aud"], claims["act"]) == (prints, {"sub": config.client_id})
    assert (introspected["active"], introspected["cnf"]) == (True, claims["cnf"])
    assert result["introspected_afterwards"] == [{"active": False}, {"active": False}]


@pytest.mark.requirement("RFC 9207", "2.4", "a client that supports iss checks it where the metadata promises it")
def test_oauth4webapi_is_promised_an_issuer_in_the_response_and_finds_it(house: House) -> None:
    result = oauth4webapi(house.config(scope="openid"), house.person(house.add_account()))

    assert result["iss_parameter_promised"] is True


@pytest.mark.requirement("RFC 7591", "3.1", "a client of others registers itself and logs a person in")
def test_openid_client_registers_itself_and_logs_a_person_in(house: House) -> None:
    account = house.add_account()
    token = add_initial_access_token(
        house.operator.deployment, label="openid-client", max_uses=1, expires_in_s=600, policy={}
    )
    metadata = {
        "redirect_uris": [REDIRECT_URI],
        "client_name": "Photo printing",
        "token_endpoint_auth_method": "client_secret_post",
        "grant_types": ["authorization_code", "refresh_token"],
    }
    config = replace(
        house.config(scope="openid profile"),
        registration={"metadata": metadata, "initial_access_token": token.token},
    )

    result = openid_client(config, house.person(account))

    assert result["id_token_claims"]["sub"] == account.sub
    assert result["id_token_claims"]["aud"] == result["client"]["client_id"] != config.client_id
    assert metadata.items() <= result["client"].items()
