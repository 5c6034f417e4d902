"""Attacks 136 to 140: answers of another provider that are wrong in one word, or come to another browser."""

import base64
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from app.services.identity_providers import read_provider
from app.services.manage_providers import add_provider
from app.services.manage_users import disable_user
from app.services.seals import SealError
from app.storage.identity_providers import find_provider
from tests.actors.browser import Browser
from tests.actors.http import Reply
from tests.actors.misbehaving_provider import MisbehavingProvider, Wrong
from tests.actors.other_provider import fields_of
from tests.actors.relying_party import RelyingParty
from tests.actors.signing_key import SigningKey
from tests.deployments import Account
from tests.world import World

CORE = "OpenID Connect Core 1.0"
pytestmark = pytest.mark.parametrize("shared_reaching_world", ["sqlite"], indirect=True)


@dataclass
class Stage:
    """A provider that does as it is told, and a person whose account is linked with it."""

    world: World
    provider: MisbehavingProvider
    name: str
    party: RelyingParty
    account: Account

    def leave(self, browser: Browser) -> str:
        """Where the provider's button leads."""
        page = browser.get(self.party.begin().url)
        return self.press(browser, page).location

    def press(self, browser: Browser, page: Reply, name: str | None = None) -> Reply:
        """Press the button on a page of a sign-in."""
        action = f"/login/with/{name or self.name}"
        fields = fields_of(page, action)
        return browser.send_once(f"{self.world.issuer}{action}", fields=fields, headers={"Origin": browser.origin})

    def come_back(self, browser: Browser | None = None) -> Reply:
        """Leave, sign in there, come back; the page to which that leads."""
        browser = browser or self.world.browser()
        return browser.get(self.provider.authorize(self.leave(browser)))


def register(world: World, provider: MisbehavingProvider, **changes: Any) -> str:
    name = f"idp-{secrets.token_hex(4)}"
    members = {"issuer": provider.issuer, "client_id": provider.client_id, "client_secret": "not-chosen-by-us"}
    register_at(world, name, **{**members, **changes})
    return name


def register_at(world: World, name: str, **members: Any) -> None:
    """The provider of that name becomes known; None leaves a member out."""
    document = {"name": name, "display_name": "Odd Accounts", **members}
    add_provider(world.operator.deployment, {key: value for key, value in document.items() if value is not None})


def link(world: World, provider: MisbehavingProvider, name: str, account: Account) -> Browser:
    """As the owner of the account, who has just signed in."""
    browser = world.browser()
    page = browser.get(f"{world.issuer}/account/logins")
    if 'id="login-form"' in page.text:
        page = browser.log_in(page, account.username, account.password)
    fields = fields_of(page, "/account/logins/link", provider=name)
    url = f"{world.issuer}/account/logins/link"
    left = browser.send_once(url, fields=fields, headers={"Origin": browser.origin})
    assert "is linked to your account" in browser.get(provider.authorize(left.location)).text
    return browser


@pytest.fixture(scope="module")
def _running(shared_reaching_world: World) -> Iterator[Stage]:
    with MisbehavingProvider(shared_reaching_world.clock) as provider:
        name = register(shared_reaching_world, provider)
        account = shared_reaching_world.operator.add_user()
        link(shared_reaching_world, provider, name, account)
        party = shared_reaching_world.relying_party()
        yield Stage(shared_reaching_world, provider, name, party, account)


@pytest.fixture
def stage(reaching_world: World, _running: Stage) -> Iterator[Stage]:
    """That provider, right in every word again."""
    assert reaching_world is _running.world
    subject = _running.provider.subject
    _running.provider.asked.clear()
    yield _running
    _running.provider.wrong = Wrong()
    _running.provider.subject = subject
    _running.provider.published = (_running.provider.key,)
    # Whatever failed is over, and keys may be asked for again.
    reaching_world.clock.move(seconds=60)


def assert_refused(page: Reply, browser: Browser, *, error: str = "access_denied", status: int = 400) -> None:
    """A page of ours with a way out, and nobody signed in."""
    assert page.status == status, (page.status, page.text[:1500])
    assert f'data-error="{error}"' in page.text
    assert "location" not in page.headers
    assert not any("-browser" in name for name in browser.cookies)


