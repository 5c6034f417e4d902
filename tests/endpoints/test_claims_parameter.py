"""The claims parameter through the whole flow (OpenID Connect Core 5.5): cases 39 and 119 of the attacks."""

import json
from typing import Any

import pytest

from app.services.manage_grants import list_grants
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply
from tests.actors.relying_party import RelyingParty
from tests.attacks.good_conduct import nothing_changes
from tests.deployments import Account
from tests.world import World

REFRESHING = ["authorization_code", "refresh_token"]
PERSON = {"name": "Ada Lovelace", "name#fr": "Ada de Lovelace", "nickname": "ada", "shoe_size": 38}


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user(**PERSON)


@pytest.fixture
def party(world: World) -> RelyingParty:
    return world.relying_party(grant_types=REFRESHING)


@pytest.fixture
def browser(world: World) -> Browser:
    return world.browser()


def asking(userinfo: Any = None, id_token: Any = None) -> str:
    return json.dumps({"userinfo": userinfo or {}, "id_token": id_token or {}})


def open_consent(party: RelyingParty, browser: Browser, account: Account, **parameters: Any) -> Reply:
    page = browser.get(party.begin(**parameters).url)
    return browser.log_in(page, account.username, account.password) if 'id="login-form"' in page.text else page


def ask(party: RelyingParty, browser: Browser, **parameters: Any) -> dict[str, str]:
    """The answer to a request that may show no page."""
    return party.read_answer(browser.get(party.begin(prompt="none", **parameters).url))


# ----- What comes where -----


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.5", "claims asked for at userinfo come from there")
def test_a_claim_comes_where_it_was_asked_for(world: World, party: RelyingParty, account: Account) -> None:
    claims = asking({"name": {"essential": True}, "shoe_size": None}, {"nickname": None})
    tokens = world.get_tokens(party, account, claims=claims)
    assert tokens.scope == "openid", "no scope came of it"
    told = party.userinfo(tokens.access_token).json()
    assert told == {"sub": account.sub, "name": "Ada Lovelace", "shoe_size": 38}
    assert tokens.id_claims["nickname"] == "ada"
    assert not tokens.id_claims.keys() & {"name", "shoe_size", "email"}
    refreshed = party.refresh(tokens.refresh_token)
    assert refreshed.id_claims["nickname"] == "ada"
    assert party.userinfo(refreshed.access_token).json() == told


def test_where_no_token_is_for_userinfo_its_claims_come_in_the_id_token(
    world: World, party: RelyingParty, account: Account
) -> None:
    api = world.operator.add_resource()
    asked = {"scope": "openid photos.read", "resource": api, "claims": asking({"name": None})}
    assert world.get_tokens(party, account, **asked).id_claims["name"] == "Ada Lovelace"


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.2", "claims_locales")
def test_a_claim_comes_in_the_preferred_language_too(world: World, party: RelyingParty, account: Account) -> None:
    tokens = world.get_tokens(party, account, claims=asking({"name": None}), claims_locales="de fr")
    told = party.userinfo(tokens.access_token).json()
    assert (told["name"], told["name#fr"]) == ("Ada Lovelace", "Ada de Lovelace")


def test_a_claim_of_a_narrowed_scope_goes_with_it(world: World, party: RelyingParty, account: Account) -> None:
    tokens = world.get_tokens(party, account, scope="openid profile", claims=asking({"name": None}))
    narrow = party.refresh(tokens.refresh_token, scope="openid")
    assert party.userinfo(narrow.access_token).json() == {"sub": account.sub}


def test_without_openid_the_parameter_is_unknown(world: World, party: RelyingParty, account: Account) -> None:
    api = world.operator.add_resource()
    tokens = world.get_tokens(party, account, scope="photos.read", resource=api, claims=asking({"name": None}))
    assert tokens.id_token is None


# ----- Consent -----


def test_119_single_claims_are_shown_in_plain_words_and_can_be_refused(
    world: World, party: RelyingParty, browser: Browser, account: Account
) -> None:
    claims = asking({"name": None, "email": None, "shoe_size": None}, {"name": None, "sub": None, "iss": None})
    pending = party.begin(claims=claims)
    page = browser.log_in(browser.get(pending.url), account.username, account.password)
    for words in ("See your full name", "See your e-mail address", "recorded about you as shoe_size"):
        assert page.text.count(words) == 1
    boxes = [value for name, value in find_form(page, "consent-form").fields if name == "scope"]
    assert boxes == ["claim:name", "claim:email", "claim:shoe_size"]
    reply = browser.consent(page, scope=["claim:name"])
    tokens = party.exchange(party.read_callback(reply, pending), pending)
    assert party.userinfo(tokens.access_token).json() == {"sub": account.sub, "name": "Ada Lovelace"}
    (grant,) = list_grants(world.operator.deployment, user=account.sub)
    assert (grant.scope, grant.claims) == ("openid", ("name",))


def test_121_a_claim_that_is_slipped_into_the_form_is_ignored(
    world: World, party: RelyingParty, browser: Browser, account: Account
) -> None:
    pending = party.begin(claims=asking({"name": None}))
    page = browser.log_in(browser.get(pending.url), account.username, account.password)
    reply = browser.consent(page, scope=["claim:name", "claim:email", "claim:shoe_size", "email"])
    tokens = party.exchange(party.read_callback(reply, pending), pending)
    assert tokens.scope == "openid"
    assert party.userinfo(tokens.access_token).json().keys() == {"sub", "name"}


