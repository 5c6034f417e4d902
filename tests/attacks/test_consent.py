"""Attacks on consent (cases 119 to 121), and what a person's answers mean (model: once, a day, until revoked)."""

import secrets
from typing import Any

import pytest

from app.services.list_audit import list_audit
from app.services.manage_grants import list_grants
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply
from tests.actors.relying_party import Pending, RelyingParty
from tests.attacks.good_conduct import nothing_changes
from tests.databases import on_sqlite
from tests.deployments import Account
from tests.world import World

READ, WRITE = "photos.read", "photos.write"
DAY_S = 86_400


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user()


@pytest.fixture
def resource(world: World) -> str:
    return world.operator.add_resource()


@pytest.fixture
def browser(world: World) -> Browser:
    return world.browser()


def open_consent(
    world: World, browser: Browser, party: RelyingParty, account: Account, **parameters: Any
) -> tuple[Reply, Pending]:
    """The consent page, after a login where one is due."""
    pending = party.begin(**parameters)
    page = browser.get(pending.url)
    if 'id="login-form"' in page.text:
        page = browser.log_in(page, account.username, account.password)
    assert 'id="consent-form"' in page.text, page.text[:1000]
    return page, pending


def consent_once_for_all(
    world: World, browser: Browser, party: RelyingParty, account: Account, **parameters: Any
) -> None:
    page, pending = open_consent(world, browser, party, account, **parameters)
    party.read_callback(browser.consent(page), pending)


def asks(browser: Browser, party: RelyingParty, **parameters: Any) -> bool:
    """Whether a person who is logged in would be asked now; nobody is."""
    pending = party.begin(prompt="none", **parameters)
    answer = party.read_answer(browser.get(pending.url))
    assert answer.get("error") in {None, "consent_required"}, answer
    return "error" in answer


def get_tokens(browser: Browser, party: RelyingParty, **parameters: Any) -> Any:
    """Tokens without a page."""
    pending = party.begin(**parameters)
    return party.exchange(party.read_callback(browser.send_once(pending.url), pending), pending)


# ----- Case 119: more asks again, less does not -----


def test_119_the_same_again_is_not_asked(world: World, browser: Browser, account: Account, resource: str) -> None:
    party, request = world.relying_party(), {"scope": f"openid {READ}", "resource": resource}
    consent_once_for_all(world, browser, party, account, **request)
    assert not asks(browser, party, **request)


def test_119_an_added_scope_is_asked(world: World, browser: Browser, account: Account, resource: str) -> None:
    party = world.relying_party()
    consent_once_for_all(world, browser, party, account, scope=f"openid {READ}", resource=resource)
    assert asks(browser, party, scope=f"openid {READ} {WRITE}", resource=resource)
    assert asks(browser, party, scope=f"openid email {READ}", resource=resource)


def test_119_an_added_resource_is_asked(world: World, browser: Browser, account: Account, resource: str) -> None:
    party, other = world.relying_party(), world.operator.add_resource()
    consent_once_for_all(world, browser, party, account, scope=f"openid {READ}", resource=resource)
    assert asks(browser, party, scope=f"openid {READ}", resource=[resource, other])
    assert asks(browser, party, scope=f"openid {READ}", resource=other), "a scope is a (resource, name) pair"


def test_119_narrower_is_not_asked_and_gives_no_more(
    world: World, browser: Browser, account: Account, resource: str
) -> None:
    party = world.relying_party()
    consent_once_for_all(world, browser, party, account, scope=f"openid {READ} {WRITE}", resource=resource)
    assert not asks(browser, party, scope=f"openid {READ}", resource=resource)
    assert not asks(browser, party, scope="openid")
    tokens = get_tokens(browser, party, scope=f"openid {READ}", resource=resource)
    assert tokens.claims["scope"] == READ
    assert not asks(browser, party, scope=f"openid {READ} {WRITE}", resource=resource), "the wider answer still stands"


def test_119_prompt_consent_always_asks(world: World, browser: Browser, account: Account, resource: str) -> None:
    party, request = world.relying_party(), {"scope": f"openid {READ}", "resource": resource}
    consent_once_for_all(world, browser, party, account, **request)
    open_consent(world, browser, party, account, prompt="consent", **request)
    trusted = world.relying_party(policy={"skip_consent": True})
    get_tokens(browser, trusted, **request)
    open_consent(world, browser, trusted, account, prompt="consent", **request)