def assert_let_in(page: Reply) -> None:
    assert 'id="consent-form"' in page.text or page.status == 303, page.text[:1500]


def test_what_is_right_in_every_word_is_let_in(stage: Stage) -> None:
    assert_let_in(stage.come_back())


# ----- 136: state -----


@pytest.mark.parametrize("state", [None, "", "x" * 43, "th_up_" + "0" * 49], ids=["missing", "empty", "odd", "forged"])
def test_136_a_state_that_is_none_of_ours(stage: Stage, state: str | None) -> None:
    browser = stage.world.browser()
    stage.leave(browser)
    stage.provider.wrong.response["state"] = ... if state is None else state
    page = browser.get(stage.provider.authorize(stage.leave(browser)))
    assert_refused(page, browser, error="invalid_request")


def test_136_a_state_is_used_once(stage: Stage) -> None:
    browser = stage.world.browser()
    back = stage.provider.authorize(stage.leave(browser))
    assert_let_in(browser.get(back))
    page = browser.get(back)
    assert (page.status, 'data-error="invalid_request"' in page.text) == (400, True)


def test_136_who_only_looks_at_the_head_spends_nothing(stage: Stage) -> None:
    browser = stage.world.browser()
    back = stage.provider.authorize(stage.leave(browser))
    looked = browser.send_once(back, method="HEAD")
    assert (looked.status, looked.headers["allow"]) == (405, "GET")
    assert_let_in(browser.get(back))


def test_136_the_answer_of_another_browser_lets_nobody_in_and_is_not_spent(stage: Stage) -> None:
    attacker, victim = stage.world.browser(), stage.world.browser()
    back = stage.provider.authorize(stage.leave(attacker))
    stage.leave(victim)
    assert_refused(victim.get(back), victim, error="invalid_request")
    assert_let_in(attacker.get(back))


def test_136_the_answer_of_one_provider_at_the_callback_of_another(stage: Stage) -> None:
    browser, other = stage.world.browser(), register(stage.world, stage.provider)
    back = stage.provider.authorize(stage.leave(browser))
    page = browser.get(back.replace(f"/login/callback/{stage.name}", f"/login/callback/{other}"))
    assert_refused(page, browser, error="invalid_request")


def test_136_an_answer_to_nothing(stage: Stage) -> None:
    browser = stage.world.browser()
    page = browser.get(f"{stage.world.issuer}/login/callback/{stage.name}?code=x&state=y")
    assert_refused(page, browser, error="invalid_request")


def test_136_an_answer_that_comes_too_late(stage: Stage) -> None:
    browser = stage.world.browser()
    back = stage.provider.authorize(stage.leave(browser))
    stage.world.clock.move(seconds=901)
    assert_refused(browser.get(back), browser, error="invalid_request")


@pytest.mark.requirement("RFC 9207", "2.4", "iss of another server, or none where it was announced: rejected")
@pytest.mark.parametrize("iss", [..., "https://honest.example"], ids=["missing", "another"])
def test_136_the_answer_of_another_issuer(stage: Stage, iss: Any) -> None:
    stage.provider.wrong.response["iss"] = iss
    browser = stage.world.browser()
    assert_refused(stage.come_back(browser), browser)
    assert stage.provider.asked["/token"] == 0


# ----- 137: the ID token -----


