"""Access tokens verify with the libraries that others wrote for APIs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest
import requests

from tests.foreign.conftest import House, require_node
from tests.foreign.node_clients import ForeignConfig, ForeignRefusal, protected_express_api, verify_with_jose
from tests.foreign.python_clients import run_authlib_flow, verify_with_pyjwt

_TIMEOUT_S = 20


def jose_claims(access_token: str, config: ForeignConfig) -> dict[str, Any]:
    require_node()
    claims: dict[str, Any] = verify_with_jose(access_token, config)["claims"]
    return claims


VERIFIERS = pytest.mark.parametrize(
    "verify", [pytest.param(jose_claims, id="jose"), pytest.param(verify_with_pyjwt, id="PyJWT")]
)


@pytest.fixture
def config(house: House) -> ForeignConfig:
    """A client that may read somebody's photos at an API of its own."""
    return house.config(scope="photos.read", resource=house.operator.add_resource())


@pytest.fixture
def access_token(house: House, config: ForeignConfig) -> str:
    """A token for that API, by the whole flow."""
    token: str = run_authlib_flow(config, house.person(house.add_account()))["access_token"]
    return token


@VERIFIERS
def test_an_access_token_verifies_with_a_library_of_others(
    config: ForeignConfig, access_token: str, verify: Callable[[str, ForeignConfig], dict[str, Any]]
) -> None:
    claims = verify(access_token, config)

    assert claims["aud"] == config.resource
    assert claims["client_id"] == config.client_id
    assert claims["scope"] == "photos.read"


@VERIFIERS
def test_a_library_of_others_refuses_a_token_for_another_api(
    config: ForeignConfig, access_token: str, verify: Callable[[str, ForeignConfig], dict[str, Any]]
) -> None:
    elsewhere = replace(config, resource="https://another-api.example")

    with pytest.raises((ForeignRefusal, jwt.InvalidAudienceError), match=r"(?i)aud"):
        verify(access_token, elsewhere)


@VERIFIERS
def test_a_library_of_others_refuses_a_changed_token(
    config: ForeignConfig, access_token: str, verify: Callable[[str, ForeignConfig], dict[str, Any]]
) -> None:
    with pytest.raises((ForeignRefusal, jwt.InvalidSignatureError), match=r"(?i)signature"):
        verify(_with_another_signature(access_token), config)


def test_an_express_api_of_others_admits_our_tokens_and_refuses_the_rest(
    config: ForeignConfig, access_token: str
) -> None:
    require_node()
    with protected_express_api(config, scope_of_photos="photos.read") as api:
        admitted = _get(f"{api}/photos", access_token)
        assert (admitted.status_code, admitted.json()["client_id"]) == (200, config.client_id)

        lacking_scope = _get(f"{api}/albums", access_token)
        assert lacking_scope.status_code == 403
        assert 'error="insufficient_scope"' in lacking_scope.headers["WWW-Authenticate"]

        changed = _get(f"{api}/photos", _with_another_signature(access_token))
        assert changed.status_code == 401
        assert 'error="invalid_token"' in changed.headers["WWW-Authenticate"]

        assert requests.get(f"{api}/photos", timeout=_TIMEOUT_S).status_code == 401


@pytest.mark.requirement("RFC 9068", "4", "a resource server refuses what is not typed as an access token")
def test_an_express_api_of_others_does_not_take_an_id_token_for_an_access_token(house: House) -> None:
    config = house.config(scope="openid", id_token_signed_response_alg="ES256")
    id_token = run_authlib_flow(config, house.person(house.add_account()))["id_token"]
    # An API that goes by the client's own name: nothing but the type tells the two apart.
    api_config = replace(config, resource=config.client_id)

    require_node()
    with protected_express_api(api_config, scope_of_photos="photos.read") as api:
        refused = _get(f"{api}/photos", id_token)

    assert refused.status_code == 401
    assert "typ" in refused.headers["WWW-Authenticate"]


def _get(url: str, token: str) -> requests.Response:
    return requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT_S)


def _with_another_signature(token: str) -> str:
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