def test_119_an_answer_to_one_client_or_of_one_person_is_nobody_elses(
    world: World, browser: Browser, account: Account, resource: str
) -> None:
    party, other, request = world.relying_party(), world.relying_party(), {"scope": READ, "resource": resource}
    consent_once_for_all(world, browser, party, account, **request)
    assert asks(browser, other, **request)
    consent_once_for_all(world, browser, party, world.operator.add_user(), prompt="login", **request)
    somebody = world.browser()
    open_consent(world, somebody, party, world.operator.add_user(), **request)


# ----- Case 120: what proves nothing about who asks is always asked -----


@pytest.mark.requirement("RFC 8252", "8.6", "SHOULD NOT process authorization requests automatically without consent")
@pytest.mark.parametrize(
    "redirect_uri",
    ["http://127.0.0.1/callback", "http://[::1]:7000/callback", "http://localhost:7000/cb", "com.example.app:/cb"],
)
@on_sqlite
def test_120_a_public_client_on_the_persons_own_device_is_always_asked_about(
    world: World, browser: Browser, account: Account, resource: str, redirect_uri: str
) -> None:
    party = world.relying_party(
        redirect_uris=[redirect_uri], token_endpoint_auth_method="none", application_type="native"
    )
    request = {"scope": f"openid {READ}", "resource": resource}
    for _ in range(2):
        consent_once_for_all(world, browser, party, account, **request)
    assert asks(browser, party, **request)


def test_120_a_confidential_client_with_a_custom_scheme_is_always_asked_about(
    world: World, browser: Browser, account: Account
) -> None:
    party = world.relying_party(redirect_uris=["com.example.app:/cb"], application_type="native")
    consent_once_for_all(world, browser, party, account)
    assert asks(browser, party)


@pytest.mark.parametrize("method", ["client_secret_basic", "none"])
def test_120_a_client_with_an_https_redirect_is_remembered(
    world: World, browser: Browser, account: Account, method: str
) -> None:
    party = world.relying_party(token_endpoint_auth_method=method)
    consent_once_for_all(world, browser, party, account)
    assert not asks(browser, party)


# ----- Case 121: tampering with the form -----


@on_sqlite
def test_121_a_scope_added_to_the_form_is_ignored(
    world: World, browser: Browser, account: Account, resource: str
) -> None:
    party = world.relying_party()
    page, pending = open_consent(world, browser, party, account, scope=f"openid {READ}", resource=resource)
    answer = browser.consent(page, scope=["openid", READ, WRITE, "email", "admin", f"{WRITE} {resource}", "*"])
    tokens = party.exchange(party.read_callback(answer, pending), pending)
    assert tokens.claims["scope"] == READ
    assert set(tokens.scope.split()) == {"openid", READ}
    assert asks(browser, party, scope=f"openid {READ} {WRITE}", resource=resource), "nor was it remembered"


@on_sqlite
def test_121_a_required_scope_that_the_form_leaves_out_is_granted(
    world: World, browser: Browser, account: Account
) -> None:
    scopes = [
        {"name": READ, "description": "See your photos", "required": True},
        {"name": WRITE, "description": "Add and delete photos"},
    ]
    resource, party = world.operator.add_resource(scopes=scopes), world.relying_party()
    page, pending = open_consent(world, browser, party, account, scope=f"openid {READ} {WRITE}", resource=resource)
    tokens = party.exchange(party.read_callback(browser.consent(page, scope=[WRITE]), pending), pending)
    assert set(tokens.scope.split()) == {"openid", READ, WRITE}


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "resource", "state", "code_challenge", "username"])
@on_sqlite
def test_121_what_the_form_says_beside_the_decision_changes_nothing(
    world: World, browser: Browser, account: Account, resource: str, name: str
) -> None:
    party, other = world.relying_party(), world.relying_party()
    page, pending = open_consent(world, browser, party, account, scope=READ, resource=resource)
    form = find_form(page, "consent-form")
    values = {"client_id": other.client_id, "redirect_uri": other.redirect_uri}
    fields = [*form.with_values(decision="allow"), (name, values.get(name, "evil"))]
    answer = browser.post(f"{world.issuer}/consent", fields)
    tokens = party.exchange(party.read_callback(answer, pending), pending)
    assert (tokens.claims["aud"], tokens.claims["sub"]) == (resource, account.sub)