def encode(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def unsigned(claims: dict[str, Any]) -> str:
    return f"{encode({'alg': 'none', 'typ': 'JWT'})}.{encode(claims)}."


def signed_with_the_public_key(claims: dict[str, Any]) -> str:
    return f"{encode({'alg': 'HS256', 'typ': 'JWT'})}.{encode(claims)}.{encode({'mac': 'x'})}"


ANOTHER_KEY = SigningKey("ES256")
WRONG_TOKENS: dict[str, Wrong] = {
    "alg none": Wrong(sign=unsigned),
    "alg HS256": Wrong(sign=signed_with_the_public_key),
    "another aud": Wrong(claims={"aud": "somebody-else"}),
    "several aud": Wrong(claims={"aud": ["our-server", "somebody-else"]}),
    "another azp": Wrong(claims={"azp": "somebody-else"}),
    "another nonce": Wrong(claims={"nonce": "x"}),
    "no nonce": Wrong(claims={"nonce": ...}),
    "another iss": Wrong(claims={"iss": "https://honest.example"}),
    "expired": Wrong(claims={"exp": 1_000_000_000}),
    "no exp": Wrong(claims={"exp": ...}),
    "exp as text": Wrong(claims={"exp": "9999999999"}),
    "iat in the future": Wrong(claims={"iat": 9_999_999_999}),
    "no iat": Wrong(claims={"iat": ...}),
    "no sub": Wrong(claims={"sub": ...}),
    "empty sub": Wrong(claims={"sub": ""}),
    "sub as number": Wrong(claims={"sub": 7}),
    "unknown kid": Wrong(sign=ANOTHER_KEY.sign),
    "key in the header": Wrong(
        sign=lambda claims: ANOTHER_KEY.sign(claims, header={"jwk": ANOTHER_KEY.public_jwk, "kid": None})
    ),
    "known kid, other key": Wrong(header={"kid": "x"}, sign=None),
    "wrong at_hash": Wrong(claims={"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
    "another sub in userinfo": Wrong(userinfo={"sub": "somebody-else"}),
    "no sub in userinfo": Wrong(userinfo={"sub": ...}),
    "a logout token": Wrong(claims={"events": {}}),
    "two members of one name": Wrong(bodies={"/token": b'{"access_token": "a", "access_token": "b"}'}),
    "no ID token": Wrong(bodies={"/token": b'{"access_token": "a", "token_type": "Bearer"}'}),
    "another token type": Wrong(bodies={"/token": b'{"access_token": "a", "token_type": "mac", "id_token": "x"}'}),
}


@pytest.mark.requirement(CORE, "3.1.3.7", "an ID token that is wrong in one thing is rejected")
@pytest.mark.parametrize("wrong", WRONG_TOKENS.values(), ids=WRONG_TOKENS.keys())
def test_137_an_id_token_that_is_wrong_in_one_thing(stage: Stage, wrong: Wrong) -> None:
    stage.provider.wrong = wrong
    browser = stage.world.browser()
    assert_refused(stage.come_back(browser), browser)


def test_137_a_kid_that_is_not_known_has_the_keys_asked_for_once(stage: Stage) -> None:
    assert_let_in(stage.come_back())
    stage.world.clock.move(seconds=16)
    stage.provider.asked.clear()
    newer = SigningKey("ES256")
    stage.provider.published = (stage.provider.key, newer)
    stage.provider.wrong.sign = newer.sign
    assert_let_in(stage.come_back())
    stage.provider.wrong.sign = ANOTHER_KEY.sign
    for _ in range(3):
        stage.come_back()
    assert stage.provider.asked["/jwks"] == 1


def test_137_an_algorithm_that_the_operator_does_not_list(stage: Stage) -> None:
    name = register(stage.world, stage.provider, id_token_signing_algs=["RS256"])
    browser = stage.world.browser()
    left = stage.press(browser, browser.get(stage.party.begin().url), name)
    assert_refused(browser.get(stage.provider.authorize(left.location)), browser)


def test_114_a_login_of_nobody_knows_when_is_no_recent_one(stage: Stage) -> None:
    """At somebody's open browser: the provider asks nobody for anything, and does not say when they logged in."""
    stage.provider.wrong.claims["auth_time"] = ...
    browser = stage.world.browser()
    assert_let_in(stage.come_back(browser))
    assert stage.account.username in browser.get(f"{stage.world.issuer}/account").text
    assert 'id="login-form"' in browser.get(f"{stage.world.issuer}/account/password").text


@pytest.mark.requirement(CORE, "2", "auth_time is there, and not too long ago, where max_age was asked")
@pytest.mark.parametrize("auth_time", [..., 1_000_000_000, "now"], ids=["missing", "long ago", "text"])
def test_137_a_login_now_was_asked_for_and_is_not_proven(stage: Stage, auth_time: Any) -> None:
    stage.provider.wrong.claims["auth_time"] = auth_time
    browser = stage.world.browser()
    page = browser.get(stage.party.begin(prompt="login").url)
    back = stage.provider.authorize(stage.press(browser, page).location)
    assert_refused(browser.get(back), browser)


# ----- 138: who somebody is -----


@pytest.mark.parametrize("verified", [True, False, ..., "true"], ids=["verified", "unverified", "missing", "text"])
def test_138_the_address_of_somebody_here_links_nobody(stage: Stage, verified: Any) -> None:
    address = f"{secrets.token_hex(4)}@example.com"
    stage.world.operator.add_user_with(email=address, email_verified=True)
    stage.provider.subject = secrets.token_hex(8)
    stage.provider.wrong.userinfo.update(email=address, email_verified=verified)
    browser = stage.world.browser()
    assert_refused(stage.come_back(browser), browser)


@pytest.mark.parametrize("verified", [False, ..., "true", 1], ids=["unverified", "missing", "text", "number"])
def test_138_only_true_makes_an_account(stage: Stage, verified: Any) -> None:
    domain = f"{secrets.token_hex(4)}.example"
    name = register(stage.world, stage.provider, provisioning="domain", email_domains=[domain])
    stage.provider.subject = secrets.token_hex(8)
    stage.provider.wrong.userinfo.update(email=f"ada@{domain}", email_verified=verified)
    browser = stage.world.browser()
    left = stage.press(browser, browser.get(stage.party.begin().url), name)
    assert_refused(browser.get(stage.provider.authorize(left.location)), browser)


def test_138_one_source_vouches_for_the_address_of_another(stage: Stage) -> None:
    domain = f"{secrets.token_hex(4)}.example"
    name = register(stage.world, stage.provider, provisioning="domain", email_domains=[domain])
    stage.provider.subject = secrets.token_hex(8)
    stage.provider.wrong.claims["email"] = f"ada@{domain}"
    browser = stage.world.browser()
    left = stage.press(browser, browser.get(stage.party.begin().url), name)
    assert_refused(browser.get(stage.provider.authorize(left.location)), browser)


def test_138_another_address_at_the_provider_is_still_the_same_person(stage: Stage) -> None:
    stage.provider.wrong.userinfo["email"] = "changed@example.com"
    browser = stage.world.browser()
    pending = stage.party.begin()
    left = stage.press(browser, browser.get(pending.url))
    reply = browser.get(stage.provider.authorize(left.location))
    reply = browser.consent(reply) if reply.status == 200 else reply
    tokens = stage.party.exchange(stage.party.read_callback(reply, pending), pending)
    assert tokens.id_claims["sub"] == stage.account.sub


# ----- 139: what is over -----


def test_139_somebody_who_is_disabled_here(stage: Stage) -> None:
    account = stage.world.operator.add_user()
    stage.provider.subject = secrets.token_hex(8)
    link(stage.world, stage.provider, stage.name, account)
    disable_user(stage.world.operator.deployment, account.username)
    browser = stage.world.browser()
    page = stage.come_back(browser)
    assert_refused(page, browser)
    assert "This account cannot be used to sign in" in page.text


def test_139_a_request_that_was_finished_meanwhile(stage: Stage) -> None:
    browser = stage.world.browser()
    page = browser.get(stage.party.begin().url)
    back = stage.provider.authorize(stage.press(browser, page).location)
    done = browser.log_in(page, stage.account.username, stage.account.password)
    if 'id="consent-form"' in done.text:
        browser.consent(done)
    page = browser.get(back)
    assert page.status == 400
    assert stage.provider.asked["/token"] == 0


# ----- 140: errors, sizes, redirects -----


@pytest.mark.parametrize("error", ["access_denied", "server_error", "<script>alert(1)</script>"])
def test_140_an_error_is_said_in_our_own_words(stage: Stage, error: str) -> None:
    stage.provider.wrong.response.update(
        code=..., error=error, error_description="<script>alert(2)</script>", error_uri="javascript:alert(3)"
    )
    browser = stage.world.browser()
    page = stage.come_back(browser)
    assert_refused(page, browser)
    assert "alert(" not in page.text
    assert "/login?transaction=" in page.text


BROKEN: dict[str, Wrong] = {
    "10 MB of tokens": Wrong(bodies={"/token": b'"' + b"x" * 10_000_000 + b'"'}),
    "a redirecting token endpoint": Wrong(statuses={"/token": 307}),
    "a broken token endpoint": Wrong(statuses={"/token": 500}),
    "a userinfo of 10 MB": Wrong(bodies={"/userinfo": b'"' + b"x" * 10_000_000 + b'"'}),
}


@pytest.mark.parametrize("wrong", BROKEN.values(), ids=BROKEN.keys())
def test_140_an_answer_that_nobody_could_use(stage: Stage, wrong: Wrong) -> None:
    stage.provider.wrong = wrong
    browser = stage.world.browser()
    page = stage.come_back(browser)
    assert_refused(page, browser, error="temporarily_unavailable", status=503)
    assert page.headers["retry-after"]
    assert stage.provider.asked["/elsewhere"] == 0
    # The request waits: another way in still answers it.
    way_back = page.text.split('href="/login?transaction=')[1].split('"')[0]
    login = browser.get(f"{stage.world.issuer}/login?transaction={way_back}")
    assert_let_in(browser.log_in(login, stage.account.username, stage.account.password))


def test_140_keys_that_redirect_are_no_keys(stage: Stage) -> None:
    with MisbehavingProvider(stage.world.clock) as provider:
        provider.wrong.statuses["/jwks"] = 302
        name, browser = register(stage.world, provider), stage.world.browser()
        left = stage.press(browser, browser.get(stage.party.begin().url), name)
        page = browser.get(provider.authorize(left.location))
        assert_refused(page, browser, error="temporarily_unavailable", status=503)
        assert provider.asked["/elsewhere"] == 0


METADATA: dict[str, dict[str, Any]] = {
    "of another issuer": {"issuer": "https://honest.example"},
    "a token endpoint without TLS elsewhere": {"token_endpoint": "http://honest.example/token"},
    "a token endpoint inside": {"token_endpoint": "file:///etc/passwd"},
    "no keys": {"jwks_uri": ...},
}


@pytest.mark.parametrize("metadata", METADATA.values(), ids=METADATA.keys())
def test_140_metadata_that_cannot_be_used(stage: Stage, metadata: dict[str, Any]) -> None:
    with MisbehavingProvider(stage.world.clock) as provider:
        provider.wrong.metadata = metadata
        name, browser = register(stage.world, provider), stage.world.browser()
        page = stage.press(browser, browser.get(stage.party.begin().url), name)
        assert_refused(page, browser, error="temporarily_unavailable", status=503)


@pytest.mark.requirement(CORE, "3.1.2.5", "what the answer holds beside is passed over")
def test_parameters_that_nobody_knows_are_passed_over(stage: Stage) -> None:
    browser = stage.world.browser()
    back = stage.provider.authorize(stage.leave(browser))
    assert parse_qs(urlsplit(back).query)["state"]
    assert_let_in(browser.get(f"{back}&{urlencode({'session_state': 'x', 'scope': 'openid'})}"))


def test_the_secret_by_which_we_are_known_there_lies_sealed_for_its_own_row(stage: Stage) -> None:
    deployment = stage.world.operator.deployment
    with deployment.database.reading() as connection:
        row = find_provider(connection, stage.name)
    assert row is not None
    assert b"not-chosen-by-us" not in (row.sealed_client_secret or b"")
    assert "not-chosen-by-us" not in json.dumps(row.document)
    assert read_provider(deployment.seals, row).client_secret == "not-chosen-by-us"
    with pytest.raises(SealError):
        read_provider(deployment.seals, replace(row, name="another"))
