"""GET and POST /userinfo (OpenID Connect Core 5.3): cases 88 and 89 of the attacks, and what a good request gets."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from app.services.manage_clients import disable_client
from app.services.manage_grants import list_grants, revoke_grant
from app.services.manage_users import disable_user, enable_user
from app.specs.rfc7515_jose import sign_jws
from app.specs.rfc7517_jwk import generate_private_jwk, import_private_jwk
from tests.actors.http import Reply, send
from tests.actors.relying_party import RelyingParty, Tokens, read_jwt
from tests.attacks.good_conduct import nothing_changes
from tests.deployments import Account
from tests.world import World

CLAIMS: dict[str, Any] = {
    "name": "Ada Lovelace",
    "given_name": "Ada",
    "given_name#fr": "Adélaïde",
    "phone_number": "+44 20 7946 0000",
    "address": {"formatted": "12 St James's Square\nLondon"},
    "shoe_size": 38,
}


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user(**CLAIMS)


@pytest.fixture
def party(world: World) -> RelyingParty:
    return world.relying_party()


@pytest.fixture
def tokens(world: World, party: RelyingParty, account: Account) -> Tokens:
    return world.get_tokens(party, account)


def assert_invalid_token(reply: Reply) -> None:
    """IT: RFC 6750 3.1, and nothing about the person."""
    assert reply.status == 401, (reply.status, reply.text)
    assert reply.json()["error"] == "invalid_token"
    assert set(reply.json()) == {"error", "error_description"}
    assert reply.headers["www-authenticate"].startswith('Bearer realm="userinfo", error="invalid_token"')
    assert reply.headers["cache-control"] == "no-store"


def forge(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"x" * 64) -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def header_of(token: str) -> dict[str, Any]:
    segment = token.split(".")[0]
    header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return header


# ----- What a good request gets -----


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.3.2", "The sub Claim MUST always be returned")
def test_userinfo_tells_who_the_id_token_was_about(party: RelyingParty, account: Account, tokens: Tokens) -> None:
    reply = party.userinfo(tokens.access_token)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.json() == {"sub": account.sub}
    assert tokens.id_claims["sub"] == account.sub
    assert tokens.claims["aud"] == f"{party.issuer}/userinfo"


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("openid email", {"email", "email_verified"}),
        ("openid phone", {"phone_number", "phone_number_verified"}),
        ("openid address", {"address"}),
        (
            "openid profile",
            {"name", "given_name", "given_name#fr", "preferred_username", "updated_at"},
        ),
    ],
)
def test_89_the_claims_are_those_of_the_granted_scopes(
    world: World, party: RelyingParty, account: Account, scope: str, expected: set[str]
) -> None:
    tokens = world.get_tokens(party, account, scope=scope)
    claims = party.userinfo(tokens.access_token).json()
    assert set(claims) == {"sub"} | expected
    assert all(claims[name] == CLAIMS[name] for name in expected & set(CLAIMS))


def test_89_an_unticked_scope_gives_no_claim(world: World, party: RelyingParty, account: Account) -> None:
    browser, pending = world.browser(), party.begin(scope="openid email phone")
    page = browser.log_in(browser.get(pending.url), account.username, account.password)
    tokens = party.exchange(party.read_callback(browser.consent(page, scope=["phone"]), pending), pending)
    assert set(party.userinfo(tokens.access_token).json()) == {"sub", "phone_number", "phone_number_verified"}
    assert set(tokens.scope.split()) == {"openid", "phone"}


def test_89_the_subject_is_the_same_every_time(world: World, party: RelyingParty, account: Account) -> None:
    other = world.relying_party()
    subjects = {
        who.userinfo(world.get_tokens(who, account, scope=scope).access_token).json()["sub"]
        for who in (party, other)
        for scope in ("openid", "openid profile")
    }
    assert subjects == {account.sub}


@pytest.mark.parametrize("how", ["header", "body", "header without a body"])
def test_userinfo_answers_posts(world: World, tokens: Tokens, account: Account, how: str) -> None:
    url, header = f"{world.url}/userinfo", {"Authorization": f"Bearer {tokens.access_token}"}
    if how == "body":
        reply = send(url, method="POST", form={"access_token": tokens.access_token})
    elif how == "header":
        reply = send(url, method="POST", headers=header, form={})
    else:
        reply = send(url, method="POST", headers=header)
    assert reply.status == 200, reply.text
    assert reply.json() == {"sub": account.sub}


def test_the_scheme_is_compared_without_case(world: World, tokens: Tokens) -> None:
    reply = send(f"{world.url}/userinfo", headers={"Authorization": f"bEARER {tokens.access_token}"})
    assert reply.status == 200


# ----- Requests that are not good -----


@pytest.mark.requirement("RFC 6750", "3.1", "the resource server SHOULD NOT include an error code")
def test_without_a_token_the_challenge_names_no_error(world: World) -> None:
    reply = send(f"{world.url}/userinfo")
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith('Bearer realm="userinfo", DPoP realm="userinfo"')
    assert "error" not in reply.headers["www-authenticate"]


def test_a_token_in_the_query_is_not_read(world: World, tokens: Tokens) -> None:
    reply = send(f"{world.url}/userinfo?access_token={tokens.access_token}")
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith('Bearer realm="userinfo", DPoP realm="userinfo"')
    assert "error" not in reply.headers["www-authenticate"]


@pytest.mark.requirement("RFC 6750", "2", "Clients MUST NOT use more than one method to transmit the token")
def test_a_token_sent_twice_is_refused(world: World, tokens: Tokens) -> None:
    headers = {"Authorization": f"Bearer {tokens.access_token}"}
    reply = send(f"{world.url}/userinfo", method="POST", headers=headers, form={"access_token": tokens.access_token})
    assert reply.status == 400
    assert reply.json()["error"] == "invalid_request"
    assert 'error="invalid_request"' in reply.headers["www-authenticate"]


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer a b", 'Bearer "x"', "Bearer a,Bearer b"])
def test_a_malformed_header_is_an_invalid_request(world: World, value: str) -> None:
    reply = send(f"{world.url}/userinfo", headers={"Authorization": value})
    assert reply.status == 400
    assert reply.json()["error"] == "invalid_request"


# ----- Case 88: tokens that are not good -----


def test_88_an_expired_token_is_refused_to_the_second(world: World, party: RelyingParty, tokens: Tokens) -> None:
    world.clock.move(seconds=290)
    assert party.userinfo(tokens.access_token).status == 200
    world.clock.move(seconds=11)
    assert_invalid_token(party.userinfo(tokens.access_token))


def test_88_a_token_of_a_revoked_grant_is_refused_at_once(
    world: World, party: RelyingParty, account: Account, tokens: Tokens
) -> None:
    (grant,) = list_grants(world.operator.deployment, user=account.sub)
    revoke_grant(world.operator.deployment, grant.grant_id)
    assert_invalid_token(party.userinfo(tokens.access_token))


@pytest.mark.requirement("RFC 9068", "4", "the resource server MUST validate that the aud claim contains a resource")
@pytest.mark.parametrize("scope", ["openid photos.read", "photos.read"])
def test_88_a_token_for_another_resource_is_refused(
    world: World, party: RelyingParty, account: Account, scope: str
) -> None:
    tokens = world.get_tokens(party, account, scope=scope, resource=world.operator.add_resource())
    assert_invalid_token(party.userinfo(tokens.access_token))


def test_88_an_id_token_is_no_access_token(world: World, account: Account) -> None:
    for alg in ("RS256", "ES256"):
        party = world.relying_party(id_token_signed_response_alg=alg)
        tokens = world.get_tokens(party, account)
        assert tokens.id_token is not None
        assert_invalid_token(party.userinfo(tokens.id_token))


def _unsigned(token: str) -> str:
    return forge({**header_of(token), "alg": "none"}, read_jwt(token), b"")


def _unsigned_in_capitals(token: str) -> str:
    return forge({**header_of(token), "alg": "NONE"}, read_jwt(token), b"")


def _by_an_unknown_key(token: str) -> str:
    key = import_private_jwk(generate_private_jwk("ES256"), is_our_own=True)
    return sign_jws({"typ": "at+jwt"}, json.dumps(read_jwt(token)).encode(), key, "ES256")


def _by_an_unknown_key_under_our_kid(token: str) -> str:
    jwk = {**generate_private_jwk("ES256"), "kid": header_of(token)["kid"]}
    head, claims, _ = token.split(".")
    forged = sign_jws({"typ": "at+jwt"}, b"{}", import_private_jwk(jwk, is_our_own=True), "ES256")
    return f"{head}.{claims}.{forged.split('.')[2]}"


def _with_an_embedded_key(token: str) -> str:
    jwk = generate_private_jwk("ES256")
    public = {name: jwk[name] for name in ("kty", "crv", "x", "y")}
    return forge({**header_of(token), "jwk": public}, read_jwt(token))


def _with_a_key_elsewhere(token: str) -> str:
    return forge({**header_of(token), "jku": "https://evil.example/jwks"}, read_jwt(token))


def _with_kid(kid: Any) -> Callable[[str], str]:
    return lambda token: forge({**header_of(token), "kid": kid}, read_jwt(token))


def _hs256_with_the_public_key(token: str) -> str:
    return forge({**header_of(token), "alg": "HS256"}, read_jwt(token), b"x" * 32)


def _of_another_type(token: str) -> str:
    return forge({**header_of(token), "typ": "JWT"}, read_jwt(token))


def _longer_lived(token: str) -> str:
    head, _, signature = token.split(".")
    claims = forge({}, {**read_jwt(token), "exp": read_jwt(token)["exp"] + 3600}).split(".")[1]
    return f"{head}.{claims}.{signature}"


def _with_signature(signature: str) -> Callable[[str], str]:
    return lambda token: f"{token.rpartition('.')[0]}.{signature}"


FORGERIES: dict[str, Callable[[str], str]] = {
    "alg none": _unsigned,
    "alg NONE": _unsigned_in_capitals,
    "an unknown key": _by_an_unknown_key,
    "an unknown key under our kid": _by_an_unknown_key_under_our_kid,
    "an embedded key": _with_an_embedded_key,
    "a key elsewhere": _with_a_key_elsewhere,
    "kid unknown": _with_kid("unknown"),
    "kid a path": _with_kid("../../dev/null"),
    "kid no string": _with_kid(7),
    "kid missing": _with_kid(None),
    "HS256": _hs256_with_the_public_key,
    "typ JWT": _of_another_type,
    "claims changed": _longer_lived,
    "signature missing": _with_signature(""),
    "signature of zeros": _with_signature("A" * 86),
    "signature cut": lambda token: token[:-4],
    "a fourth part": lambda token: token + ".e30",
    "two parts": lambda token: token.rpartition(".")[0],
    "no JWT": lambda _: "x",
    "a code": lambda _: "th_ac_" + "0" * 49,
    "9 KB": lambda _: "x" * 9_000,
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_88_a_forged_token_is_refused(
    world: World, party: RelyingParty, tokens: Tokens, forgery: Callable[[str], str]
) -> None:
    with nothing_changes(world):
        assert_invalid_token(party.userinfo(forgery(tokens.access_token)))
    assert party.userinfo(tokens.access_token).status == 200


# ----- Case 89: whose time has come -----


def test_89_a_disabled_users_token_is_refused_for_good(
    world: World, party: RelyingParty, account: Account, tokens: Tokens
) -> None:
    disable_user(world.operator.deployment, account.username)
    assert_invalid_token(party.userinfo(tokens.access_token))
    enable_user(world.operator.deployment, account.username)
    assert_invalid_token(party.userinfo(tokens.access_token))


def test_89_a_disabled_clients_token_is_refused(world: World, party: RelyingParty, tokens: Tokens) -> None:
    disable_client(world.operator.deployment, party.client_id)
    assert_invalid_token(party.userinfo(tokens.access_token))
