"""What /authorize's parameters make a person do: prompt, max_age, hints, resources, lifetimes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply
from tests.actors.relying_party import Pending, RelyingParty, Tokens
from tests.attacks.good_conduct import nothing_changes
from tests.conftest import run_world
from tests.deployments import Account
from tests.patience import wait_until
from tests.world import World

READ, WRITE = "photos.read", "photos.write"


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user()


@pytest.fixture
def party(world: World) -> RelyingParty:
    return world.relying_party()


@pytest.fixture
def resource(world: World) -> str:
    return world.operator.add_resource()


@pytest.fixture
def browser(world: World, party: RelyingParty, account: Account) -> Browser:
    """A browser in which the person is logged in and has allowed `openid`."""
    browser = world.browser()
    world.get_code(party, account, browser=browser)
    return browser


def is_login(page: Reply) -> bool:
    return 'id="login-form"' in page.text


def is_consent(page: Reply) -> bool:
    return 'id="consent-form"' in page.text


def get_tokens(browser: Browser, party: RelyingParty, **parameters: Any) -> Tokens:
    """Tokens without a page."""
    pending = party.begin(**parameters)
    return finish(party, pending, browser.get(pending.url))


def finish(party: RelyingParty, pending: Pending, answer: Reply) -> Tokens:
    return party.exchange(party.read_callback(answer, pending), pending)


# ----- prompt -----


@pytest.mark.requirement("OpenID Connect Core 1.0", "3.1.2.1", "prompt none: MUST NOT display any authentication")
def test_prompt_none_answers_without_a_page_where_nothing_is_due(browser: Browser, party: RelyingParty) -> None:
    pending = party.begin(prompt="none")
    assert party.read_callback(browser.send_once(pending.url), pending)


def test_prompt_none_says_login_required_where_nobody_is_logged_in(world: World, party: RelyingParty) -> None:
    pending, browser = party.begin(prompt="none"), world.browser()
    with nothing_changes(world):
        answer = party.read_answer(browser.send_once(pending.url))
    assert (answer["error"], answer["state"]) == ("login_required", pending.state)
    assert browser.cookies == {}


def test_prompt_none_says_consent_required_where_more_is_asked(
    world: World, browser: Browser, party: RelyingParty, resource: str
) -> None:
    pending = party.begin(prompt="none", scope=READ, resource=resource)
    with nothing_changes(world):
        answer = party.read_answer(browser.send_once(pending.url))
    assert (answer["error"], answer["state"]) == ("consent_required", pending.state)


@pytest.mark.parametrize("prompt", ["login", "login select_account", "login consent"])
def test_prompt_login_asks_for_the_password_of_whoever_is_logged_in(
    world: World, browser: Browser, party: RelyingParty, account: Account, prompt: str
) -> None:
    before = get_tokens(browser, party).id_claims["auth_time"]
    world.clock.move(seconds=100)
    pending = party.begin(prompt=prompt)
    page = browser.get(pending.url)
    assert is_login(page)
    answer = browser.log_in(page, account.username, account.password)
    if "consent" in prompt:
        answer = browser.consent(answer)
    assert finish(party, pending, answer).id_claims["auth_time"] >= before + 100


def test_prompt_login_is_not_met_by_going_back_or_by_leaving_the_parameter_out(
    world: World, browser: Browser, party: RelyingParty, account: Account
) -> None:
    world.clock.move(seconds=1)
    page = browser.get(party.begin(prompt="login").url)
    transaction = dict(find_form(page, "login-form").fields)["transaction"]
    for path in ("authorize/resume", "consent"):
        again = browser.get(f"{world.issuer}/{path}?transaction={transaction}")
        assert is_login(again)
    denied = browser.log_in(page, account.username, "not the password, though")
    assert is_login(denied)
    assert is_login(browser.get(f"{world.issuer}/authorize/resume?transaction={transaction}"))


def test_a_login_in_another_tab_after_the_request_counts(
    world: World, browser: Browser, party: RelyingParty, account: Account
) -> None:
    """The request asks for a login after it was made; which of two open pages it happened on is all the same."""
    world.clock.move(seconds=1)
    first = party.begin(prompt="login")
    page = browser.get(first.url)
    transaction = dict(find_form(page, "login-form").fields)["transaction"]
    second = party.begin(prompt="login")
    browser.log_in(browser.get(second.url), account.username, account.password)
    answer = browser.get(f"{world.issuer}/authorize/resume?transaction={transaction}")
    assert party.read_callback(answer, first)


# ----- max_age -----


@pytest.mark.requirement("OpenID Connect Core 1.0", "3.1.2.1", "the OP MUST attempt to actively re-authenticate")
def test_max_age_asks_again_once_the_login_is_older(
    world: World, browser: Browser, party: RelyingParty, account: Account
) -> None:
    world.clock.move(seconds=290)
    first = get_tokens(browser, party, max_age="300")
    world.clock.move(seconds=11)
    pending = party.begin(max_age="300")
    page = browser.get(pending.url)
    assert is_login(page)
    tokens = finish(party, pending, browser.log_in(page, account.username, account.password))
    assert tokens.id_claims["auth_time"] >= first.id_claims["auth_time"] + 300
    assert tokens.claims["auth_time"] == tokens.id_claims["auth_time"]
    assert get_tokens(browser, party, max_age="300").id_claims["auth_time"] == tokens.id_claims["auth_time"]


def test_max_age_zero_asks_now_and_is_met_by_that_login(
    world: World, browser: Browser, party: RelyingParty, account: Account
) -> None:
    world.clock.move(seconds=1)
    pending = party.begin(max_age="0")
    page = browser.get(pending.url)
    assert is_login(page)
    world.clock.move(seconds=30)
    assert finish(party, pending, browser.log_in(page, account.username, account.password))


def test_max_age_beside_prompt_none_is_login_required(world: World, browser: Browser, party: RelyingParty) -> None:
    world.clock.move(seconds=100)
    answer = party.read_answer(browser.get(party.begin(prompt="none", max_age="50").url))
    assert answer["error"] == "login_required"


def test_a_clients_default_max_age_counts_unless_the_request_says_more(world: World, account: Account) -> None:
    party, browser = world.relying_party(default_max_age=60), world.browser()
    world.get_code(party, account, browser=browser)
    world.clock.move(seconds=61)
    assert is_login(browser.get(party.begin().url))
    assert get_tokens(browser, party, max_age="600")


@pytest.mark.parametrize("max_age", ["-1", "abc", "1.5", "10" * 15, " 1", "+1", "0x10", "١"])
def test_a_max_age_that_is_no_number_of_seconds_is_told_to_the_client(
    browser: Browser, party: RelyingParty, max_age: str
) -> None:
    assert party.read_answer(browser.get(party.begin(max_age=max_age).url))["error"] == "invalid_request"


# ----- Hints -----


@pytest.mark.parametrize("hint", ["ada@example.com", "Ada Lovelace", '"><script>alert(1)</script>', "ü" * 100])
def test_login_hint_fills_in_the_name(world: World, party: RelyingParty, hint: str) -> None:
    page = world.browser().get(party.begin(login_hint=hint).url)
    assert "<script" not in page.text
    escaped = hint.replace('"', "&#34;").replace("<", "&lt;").replace(">", "&gt;")
    assert f'name="username" value="{escaped}"' in page.text


def test_a_hint_that_is_too_long_is_passed_over(world: World, party: RelyingParty) -> None:
    page = world.browser().get(party.begin(login_hint="a" * 201).url)
    assert 'name="username" value=""' in page.text


def test_a_hint_logs_nobody_in_nor_out(world: World, browser: Browser, party: RelyingParty, account: Account) -> None:
    other = world.operator.add_user()
    assert get_tokens(browser, party, login_hint=other.username).claims["sub"] == account.sub


def test_acr_values_are_voluntary_and_the_answer_tells_the_truth(browser: Browser, party: RelyingParty) -> None:
    claims = get_tokens(browser, party, acr_values="phr https://refeds.org/profile/mfa").id_claims
    assert claims["acr"] == "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
    assert claims["amr"] == ["pwd"]


# ----- resource -----


def test_a_scope_that_one_api_has_needs_no_resource(world: World, account: Account) -> None:
    scopes = [{"name": "tea.brew", "description": "Brew tea"}]
    resource = world.operator.add_resource(scopes=scopes)
    tokens = world.get_tokens(world.relying_party(policy={"resources": [resource]}), account, scope="tea.brew")
    assert tokens.claims["aud"] == resource


def test_a_scope_that_two_apis_have_needs_a_resource(world: World, party: RelyingParty, resource: str) -> None:
    world.operator.add_resource()

    # A running server notices within a second that there are two now; until then it asks who is there.
    wait_until(lambda: 'id="login-form"' not in world.browser().get(party.begin(scope=READ).url).text)
    answer = party.read_answer(world.browser().get(party.begin(scope=READ).url))
    assert answer["error"] == "invalid_scope"
    assert resource not in answer["error_description"]


@pytest.mark.requirement("RFC 8707", "2.2", "the authorization server [...] invalid_target")
def test_several_resources_give_a_token_for_the_one_that_is_named(
    world: World, browser: Browser, party: RelyingParty, resource: str
) -> None:
    other = world.operator.add_resource()
    pending = party.begin(scope=f"openid {READ} {WRITE}", resource=[resource, other])
    code = party.read_callback(browser.consent(browser.get(pending.url)), pending)
    stranger = world.operator.add_resource()
    for named in (None, [resource, other], stranger, "https://unknown.example", "relative", f"{resource}#x"):
        reply = party.try_exchange(code, pending, resource=named)
        assert (reply.status, reply.json()["error"]) == (400, "invalid_target"), named
    tokens = party.exchange(code, pending, resource=other)
    assert tokens.claims["aud"] == other
    assert tokens.claims["scope"] == f"{READ} {WRITE}"


def test_an_alias_names_its_resource(world: World, account: Account, party: RelyingParty, resource: str) -> None:
    code, pending = world.get_code(party, account, scope=READ, resource=f"{resource}/")
    assert party.exchange(code, pending, resource=f"{resource}/").claims["aud"] == resource


def test_userinfo_is_a_resource_of_its_own_beside_an_api(
    world: World, account: Account, party: RelyingParty, resource: str
) -> None:
    request: dict[str, Any] = {"scope": f"openid email {READ}", "resource": resource}
    api = world.get_tokens(party, account, **request)
    assert (api.claims["aud"], api.claims["scope"]) == (resource, READ)
    assert api.id_claims["email"].startswith(account.username), "no access token fetches it, so the ID token has it"
    code, pending = world.get_code(party, account, **request)
    own = party.exchange(code, pending, resource=f"{world.issuer}/userinfo")
    assert party.userinfo(own.access_token).json()["email"].startswith(account.username)


@pytest.mark.parametrize("resource", ["relative", "https://api.example/#x", "https://unknown.example", "urn:x"])
def test_a_resource_that_is_not_known_is_an_invalid_target(world: World, party: RelyingParty, resource: str) -> None:
    answer = party.read_answer(world.browser().get(party.begin(scope=READ, resource=resource).url))
    assert answer["error"] == "invalid_target"


def test_a_resource_that_the_operator_does_not_let_the_client_ask_for_is_an_invalid_target(
    world: World, resource: str
) -> None:
    party = world.relying_party(policy={"resources": []})
    answer = party.read_answer(world.browser().get(party.begin(scope=READ, resource=resource).url))
    assert answer["error"] == "invalid_target"


# ----- How long -----


@pytest.mark.parametrize(
    ("of_resource", "of_client", "asked", "at_token", "expected"),
    [
        (None, None, None, None, 300),
        (180, None, None, None, 180),
        (None, 120, None, None, 120),
        (180, 120, None, None, 120),
        (180, 240, None, None, 180),
        (3600, None, None, None, 3600),
        (None, None, 60, None, 60),
        (None, None, None, 60, 60),
        (None, None, 90, 60, 60),
        (None, None, 60, 90, 60),
        (None, None, 86_400, 86_400, 300),
        (180, 120, 10, None, 10),
    ],
)
def test_a_token_lives_as_long_as_everybody_allows(
    world: World,
    account: Account,
    of_resource: int | None,
    of_client: int | None,
    asked: int | None,
    at_token: int | None,
    expected: int,
) -> None:
    resource = world.operator.add_resource(**_set(access_token_lifetime_s=of_resource))
    party = world.relying_party(policy=_set(access_token_lifetime_s=of_client))
    code, pending = world.get_code(party, account, scope=READ, resource=resource, tokenhouse_expires_in=asked)
    tokens = party.exchange(code, pending, tokenhouse_expires_in=None if at_token is None else str(at_token))
    assert tokens.expires_in == expected
    assert tokens.claims["exp"] - tokens.claims["iat"] == expected


def _set(**values: int | None) -> dict[str, int]:
    return {name: value for name, value in values.items() if value is not None}


@pytest.mark.parametrize("value", ["0", "9", "-1", "abc", "1e3", "60.0", "1" * 10, "٦٠"])
def test_a_wish_that_is_no_number_of_seconds_is_refused_and_spends_nothing(
    world: World, account: Account, party: RelyingParty, value: str
) -> None:
    answer = party.read_answer(world.browser().get(party.begin(tokenhouse_expires_in=value).url))
    assert answer["error"] == "invalid_request"
    code, pending = world.get_code(party, account)
    with nothing_changes(world):
        reply = party.try_exchange(code, pending, tokenhouse_expires_in=value)
    assert (reply.status, reply.json()["error"]) == (400, "invalid_request")
    assert party.exchange(code, pending)


# ----- An issuer with a path -----


@pytest.fixture
def tenant(database_url: str, tmp_path: Path) -> Iterator[World]:
    """An issuer with TLS, a name and a path, as behind a proxy."""
    yield from run_world(tmp_path, database_url, origin="https://id.example.com", issuer_path="/tenant/one")


def test_the_whole_flow_works_beneath_an_issuers_path(tenant: World) -> None:
    account, resource, browser = tenant.operator.add_user(), tenant.operator.add_resource(), tenant.browser()
    party = tenant.relying_party()
    pending = party.begin(scope=f"openid {READ}", resource=resource)
    page = browser.get(pending.url)
    assert browser.url.startswith("https://id.example.com/tenant/one/login?")
    assert find_form(page, "login-form").action == "/tenant/one/login"
    page = browser.log_in(page, account.username, account.password)
    assert is_consent(page)
    assert find_form(page, "consent-form").action == "/tenant/one/consent"
    tokens = finish(party, pending, browser.consent(page))
    assert tokens.claims["iss"] == tokens.id_claims["iss"] == "https://id.example.com/tenant/one"
    own = get_tokens(browser, party)
    assert own.claims["aud"] == "https://id.example.com/tenant/one/userinfo"
    assert party.userinfo(own.access_token).status == 200


def test_what_a_page_needs_lies_beneath_the_issuers_path_too(tenant: World) -> None:
    browser = tenant.browser()
    page = browser.get(tenant.relying_party().begin().url)
    links = [part.split('"')[0] for part in page.text.split('href="')[1:] if part.startswith("/")]
    assert links
    for link in links:
        assert link.startswith("/tenant/one/")
        assert browser.get(f"https://id.example.com{link}").status == 200


def test_cookies_are_bound_to_the_host_and_kept_from_scripts(tenant: World) -> None:
    account, browser = tenant.operator.add_user(), tenant.browser()
    first = browser.send_once(tenant.relying_party().begin().url)
    page = browser.get(first.location)
    form = find_form(page, "login-form")
    fields = form.with_values(username=account.username, password=account.password)
    logged_in = browser.send_once(f"{tenant.issuer}/login", fields=fields)
    cookies = [value for reply in (first, logged_in) for name, value in reply.header_list if name == "set-cookie"]
    assert len(cookies) == 4
    for cookie in cookies:
        name, _, attributes = cookie.partition("; ")
        assert name.startswith("__Host-")
        # What one of them holds is for the script of the check-session iframe, and opens nothing.
        own = {"SameSite=None"} if "-state=" in name else {"HttpOnly", "SameSite=Lax"}
        assert {"Secure", "Path=/"} | own <= set(attributes.split("; "))
        assert "Domain" not in attributes