@pytest.mark.parametrize(
    "values",
    [{"csrf_token": None}, {"csrf_token": "0" * 64}, {"transaction": "0" * 24}, {"duration": "for-ever"}],
    ids=["no token", "made-up token", "another transaction", "unknown duration"],
)
@on_sqlite
def test_a_consent_form_that_is_not_ours_grants_nothing(
    world: World, browser: Browser, account: Account, values: dict[str, str | None]
) -> None:
    party = world.relying_party()
    page, _ = open_consent(world, browser, party, account)
    fields = find_form(page, "consent-form").with_values(decision="allow", **values)
    with nothing_changes(world):
        answer = browser.post(f"{world.issuer}/consent", fields)
    assert answer.status in {400, 403}
    assert "location" not in answer.headers


@on_sqlite
def test_a_consent_form_from_another_origin_grants_nothing(world: World, browser: Browser, account: Account) -> None:
    page, _ = open_consent(world, browser, world.relying_party(), account)
    fields = find_form(page, "consent-form").with_values(decision="allow")
    with nothing_changes(world):
        answer = browser.post(f"{world.issuer}/consent", fields, headers={"Origin": "https://evil.example"})
    assert answer.status == 403


def test_a_decision_counts_once(world: World, browser: Browser, account: Account) -> None:
    party = world.relying_party()
    page, pending = open_consent(world, browser, party, account)
    fields = find_form(page, "consent-form").with_values(decision="allow")
    party.read_callback(browser.post(f"{world.issuer}/consent", fields), pending)
    with nothing_changes(world):
        again = browser.post(f"{world.issuer}/consent", fields)
    assert again.status == 400
    assert 'id="error-page"' in again.text
    assert f'href="{party.redirect_uri.removesuffix("callback")}"' in again.text, "a way back to the client"


# ----- No -----


def test_deny_is_told_to_the_client_and_not_remembered(world: World, browser: Browser, account: Account) -> None:
    party = world.relying_party()
    page, pending = open_consent(world, browser, party, account)
    answer = party.read_answer(browser.consent(page, allow=False))
    assert (answer["error"], answer["state"]) == ("access_denied", pending.state)
    assert "code" not in answer
    assert asks(browser, party)
    events = list_audit(world.operator.deployment, event_type="consent.denied", client_id=party.client_id)
    assert [event.sub for event in events] == [account.sub]


@on_sqlite
def test_a_form_without_a_decision_is_a_no(world: World, browser: Browser, account: Account) -> None:
    party = world.relying_party()
    page, _ = open_consent(world, browser, party, account)
    answer = browser.post(f"{world.issuer}/consent", find_form(page, "consent-form").with_values(decision=None))
    assert party.read_answer(answer)["error"] == "access_denied"


@on_sqlite
def test_unticking_everything_is_a_no(world: World, browser: Browser, account: Account, resource: str) -> None:
    party = world.relying_party()
    page, _ = open_consent(world, browser, party, account, scope=f"openid {READ} {WRITE}", resource=resource)
    assert party.read_answer(browser.consent(page, scope=[]))["error"] == "access_denied"
    assert asks(browser, party, scope=f"openid {READ} {WRITE}", resource=resource)


def test_a_declined_scope_is_remembered_as_declined_and_not_asked_again(
    world: World, browser: Browser, account: Account, resource: str
) -> None:
    party, request = world.relying_party(), {"scope": f"openid {READ} {WRITE}", "resource": resource}
    page, pending = open_consent(world, browser, party, account, **request)
    tokens = party.exchange(party.read_callback(browser.consent(page, scope=[READ]), pending), pending)
    assert set(tokens.scope.split()) == {"openid", READ}
    assert not asks(browser, party, **request)
    assert get_tokens(browser, party, prompt="none", **request).claims["scope"] == READ
    # Asked for alone, what was declined leaves nothing to allow: the person may change their mind.
    assert asks(browser, party, scope=WRITE, resource=resource)
    page, _ = open_consent(world, browser, party, account, prompt="consent", **request)
    assert dict(find_form(page, "consent-form").fields)["scope"] == READ, "the box stays as it was left"


# ----- For how long -----