def test_119_more_claims_ask_again_and_fewer_do_not(
    world: World, party: RelyingParty, browser: Browser, account: Account
) -> None:
    world.get_code(party, account, browser=browser, claims=asking({"name": None, "nickname": None}))
    assert "code" in ask(party, browser, claims=asking({"name": None}))
    assert "code" in ask(party, browser, claims=asking({}, {"nickname": {"essential": True}}))
    assert "code" in ask(party, browser)
    for more in ({"name": None, "gender": None}, {"email": None}):
        assert ask(party, browser, claims=asking(more))["error"] == "consent_required"
    assert ask(party, browser, scope="openid profile")["error"] == "consent_required", "a scope is more than its claims"


def test_119_a_claim_is_less_than_the_scope_that_gives_it(
    world: World, party: RelyingParty, browser: Browser, account: Account
) -> None:
    world.get_code(party, account, browser=browser, scope="openid profile")
    pending = party.begin(prompt="none", claims=asking({"name": None}))
    tokens = party.exchange(party.read_callback(browser.get(pending.url), pending), pending)
    assert tokens.scope == "openid"
    assert party.userinfo(tokens.access_token).json() == {"sub": account.sub, "name": "Ada Lovelace"}


def test_119_a_declined_claim_stays_declined_and_is_asked_once(
    world: World, party: RelyingParty, browser: Browser, account: Account
) -> None:
    asked = {"scope": "openid email", "claims": asking({"name": None})}
    page = open_consent(party, browser, account, **asked)
    browser.consent(page, scope=["email"])
    pending = party.begin(prompt="none", **asked)
    tokens = party.exchange(party.read_callback(browser.get(pending.url), pending), pending)
    assert "name" not in party.userinfo(tokens.access_token).json()


def test_39_a_claim_is_not_a_way_around_the_registered_scope(world: World, account: Account) -> None:
    party = world.relying_party(scope="openid email")
    claims = asking({"name": None, "shoe_size": None, "email": {"essential": True}})
    tokens = world.get_tokens(party, account, claims=claims)
    assert party.userinfo(tokens.access_token).json().keys() == {"sub", "email"}


# ----- What is asked of the login -----


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.5.1", "sub with a value: that person answers, or nobody")
def test_39_only_the_person_who_is_asked_for_answers(
    world: World, party: RelyingParty, browser: Browser, account: Account
) -> None:
    world.get_code(party, account, browser=browser)
    wanted = {"claims": asking({}, {"sub": {"value": account.sub}})}
    assert "code" in ask(party, browser, **wanted)
    other = world.operator.add_user()
    for sub in (other.sub, "nobody"):
        with nothing_changes(world):
            answer = ask(party, browser, claims=asking({"sub": {"value": sub}}))
        assert answer["error"] == "login_required"
    # With pages they are asked to log in; who logs in as somebody else is the wrong one.
    pending = party.begin(claims=asking({}, {"sub": {"value": other.sub}}))
    page = browser.get(pending.url)
    assert 'id="login-form"' in page.text
    wrong = world.operator.add_user()
    assert party.read_answer(browser.log_in(page, wrong.username, wrong.password))["error"] == "login_required"
    code, pending = world.get_code(party, other, browser=browser, claims=asking({}, {"sub": {"value": other.sub}}))
    assert party.exchange(code, pending).id_claims["sub"] == other.sub
    # Three people are logged in now: the one who is asked for answers, without a question.
    assert "code" in ask(party, browser, **wanted)


def test_39_a_pairwise_client_names_a_person_as_it_knows_them(world: World, browser: Browser, account: Account) -> None:
    party = world.relying_party(subject_type="pairwise")
    code, pending = world.get_code(party, account, browser=browser)
    sub = party.exchange(code, pending).id_claims["sub"]
    assert "code" in ask(party, browser, claims=asking({}, {"sub": {"value": sub}}))
    assert ask(party, browser, claims=asking({}, {"sub": {"value": account.sub}}))["error"] == "login_required"


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.5.1.1", "an essential acr that is not met is a failed attempt")
def test_39_an_essential_acr_that_is_not_met_is_refused(
    world: World, party: RelyingParty, browser: Browser, account: Account
) -> None:
    names = world.operator.deployment.acr_names
    essential = {"acr": {"essential": True, "values": [names.mfa, "urn:made:up"]}}
    page = open_consent(party, browser, account, claims=asking({}, essential))
    answer = party.read_answer(page)
    assert answer["error"] == "access_denied"
    assert "code" not in answer
    for wish in ({"essential": True}, {"values": [names.phr]}, {"essential": True, "values": [names.phr, names.pwd]}):
        code, pending = world.get_code(party, account, browser=browser, claims=asking({}, {"acr": wish}))
        assert party.exchange(code, pending).id_claims["acr"] == names.pwd


def test_118_acr_tells_what_the_login_was(world: World, account: Account) -> None:
    names = world.operator.deployment.acr_names
    party = world.relying_party(default_acr_values=[names.phr])
    for acr_values in (None, names.mfa, f"{names.phr} {names.pwd}", "1 2"):
        assert world.get_tokens(party, account, acr_values=acr_values).id_claims["acr"] == names.pwd


@pytest.mark.requirement("OpenID Connect Core 1.0", "12.2", "auth_time is that of the original authentication")
def test_auth_time_is_true_after_a_refresh(world: World, party: RelyingParty, account: Account) -> None:
    tokens = world.get_tokens(party, account, claims=asking({}, {"auth_time": {"essential": True}}))
    world.clock.move(seconds=100)
    refreshed = party.refresh(tokens.refresh_token).id_claims
    assert refreshed["iat"] >= tokens.id_claims["iat"] + 100
    for name in ("iss", "sub", "aud", "azp", "auth_time", "acr", "amr", "sid"):
        assert refreshed[name] == tokens.id_claims[name]
    assert refreshed["azp"] == party.client_id
    assert "nonce" not in refreshed
