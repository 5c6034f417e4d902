"""Clients of others that authenticate themselves by assertions, used as their documentation says."""

import pytest
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT, private_key_jwt_sign
from joserfc.jwk import ECKey
from requests_oauth2client import ClientSecretJwt, OAuth2Client, PrivateKeyJwt

from tests.actors.asserting import make_asserting
from tests.actors.signing_key import SigningKey
from tests.world import World


@pytest.fixture
def world(reaching_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    # These libraries refuse to talk http otherwise.
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    return reaching_world


@pytest.mark.parametrize("alg", ["ES256", "RS256", "PS256"])
def test_requests_oauth2client_gets_tokens_by_its_key(world: World, alg: str) -> None:
    key = SigningKey(alg)
    machine = make_asserting(world, key=key)
    client = OAuth2Client(
        token_endpoint=f"{world.url}/token",
        revocation_endpoint=f"{world.url}/revoke",
        auth=PrivateKeyJwt(machine.client_id, key.private_jwk, alg=alg, aud=world.issuer),
        testing=True,
    )
    token = client.client_credentials()
    assert machine.introspect(token.access_token).json()["client_id"] == machine.client_id
    assert client.revoke_access_token(token) is True
    assert machine.introspect(token.access_token).json() == {"active": False}


def test_requests_oauth2client_gets_tokens_by_its_secret(world: World) -> None:
    # Without `aud` it names the token endpoint as the audience, as OpenID Connect Core has it.
    machine = make_asserting(
        world, token_endpoint_auth_method="client_secret_jwt", policy={"security_profile": "openid"}
    )
    client = OAuth2Client(
        token_endpoint=f"{world.url}/token",
        auth=ClientSecretJwt(machine.client_id, machine.client_secret),
        testing=True,
    )
    assert client.client_credentials().access_token


def test_authlib_gets_tokens_by_its_key_as_the_readme_says(world: World) -> None:
    key = SigningKey()
    machine = make_asserting(world, key=key)

    class ForAMinute(PrivateKeyJWT):  # type: ignore[misc]
        def sign(self, auth: OAuth2Session, token_endpoint: str) -> str:  # noqa: ARG002 - the issuer is the audience
            assertion: str = private_key_jwt_sign(
                auth.client_secret, auth.client_id, world.issuer, alg="ES256", expires_in=60
            )
            return assertion

    private_key = ECKey.import_key(key.private_jwk)
    session = OAuth2Session(machine.client_id, private_key, token_endpoint_auth_method=ForAMinute())
    token = session.fetch_token(f"{world.url}/token", grant_type="client_credentials")
    assert machine.introspect(token["access_token"]).json()["active"] is True
