"""attacks.md, "Registration": what a client says about itself (cases 13, 26, 95, 96, 100)."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.services.initial_access_tokens import add_initial_access_token
from app.services.manage_clients import list_clients
from app.specs.rfc4648_base64url import encode_base64url
from app.specs.rfc7517_jwk import generate_private_jwk, public_members
from app.specs.rfc7591_metadata import ClientMetadata
from tests.actors.http import Reply, send
from tests.actors.registrant import as_client, register, send_document
from tests.attacks.thieves_loot import dump_database, dump_text, loot_of
from tests.world import World


def assert_refused(reply: Reply, error: str = "invalid_client_metadata") -> None:
    assert (reply.status, reply.json()["error"]) == (400, error), reply.text
    assert reply.headers["cache-control"] == "no-store"


def count_clients(world: World) -> int:
    return len(list_clients(world.operator.deployment))


def rsa_jwk(bits: int) -> dict[str, str]:
    numbers = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key().public_numbers()
    return {"kty": "RSA", "e": "AQAB", "n": encode_base64url(numbers.n.to_bytes(bits // 8, "big"))}


PRIVATE_KEY = generate_private_jwk("ES256")
PUBLIC_KEY = public_members(PRIVATE_KEY)
NESTED = b'{"jwks": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"


# ----- 13: what is no document -----


@pytest.mark.parametrize(
    "body",
    [
        NESTED,
        b"[" * 60_000,
        b'{"default_max_age": ' + b"9" * 4301 + b"}",
        b'{"default_max_age": 1e999}',
        b'{"client_name": "a", "client_name": "b"}',
        b'["redirect_uris"]',
        b'"redirect_uris"',
        b"null",
        b"",
        b"{",
        b'{"client_name": "\\ud800"}',
        b'{"client_name": "\xff"}',
        b'{"client_name": "a\\u0000b"}',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_13_what_is_no_document_is_refused(registration_world: World, body: bytes) -> None:
    before = count_clients(registration_world)
    assert_refused(send_document(f"{registration_world.url}/register", body))
    assert count_clients(registration_world) == before


@pytest.mark.parametrize(
    "content_type", [None, "application/x-www-form-urlencoded", "text/plain", "multipart/form-data"]
)
def test_13_only_json_is_read(registration_world: World, content_type: str | None) -> None:
    """What a page of another origin can send without a preflight must not register anything."""
    body = json.dumps({"redirect_uris": ["https://app.example/cb"]}).encode()
    headers = {} if content_type is None else {"Content-Type": content_type}
    assert_refused(
        send(f"{registration_world.url}/register", method="POST", headers=headers, body=body), "invalid_request"
    )


_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.dictionaries(st.sampled_from([*ClientMetadata.model_fields, "software_statement"]), _JSON_VALUES))
def test_13_whatever_a_document_holds_is_registered_or_refused(
    registration_world: World, members: dict[str, Any]
) -> None:
    assert register(registration_world.url, **members).status in (201, 400)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_13_only_a_post_registers(registration_world: World, method: str) -> None:
    reply = send_document(f"{registration_world.url}/register", {}, method=method)
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


# ----- 26: where people are sent -----


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "javascript:alert(1)",
        "JaVaScRiPt://x/%0aalert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://app.example/1",
        "about:blank",
        "urn:ietf:wg:oauth:2.0:oob",
        "http://app.example/cb",
        "https://*.app.example/cb",
        "https://user@app.example/cb",
        "//app.example/cb",
        "cb",
        "",
    ],
)
@pytest.mark.parametrize("application_type", ["web", "native"])
def test_26_a_redirect_uri_that_leads_elsewhere_is_refused(
    registration_world: World, redirect_uri: str, application_type: str
) -> None:
    reply = register(registration_world.url, redirect_uris=[redirect_uri], application_type=application_type)
    assert_refused(reply, "invalid_redirect_uri")


@pytest.mark.requirement("RFC 7591", "3.2.2", "invalid_redirect_uri names a redirect URI that may not be")
@pytest.mark.parametrize("redirect_uris", [["https://app.example/cb#frag"], [], None, "https://app.example/cb", [7]])
def test_26_redirect_uris_that_are_none_are_refused(registration_world: World, redirect_uris: object) -> None:
    assert_refused(register(registration_world.url, redirect_uris=redirect_uris), "invalid_redirect_uri")


# ----- 95: keys, and what contradicts itself -----


@pytest.mark.requirement("RFC 7591", "3.2.2", "invalid_client_metadata names metadata that may not be")
@pytest.mark.parametrize(
    "metadata",
    [
        {"jwks": {"keys": [PUBLIC_KEY]}, "jwks_uri": "https://app.example/jwks"},
        {"jwks": {"keys": [PRIVATE_KEY]}},
        {"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}},
        {"jwks": {"keys": [{"kty": "oct"}]}},
        {"jwks": {"keys": [rsa_jwk(1024)]}},
        {"jwks": {"keys": [PUBLIC_KEY, {**rsa_jwk(2048), "kid": PUBLIC_KEY["kid"]}]}},
        {"jwks": {"keys": [PUBLIC_KEY, PUBLIC_KEY]}},
        {"jwks": {"keys": []}},
        {"jwks": {"keys": ["key"]}},
        {"jwks": {"keys": [{**PUBLIC_KEY, "x": PUBLIC_KEY["y"]}]}},
        {"jwks": [PUBLIC_KEY]},
        {"jwks": {}},
        {"jwks_uri": "http://app.example/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "tls_magic"},
        {"grant_types": ["password"]},
        {"grant_types": ["implicit"], "response_types": ["token"]},
        {"grant_types": ["refresh_token"]},
        {"grant_types": ["authorization_code"], "response_types": []},
        {"grant_types": ["client_credentials"], "response_types": ["code"]},
        {"grant_types": "authorization_code"},
        {"response_types": ["code id_token"]},
        {"subject_type": "secret"},
        {"application_type": "toaster"},
        {"id_token_signed_response_alg": "none"},
        {"userinfo_signed_response_alg": "none"},
        {"id_token_encrypted_response_enc": "A128CBC-HS256"},
        {"default_max_age": "soon"},
        {"default_max_age": -1},
        {"initiate_login_uri": "http://app.example/start"},
        {"backchannel_logout_uri": "https://app.example/out#x"},
        {"post_logout_redirect_uris": ["javascript:alert(1)"]},
        {"client_name": ["a"]},
        {"client_name": "\u202egro.knab"},
        {"client_name#de": 7},
        {"client_name#": "a"},
        {"client_name#not a tag": "a"},
        {"logo_uri#fr": "javascript:alert(1)"},
        {"scope": 'photos"read'},
        {"contacts": "a@example.com"},
    ],
    # Keys are made anew by each process of a run, and all of them must call a test by one name.
    ids=lambda metadata: None if "jwks" in metadata else json.dumps(metadata)[:60],
)
def test_95_metadata_that_cannot_be_is_refused(registration_world: World, metadata: dict[str, Any]) -> None:
    assert_refused(register(registration_world.url, **metadata))


def test_95_a_key_set_of_good_keys_is_kept_as_it_came(registration_world: World) -> None:
    """Two keys without a kid, one for encryption, and one of a curve that nothing here uses."""
    keys = [rsa_jwk(2048), {**PUBLIC_KEY, "use": "enc"}, {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}]
    reply = register(registration_world.url, jwks={"keys": keys}, token_endpoint_auth_method="private_key_jwt")
    assert reply.status == 201, reply.text
    assert reply.json()["jwks"] == {"keys": keys}
    assert "client_secret" not in reply.json()


# ----- 96: what is not the client's to say -----


@pytest.mark.requirement("RFC 7591", "2", "what is not understood is ignored")
def test_96_what_only_an_operator_says_is_ignored(registration_world: World) -> None:
    theirs = registration_world.operator.add_client()
    claimed = {
        "client_id": theirs.client_id,
        "client_secret": "th_cs_" + "x" * 49,
        "client_secret_expires_at": 1,
        "client_id_issued_at": 1,
        "registration_access_token": "mine",
        "registration_client_uri": "https://evil.example",
        "policy": {"skip_consent": True, "resources": None, "introspects": ["https://api.example"]},
        "security_profile": "openid",
        "origin": "operator",
        "skip_consent": True,
        "trusted": True,
        "first_party": True,
        "roles": ["admin"],
        "is_admin": True,
        "serviceAccountsEnabled": True,
        "protocolMappers": [{"name": "sub"}],
        "tenant": "other",
        "localized": {"client_name#de": "Bank"},
        "scope": "openid admin",
    }
    reply = register(registration_world.url, token_endpoint_auth_method="client_secret_basic", **claimed)
    document = reply.json()
    assert reply.status == 201
    assert document["client_id"] != theirs.client_id
    assert document["client_secret"] != claimed["client_secret"]
    assert document["client_secret_expires_at"] == 0
    assert {"policy", "skip_consent", "trusted", "roles", "tenant", "origin", "localized"}.isdisjoint(document)
    shown = registration_world.operator.show_client(document["client_id"])
    assert (shown.policy["skip_consent"], shown.policy.get("introspects"), shown.origin) == (
        False,
        None,
        "registration",
    )


def test_96_a_scope_that_is_nobodys_is_of_no_use(registration_world: World) -> None:
    party = registration_world.relying_party(as_client(register(registration_world.url, scope="openid admin").json()))
    page = registration_world.browser().get(party.begin(scope="openid admin").url)
    assert party.read_answer(page)["error"] == "invalid_scope"


# ----- 100: what pages show -----


@pytest.mark.parametrize("member", ["logo_uri", "policy_uri", "tos_uri", "client_uri"])
@pytest.mark.parametrize(
    "uri",
    ["javascript:alert(1)", "data:image/svg+xml,<svg/>", "http://app.example/x", "https://u:p@app.example/x", "x"],
)
def test_100_an_address_that_pages_would_show_is_https(registration_world: World, member: str, uri: str) -> None:
    assert_refused(register(registration_world.url, **{member: uri}))
    assert_refused(register(registration_world.url, **{f"{member}#de": uri}))


@pytest.mark.requirement("RFC 7591", "2.2", "members may come in several languages")
def test_100_names_in_other_languages_are_kept(registration_world: World) -> None:
    tagged = {"client_name": "Photos", "client_name#de": "Fotos", "client_name#ja-Hani-JP": "写真"}
    reply = register(registration_world.url, **tagged, **{"tos_uri#de": "https://app.example/agb", "contacts#de": "x"})
    assert reply.status == 201
    assert tagged.items() <= reply.json().items()
    assert reply.json()["tos_uri#de"] == "https://app.example/agb"
    assert "contacts#de" not in reply.json()


def test_96_an_empty_scope_is_none(registration_world: World) -> None:
    reply = register(registration_world.url, scope="")
    assert reply.status == 201
    assert "scope" not in reply.json()


# ----- What a thief of the database has -----


def test_94_no_token_of_registration_lies_in_the_database_or_in_the_log(registration_world: World) -> None:
    made = add_initial_access_token(
        registration_world.operator.deployment, label="partners", max_uses=9, expires_in_s=600, policy={}
    )
    document = register(registration_world.url, token=made.token).json()
    token, url = document["registration_access_token"], f"{registration_world.url}/register/{document['client_id']}"
    send(f"{registration_world.url}/register?initial_access_token={made.token}", method="POST")
    send(f"{url}?registration_access_token={token}")
    dump = dump_database(registration_world)
    text = dump_text(dump) + registration_world.server.log_text()
    for secret in (made.token, token, document["client_secret"]):
        assert secret is not None
        assert secret not in text
    loot = loot_of({name: dump[name][-2:] for name in ("registration_tokens", "initial_access_tokens")})
    assert len(loot) > 10
    for stolen in loot:
        if stolen.isascii() and stolen.isprintable():
            assert send(url, headers={"Authorization": f"Bearer {stolen}"}).status in (400, 401), stolen
            assert register(registration_world.url, token=stolen).status in (400, 401), stolen
