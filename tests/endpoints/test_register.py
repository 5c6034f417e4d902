"""Clients that register themselves (RFC 7591, OpenID Connect Registration 1.0)."""

import pytest

from tests.actors.http import send
from tests.actors.registrant import as_client, register
from tests.world import World

# As the OpenID Foundation's suite sends it: no scope, no application_type, a key without a kid.
SUITE_CLIENT = {
    "client_name": "OIDF Conformance Test",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "contacts": ["certification@example.com"],
    "jwks": {
        "keys": [
            {
                "kty": "RSA",
                "use": "sig",
                "alg": "RS256",
                "e": "AQAB",
                "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJE"
                "CPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Q"
                "vzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6"
                "WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            }
        ]
    },
}


@pytest.mark.requirement("RFC 7591", "3.2.1", "201 with everything that was registered")
@pytest.mark.requirement("OpenID Connect Registration 1.0", "3.2", "registration_client_uri comes with its token")
def test_a_registration_is_answered_with_all_that_was_registered(registration_world: World) -> None:
    reply = register(registration_world.url, **SUITE_CLIENT)
    document = reply.json()
    assert (reply.status, reply.headers["content-type"]) == (201, "application/json")
    assert reply.headers["cache-control"] == "no-store"
    assert SUITE_CLIENT.items() <= document.items()
    assert document["client_secret"].startswith("th_cs_")
    assert document["client_secret_expires_at"] == 0
    assert document["client_id_issued_at"] > 1_700_000_000
    assert document["token_endpoint_auth_method"] == "client_secret_basic"
    assert document["registration_client_uri"] == f"{registration_world.issuer}/register/{document['client_id']}"
    assert document["registration_access_token"].startswith("th_rg_")
    assert "policy" not in document


@pytest.mark.requirement("OpenID Connect Registration 1.0", "2", "a registered client works at once, without PKCE")
def test_a_registered_client_of_openid_logs_people_in_without_pkce(registration_world: World) -> None:
    party = registration_world.relying_party(as_client(register(registration_world.url, **SUITE_CLIENT).json()))
    code, pending = registration_world.get_code(
        party,
        registration_world.operator.add_user(name="Ada"),
        scope="openid profile email address phone offline_access",
        prompt="consent",
        code_challenge=None,
        code_challenge_method=None,
    )
    tokens = party.exchange(code, pending, code_verifier=None)
    assert tokens.scope.split() == ["openid", "profile", "email", "address", "phone", "offline_access"]
    assert tokens.refresh_token


def test_a_public_client_gets_no_secret_and_begins_strict(registration_world: World) -> None:
    reply = register(registration_world.url, token_endpoint_auth_method="none")
    assert reply.status == 201
    assert "client_secret" not in reply.json()
    assert "client_secret_expires_at" not in reply.json()
    shown = registration_world.operator.show_client(reply.json()["client_id"])
    assert (shown.origin, shown.security_profile) == ("registration", "oauth21")


def test_registration_is_absent_unless_it_is_switched_on(world: World) -> None:
    reply = register(world.url)
    assert reply.status == 404
    assert "registration_endpoint" not in send(f"{world.url}/.well-known/openid-configuration").json()


def test_metadata_names_the_endpoint_where_it_is_on(registration_world: World) -> None:
    metadata = send(f"{registration_world.url}/.well-known/oauth-authorization-server").json()
    assert metadata["registration_endpoint"] == f"{registration_world.issuer}/register"


def test_scripts_of_any_origin_may_register_but_never_with_cookies(registration_world: World) -> None:
    headers = {"Origin": "https://inspector.example", "Access-Control-Request-Method": "POST"}
    preflight = send(f"{registration_world.url}/register", method="OPTIONS", headers=headers)
    assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (204, "*")
    assert "Content-Type" in preflight.headers["access-control-allow-headers"]
    reply = register(registration_world.url)
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in reply.headers