def test_until_revoked_is_the_default_and_is_remembered_for_months(
    world: World, browser: Browser, account: Account
) -> None:
    party = world.relying_party()
    page, pending = open_consent(world, browser, party, account)
    assert dict(find_form(page, "consent-form").fields)["duration"] == "until_revoked"
    party.read_callback(browser.consent(page), pending)
    world.clock.move(seconds=200 * DAY_S)
    page = browser.get(party.begin().url)
    answer = browser.log_in(page, account.username, account.password)
    assert answer.status == 303, "only a login was due"


def test_once_is_not_remembered_and_ends_with_the_session(
    world: World, browser: Browser, account: Account, resource: str
) -> None:
    party, request = world.relying_party(), {"scope": f"openid {READ}", "resource": resource}
    page, pending = open_consent(world, browser, party, account, **request)
    party.exchange(party.read_callback(browser.consent(page, duration="once"), pending), pending)
    assert asks(browser, party, **request)
    # Four minutes before the session's absolute end a token lives four minutes, and not five.
    for _ in range(14):
        world.clock.move(seconds=3000)
        get_tokens(browser, world.relying_party(policy={"skip_consent": True}), **request)
    world.clock.move(seconds=12 * 3600 - 240 - 14 * 3000)
    page, pending = open_consent(world, browser, party, account, **request)
    tokens = party.exchange(party.read_callback(browser.consent(page, duration="once"), pending), pending)
    assert 200 < tokens.expires_in <= 240
    assert tokens.claims["exp"] - tokens.claims["iat"] == tokens.expires_in
    assert tokens.id_claims["exp"] <= tokens.claims["exp"]


def test_a_day_is_remembered_for_a_day_and_no_token_outlives_it(
    world: World, browser: Browser, account: Account, resource: str
) -> None:
    party, request = world.relying_party(), {"scope": f"openid {READ}", "resource": resource}
    page, pending = open_consent(world, browser, party, account, **request)
    tokens = party.exchange(party.read_callback(browser.consent(page, duration="day"), pending), pending)
    assert tokens.expires_in == 300
    world.clock.move(seconds=DAY_S - 100)
    page = browser.get(party.begin(**request).url)
    browser.log_in(page, account.username, account.password)
    assert not asks(browser, party, **request)
    tokens = get_tokens(browser, party, **request)
    assert 60 < tokens.expires_in <= 100
    assert tokens.id_claims["exp"] - tokens.id_claims["iat"] <= 100
    grants = list_grants(world.operator.deployment, user=account.sub)
    assert {grant.duration for grant in grants} == {"day"}
    world.clock.move(seconds=101)
    assert asks(browser, party, **request)


def test_a_later_answer_replaces_an_earlier_one(world: World, browser: Browser, account: Account) -> None:
    party = world.relying_party()
    consent_once_for_all(world, browser, party, account)
    page, pending = open_consent(world, browser, party, account, prompt="consent")
    party.read_callback(browser.consent(page, duration="day"), pending)
    world.clock.move(seconds=DAY_S + 1)
    page = browser.get(party.begin().url)
    page = browser.log_in(page, account.username, account.password)
    assert 'id="consent-form"' in page.text


# ----- Two APIs with a scope of one name -----


def test_each_of_two_apis_with_the_same_scope_is_decided_on_its_own(
    world: World, browser: Browser, account: Account
) -> None:
    first, second = world.operator.add_resource(), world.operator.add_resource()
    party, request = world.relying_party(), {"scope": READ, "resource": [first, second]}
    page, pending = open_consent(world, browser, party, account, **request)
    boxes = [value for name, value in find_form(page, "consent-form").fields if name == "scope"]
    assert len(set(boxes)) == 2
    answer = browser.consent(page, scope=[box for box in boxes if first in box])
    code = party.read_callback(answer, pending)
    reply = party.try_exchange(code, pending, resource=second)
    assert reply.json()["error"] == "invalid_target"
    assert party.exchange(code, pending, resource=first).claims["aud"] == first


def test_a_scope_that_no_api_has_is_never_shown(world: World, browser: Browser) -> None:
    party = world.relying_party()
    answer = party.read_answer(browser.get(party.begin(scope=f"openid {secrets.token_hex(4)}").url))
    assert answer["error"] == "invalid_scope"
