"""The modules of the certification's basic plan, and the same ones with the form_post response mode."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from tests.actors.http import send
from tests.actors.relying_party import challenge_of, read_jwt
from tests.conformance.certifier import ALL_CLAIMS, STATE, Certifier, Party
from tests.deployments import Account


@pytest.fixture(params=[None, "form_post"], ids=["query", "form_post"])
def party(request: pytest.FixtureRequest, certified: Certifier) -> Party:
    return certified.register(response_mode=request.param)


@pytest.fixture
def person(certified: Certifier) -> Account:
    return certified.person()


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "private_key_jwt"])
@pytest.mark.parametrize("mode", [None, "form_post"])
def test_server(certified: Certifier, person: Account, method: str, mode: str | None) -> None:
    party = certified.register(token_endpoint_auth_method=method, response_mode=mode)
    response = party.tokens(certified.world.browser(), person)
    assert party.userinfo(response["access_token"]).json()["sub"] == person.sub


def test_response_type_missing(certified: Certifier, party: Party) -> None:
    reply = certified.world.browser().get(party.url(response_type=None))
    assert party.read(reply)["error"] in ("unsupported_response_type", "invalid_request")


def test_userinfo_get_and_post(certified: Certifier, party: Party, person: Account) -> None:
    token = party.tokens(certified.world.browser(), person)["access_token"]
    url, bearer = f"{certified.world.issuer}/userinfo", {"Authorization": f"Bearer {token}"}
    for reply in (
        send(url, headers=bearer),
        send(url, method="POST", headers=bearer),
        send(url, method="POST", form={"access_token": token}),
    ):
        assert reply.status == 200, reply.text
        assert reply.json()["sub"] == person.sub


def test_ensure_request_without_nonce_succeeds_for_code_flow(
    certified: Certifier, party: Party, person: Account
) -> None:
    response = party.tokens(certified.world.browser(), person, nonce=None)
    assert "nonce" not in read_jwt(response["id_token"])


PROFILE = {"updated_at", *ALL_CLAIMS} - {"phone_number", "address"}
SCOPES: list[tuple[str, set[str]]] = [
    ("profile", PROFILE),
    ("email", {"email", "email_verified"}),
    ("address", {"address"}),
    ("phone", {"phone_number", "phone_number_verified"}),
    (
        "profile email address phone",
        PROFILE | {"email", "email_verified", "address", "phone_number", "phone_number_verified"},
    ),
]


@pytest.mark.parametrize(("scope", "claims"), SCOPES)
def test_scope(certified: Certifier, party: Party, person: Account, scope: str, claims: set[str]) -> None:
    response = party.tokens(certified.world.browser(), person, scope=f"openid {scope}")
    found = party.userinfo(response["access_token"]).json()
    assert set(found) == {"sub", *claims}


def test_alternate_happy_flow(certified: Certifier, party: Party, person: Account) -> None:
    request = party.request(scope="phone address email profile openid")
    party.extra = {name: request[name] for name in reversed(request)}
    party.tokens(certified.world.browser(), person, scope="phone address email profile openid")


@pytest.mark.parametrize(
    "hints",
    [
        {"display": "page"},
        {"display": "popup"},
        {"login_hint": "buffy@example.com"},
        {"ui_locales": "se"},
        {"claims_locales": "se"},
        {"extra": "foobar"},
    ],
    ids=lambda hints: next(iter(hints)),
)
def test_a_hint_or_an_unknown_parameter_breaks_nothing(
    certified: Certifier, party: Party, person: Account, hints: dict[str, str]
) -> None:
    party.tokens(certified.world.browser(), person, **hints)


def test_prompt_login(certified: Certifier, party: Party, person: Account) -> None:
    browser = certified.world.browser()
    first = read_jwt(party.tokens(browser, person, max_age="15000")["id_token"])
    certified.world.clock.move(seconds=2)
    page = browser.get(party.url(prompt="login", max_age="15000"))
    assert 'id="login-form"' in page.text
    code = party.read(party.visit(browser, page, person))["code"]
    second = read_jwt(party.exchange(code).json()["id_token"])
    assert second["auth_time"] > first["auth_time"]
    assert second["sub"] == first["sub"]


def test_prompt_none_not_logged_in(certified: Certifier, party: Party) -> None:
    answered = party.read(certified.world.browser().get(party.url(prompt="none")))
    assert answered["error"] == "login_required"
    assert answered["state"] == STATE


def test_prompt_none_logged_in(certified: Certifier, party: Party, person: Account) -> None:
    browser = certified.world.browser()
    first = read_jwt(party.tokens(browser, person)["id_token"])
    code = party.read(browser.get(party.url(prompt="none")))["code"]
    second = read_jwt(party.exchange(code).json()["id_token"])
    assert (second["sub"], second.get("auth_time")) == (first["sub"], first.get("auth_time"))


def test_max_age_1(certified: Certifier, party: Party, person: Account) -> None:
    browser = certified.world.browser()
    first = read_jwt(party.tokens(browser, person)["id_token"])
    certified.world.clock.move(seconds=3)
    page = browser.get(party.url(max_age="1"))
    assert 'id="login-form"' in page.text
    code = party.read(party.visit(browser, page, person))["code"]
    second = read_jwt(party.exchange(code).json()["id_token"])
    assert second["auth_time"] >= first["iat"] + 2


def test_max_age_10000(certified: Certifier, party: Party, person: Account) -> None:
    browser = certified.world.browser()
    times = []
    for _ in range(2):
        reply = party.visit(browser, browser.get(party.url(max_age="10000")), person)
        times.append(read_jwt(party.exchange(party.read(reply)["code"]).json()["id_token"])["auth_time"])
        certified.world.clock.move(seconds=2)
    assert times[0] == times[1]


def test_id_token_hint(certified: Certifier, party: Party, person: Account) -> None:
    browser = certified.world.browser()
    hint = party.tokens(browser, person)["id_token"]
    answered = party.read(browser.get(party.url(prompt="none", id_token_hint=hint)))
    assert "code" in answered


def test_ensure_request_with_acr_values_succeeds(certified: Certifier, party: Party, person: Account) -> None:
    supported = send(f"{certified.world.issuer}/.well-known/openid-configuration").json()["acr_values_supported"]
    response = party.tokens(certified.world.browser(), person, acr_values=" ".join(supported))
    assert read_jwt(response["id_token"])["acr"] in supported


def test_ensure_request_with_valid_pkce_succeeds(certified: Certifier, party: Party, person: Account) -> None:
    verifier = "v" * 43
    challenge = {"code_challenge": challenge_of(verifier), "code_challenge_method": "S256"}
    answered = party.authorize(certified.world.browser(), person, **challenge)
    assert party.exchange(answered["code"], code_verifier=verifier).status == 200


@pytest.mark.parametrize("seconds", [0, 30])
def test_codereuse(certified: Certifier, party: Party, person: Account, seconds: int) -> None:
    code = party.authorize(certified.world.browser(), person)["code"]
    first = party.exchange(code).json()
    certified.world.clock.move(seconds=seconds)
    second = party.exchange(code)
    assert (second.status, second.json()["error"]) == (400, "invalid_grant")
    assert party.userinfo(first["access_token"]).status == 401


def test_ensure_registered_redirect_uri(certified: Certifier, party: Party) -> None:
    reply = certified.world.browser().get(party.url(redirect_uri=party.redirect_uri + "/other"))
    assert reply.status == 400
    assert 'id="error-page"' in reply.text
    assert "location" not in reply.headers


def test_ensure_post_request_succeeds(certified: Certifier, party: Party, person: Account) -> None:
    browser = certified.world.browser()
    page = browser.post(
        f"{certified.world.issuer}/authorize",
        list(party.request().items()),
        headers={"Origin": "https://rp.example", "Referer": "https://rp.example/"},
    )
    assert party.exchange(party.read(party.visit(browser, page, person))["code"]).status == 200


def unsigned(claims: dict[str, Any]) -> str:
    """A request object with alg none."""
    parts = [json.dumps({"alg": "none"}), json.dumps(claims)]
    return ".".join(urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts) + "."


def test_unsigned_request_object(certified: Certifier, person: Account) -> None:
    # The suite registers no algorithm, which is any that is supported, and sends neither iss nor aud.
    party = certified.register()
    claims = party.request(state="inside")
    answered = party.authorize(certified.world.browser(), person, request=unsigned(claims), state="inside")
    assert "code" in answered


def test_request_uri_unsigned(certified: Certifier, person: Account) -> None:
    with certified.hosting("", "application/oauth-authz-req+jwt") as hosted:
        party = certified.register(request_uris=[f"{hosted.url}#not-a-hash-of-anything"])
        claims = party.request(state="inside")
        hosted.publish(unsigned(claims))
        answered = party.authorize(
            certified.world.browser(), person, request_uri=f"{hosted.url}#not-a-hash-of-anything", state="inside"
        )
    assert "code" in answered


def test_ensure_request_object_with_redirect_uri(certified: Certifier, person: Account) -> None:
    party = certified.register(request_object_signing_alg="none")
    claims = {"redirect_uri": party.redirect_uri, "iss": party.document["client_id"], "aud": certified.world.issuer}
    browser = certified.world.browser()
    page = browser.get(party.url(redirect_uri="https://invalid.example/cb", request=unsigned(claims)))
    assert "code" in party.read(party.visit(browser, page, person))


def test_claims_essential(certified: Certifier, party: Party, person: Account) -> None:
    claims = json.dumps({"userinfo": {"name": {"essential": True}}})
    response = party.tokens(certified.world.browser(), person, claims=claims)
    assert party.userinfo(response["access_token"]).json()["name"] == "Ada Lovelace"
    assert "name" not in read_jwt(response["id_token"])


def test_refresh_token(certified: Certifier, person: Account) -> None:
    grant_types = ["authorization_code", "refresh_token"]
    party, other = certified.register(grant_types=grant_types), certified.register(grant_types=grant_types)
    browser = certified.world.browser()
    first = party.tokens(browser, person, scope="openid offline_access", prompt="consent")
    certified.world.clock.move(seconds=2)
    stolen = other.refresh(first["refresh_token"])
    assert (stolen.status, stolen.json()["error"]) == (400, "invalid_grant")
    second = party.refresh(first["refresh_token"], scope="openid offline_access").json()
    before, after = read_jwt(first["id_token"]), party.check_id_token(second["id_token"])
    assert after["iat"] > before["iat"]
    for name in ("iss", "sub", "aud", "auth_time", "azp"):
        assert after.get(name) == before.get(name), name
