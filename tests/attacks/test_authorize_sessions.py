"""attacks.md, "Authorize: protocol parameters, PKCE, sessions": whose transaction it is (cases 42-44)."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from app.services.manage_users import disable_user
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply
from tests.actors.relying_party import Pending, RelyingParty
from tests.attacks.good_conduct import assert_page, nothing_changes
from tests.databases import on_sqlite
from tests.deployments import Account
from tests.world import World

pytestmark = pytest.mark.usefixtures("standing")


def fields_of(page: Reply, form_id: str) -> dict[str, str]:
    """The hidden fields of a form of ours."""
    return {name: value for name, value in find_form(page, form_id).fields if name in ("transaction", "csrf_token")}


def reach_consent(
    world: World, party: RelyingParty, browser: Browser, account: Account, **changes: Any
) -> tuple[Reply, Pending]:
    """The consent page of a new request."""
    pending = party.begin(**changes)
    page = browser.get(pending.url)
    if 'id="login-form"' in page.text:
        page = browser.log_in(page, account.username, account.password)
    assert 'id="consent-form"' in page.text
    return page, pending


def get_sub(party: RelyingParty, pending: Pending, reply: Reply) -> str:
    """Whom the tokens speak of that an answer leads to."""
    return str(party.exchange(party.read_callback(reply, pending), pending).claims["sub"])


# ----- 42: another browser -----


@pytest.mark.parametrize("path", ["/authorize/resume", "/login", "/second-factor", "/select-account", "/consent"])
@pytest.mark.parametrize("victim_is", ["logged out", "logged in", "in a transaction of its own"])
@on_sqlite
def test_a_transaction_that_another_browser_began_opens_nothing(world: World, path: str, victim_is: str) -> None:
    """Case 42: the attacker starts, the victim opens the continuation. P, and no code for the attacker."""
    attacker, victim, account = world.browser(), world.browser(), world.operator.add_user()
    party = world.relying_party()
    attacker.get(party.begin().url)
    transaction = dict(parse_qsl(urlsplit(attacker.url).query))["transaction"]
    if victim_is == "logged in":
        world.get_code(party, account, browser=victim)
    elif victim_is == "in a transaction of its own":
        victim.get(party.begin().url)
    with nothing_changes(world):
        assert_page(victim.get(f"{world.issuer}{path}?transaction={transaction}"))


@pytest.mark.parametrize("path", ["/login", "/second-factor", "/select-account", "/consent"])
@on_sqlite
def test_a_form_of_another_browser_is_not_taken(world: World, path: str) -> None:
    """Case 42: with its transaction and its CSRF token, filled in by the victim."""
    attacker, victim, account = world.browser(), world.browser(), world.operator.add_user()
    party = world.relying_party()
    world.get_code(world.relying_party(), account, browser=victim)
    form = fields_of(attacker.get(party.begin().url), "login-form")
    more = {"username": account.username, "password": account.password, "decision": "allow", "scope": "openid"}
    more["account"] = account.username
    with nothing_changes(world):
        assert_page(victim.post(f"{world.issuer}{path}", list({**form, **more}.items())))
    page = attacker.get(f"{world.issuer}/authorize/resume?transaction={form['transaction']}")
    assert 'id="login-form"' in page.text


def test_the_victims_session_does_not_enter_the_attackers_transaction(world: World) -> None:
    """Case 42: the victim logged in for a request of its own; the attacker's stays where it was."""
    attacker, victim, account = world.browser(), world.browser(), world.operator.add_user()
    party = world.relying_party()
    begun = fields_of(attacker.get(party.begin().url), "login-form")
    world.get_code(party, account, browser=victim)
    with nothing_changes(world):
        page = attacker.get(f"{world.issuer}/consent?transaction={begun['transaction']}")
    assert 'id="login-form"' in page.text


@pytest.mark.parametrize("how", ["none", "another transaction's", "cut off", "empty", "twice"])
@on_sqlite
def test_a_transaction_without_its_own_cookie_opens_nothing(world: World, how: str) -> None:
    """Case 42: each transaction has a secret of its own."""
    browser, party = world.browser(), world.relying_party()
    browser.get(party.begin().url)
    (name,) = browser.cookies
    first, transaction = browser.cookies.pop(name), dict(parse_qsl(urlsplit(browser.url).query))["transaction"]
    browser.get(party.begin().url)
    (other,) = browser.cookies.values()
    values = {
        "none": [],
        "another transaction's": [other],
        "cut off": [first[:-1]],
        "empty": [""],
        "twice": [first] * 2,
    }
    cookie = "; ".join(f"{name}={value}" for value in values[how])
    stranger = world.browser()
    with nothing_changes(world):
        url = f"{world.issuer}/login?transaction={transaction}"
        assert_page(stranger.send_once(url, headers={"Cookie": cookie} if cookie else {}))


@pytest.mark.parametrize("transaction", ["", "x", "0" * 24, "..", "0" * 10_000, "%27", "%C3%A9"], ids=range(7))
@pytest.mark.parametrize("path", ["/authorize/resume", "/login", "/select-account", "/consent"])
def test_a_made_up_transaction_opens_nothing(world: World, path: str, transaction: str) -> None:
    """Case 42."""
    browser = world.browser()
    browser.get(world.relying_party().begin().url)
    with nothing_changes(world):
        assert_page(browser.get(f"{world.issuer}{path}?transaction={transaction}"))
        assert_page(browser.get(f"{world.issuer}{path}"))


def test_an_expired_transaction_says_so_and_shows_the_way_back(world: World) -> None:
    """Case 42's neighbour: P "restart", with a link to the client and no code."""
    browser, party = world.browser(), world.relying_party(client_uri="https://rp.example/start")
    page = browser.get(party.begin().url)
    form = fields_of(page, "login-form")
    world.clock.move(seconds=901)
    with nothing_changes(world):
        late = browser.post(f"{world.issuer}/login", [*form.items(), ("username", "x"), ("password", "x")])
    assert_page(late)
    assert 'href="https://rp.example/start"' in late.text


@on_sqlite
def test_a_head_brings_no_code(world: World) -> None:
    """RFC 9110 9.2.1, 10.2.1: it would be a GET without its body, and a GET is answered with a code here."""
    party, browser, account = world.relying_party(), world.browser(), world.operator.add_user()
    world.get_code(party, account, browser=browser)
    for url in (party.begin().url, f"{world.issuer}/authorize/resume?transaction={'a' * 24}", f"{world.issuer}/logout"):
        reply = browser.send_once(url, method="HEAD")
        assert (reply.status, "location" in reply.headers) == (405, False), url
        assert "HEAD" not in reply.headers["allow"]


def test_a_finished_transaction_is_not_finished_twice(world: World) -> None:
    """Case 42's neighbour: Back and a second press of Allow give no second code."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    page, pending = reach_consent(world, party, browser, account)
    party.read_callback(browser.consent(page), pending)
    form = fields_of(page, "consent-form")
    with nothing_changes(world):
        assert_page(
            browser.post(f"{world.issuer}/consent", [*form.items(), ("decision", "allow"), ("scope", "openid")])
        )
        assert_page(browser.get(f"{world.issuer}/authorize/resume?transaction={form['transaction']}"))


# ----- 43: parameters that are changed on the way -----


@pytest.mark.parametrize(
    "tampered",
    [
        {"client_id": "other"},
        {"redirect_uri": "https://evil.example/cb"},
        {"response_type": "token"},
        {"code_challenge": "A" * 43},
        {"code_challenge_method": "plain"},
        {"state": "stolen"},
        {"nonce": "stolen"},
        {"resource": "https://evil.example"},
        {"client_data": '{"redirect_uri":"https://evil.example"}'},
        {"max_age": "0"},
        {"prompt": "none"},
        {"sub": "u" + "a" * 26},
        {"session": "1"},
        {"skip_consent": "true"},
    ],
    ids=lambda tampered: next(iter(tampered)),
)
@on_sqlite
def test_what_a_browser_adds_to_the_consent_form_is_ignored(world: World, tampered: dict[str, str]) -> None:
    """Case 43: the transaction on the server wins."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    page, pending = reach_consent(world, party, browser, account)
    fields = [*fields_of(page, "consent-form").items(), ("decision", "allow"), ("scope", "openid"), *tampered.items()]
    reply = browser.post(f"{world.issuer}/consent", fields)
    tokens = party.exchange(party.read_callback(reply, pending), pending)
    assert tokens.claims["sub"] == account.sub
    assert tokens.claims["client_id"] == party.client_id
    assert tokens.id_claims["nonce"] == pending.nonce


@pytest.mark.parametrize("extra", ["photos.write", "email", "photos.read https://evil.example", "*", "offline_access"])
@on_sqlite
def test_a_scope_that_was_not_asked_for_cannot_be_ticked(world: World, extra: str) -> None:
    """Cases 43 and 121."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    resource = world.operator.add_resource()
    page, pending = reach_consent(world, party, browser, account, scope="openid photos.read", resource=resource)
    reply = browser.consent(page, scope=["photos.read", extra])
    assert party.exchange(party.read_callback(reply, pending), pending).scope == "openid photos.read"


@pytest.mark.parametrize(
    "query", ["client_id=other", "redirect_uri=https://evil.example", "scope=email", "prompt=none"]
)
@on_sqlite
def test_what_a_browser_adds_to_a_later_url_is_ignored(world: World, query: str) -> None:
    """Case 43."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    pending = party.begin()
    browser.get(pending.url)
    page = browser.get(f"{browser.url}&{query}")
    page = browser.log_in(page, account.username, account.password)
    page = browser.get(f"{browser.url}&{query}")
    code = party.read_callback(browser.consent(page), pending)
    assert party.exchange(code, pending).scope == "openid"


@pytest.mark.parametrize("form_id", ["login-form", "consent-form"])
@pytest.mark.parametrize(
    ("changes", "headers"),
    [
        ({"csrf_token": None}, {}),
        ({"csrf_token": ""}, {}),
        ({"csrf_token": "0" * 64}, {}),
        ({"csrf_token": "é" * 64}, {}),
        ({}, {"Origin": "https://evil.example"}),
        ({}, {"Origin": "null"}),
        ({}, {"Origin": "http://127.0.0.1"}),
        ({}, {"Origin": ""}),
    ],
)
@on_sqlite
def test_a_forged_form_is_refused(
    world: World, form_id: str, changes: dict[str, str | None], headers: dict[str, str]
) -> None:
    """Cases 43 and 110: without its CSRF token, or from another site. 403, NC."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    page = browser.get(party.begin().url)
    if form_id == "consent-form":
        page = browser.log_in(page, account.username, account.password)
    form = find_form(page, form_id)
    values = {"username": account.username, "password": account.password, "decision": "allow"}
    with nothing_changes(world):
        reply = browser.post(world.issuer + form.action, form.with_values(**{**values, **changes}), headers=headers)
        assert_page(reply, status=403)


@pytest.mark.parametrize("name", ["transaction", "csrf_token", "decision", "duration", "username", "password"])
@pytest.mark.parametrize("form_id", ["login-form", "consent-form"])
@on_sqlite
def test_a_field_that_comes_twice_is_refused(world: World, form_id: str, name: str) -> None:
    """Case 43: scope alone may be repeated in our forms."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    page = browser.get(party.begin().url)
    if form_id == "consent-form":
        page = browser.log_in(page, account.username, account.password)
    form = find_form(page, form_id)
    values = {"username": account.username, "password": account.password, "decision": "allow", "duration": "once"}
    fields = form.with_values(**values)
    with nothing_changes(world):
        repeated = next(pair for pair in fields if pair[0] == name)
        assert_page(browser.post(world.issuer + form.action, [*fields, repeated]))


@pytest.mark.parametrize("decision", ["", "deny", "ALLOW", "allow ", "true", "1", None])
@on_sqlite
def test_whatever_is_not_a_clear_yes_is_a_no(world: World, decision: str | None) -> None:
    """Case 43."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    page, pending = reach_consent(world, party, browser, account)
    form = find_form(page, "consent-form")
    reply = browser.post(world.issuer + form.action, form.with_values(decision=decision))
    answer = party.read_answer(reply)
    assert (answer["error"], answer["state"]) == ("access_denied", pending.state)


@pytest.mark.parametrize("duration", ["forever", "ONCE", "-1", "day "])
@on_sqlite
def test_a_duration_that_was_not_offered_grants_nothing(world: World, duration: str) -> None:
    """Case 43."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    page, _ = reach_consent(world, party, browser, account)
    with nothing_changes(world):
        assert_page(browser.consent(page, duration=duration))


# ----- 44: two tabs -----


def test_two_tabs_with_two_clients_do_not_cross_over(world: World) -> None:
    """Case 44: each code belongs to its own transaction and client."""
    account, browser = world.operator.add_user(), world.browser()
    first, second = world.relying_party(), world.relying_party()
    first_page, first_pending = reach_consent(world, first, browser, account)
    second_page, second_pending = reach_consent(world, second, browser, account)
    second_code = second.read_callback(browser.consent(second_page), second_pending)
    first_code = first.read_callback(browser.consent(first_page), first_pending)
    assert first.exchange(first_code, first_pending).claims["client_id"] == first.client_id
    assert second.exchange(second_code, second_pending).claims["client_id"] == second.client_id


def test_a_csrf_token_of_one_tab_is_worth_nothing_in_the_other(world: World) -> None:
    """Case 44."""
    account, browser = world.operator.add_user(), world.browser()
    first_page, _ = reach_consent(world, world.relying_party(), browser, account)
    second_page, _ = reach_consent(world, world.relying_party(), browser, account)
    first, second = fields_of(first_page, "consent-form"), fields_of(second_page, "consent-form")
    fields = {"transaction": first["transaction"], "csrf_token": second["csrf_token"], "decision": "allow"}
    with nothing_changes(world):
        assert_page(browser.post(f"{world.issuer}/consent", list(fields.items())), status=403)


def test_somebody_else_who_logs_in_meanwhile_does_not_take_over_an_open_consent_page(world: World) -> None:
    """Case 44: the page was shown to Ada, so that is whose answer it is."""
    ada, bob, browser = world.operator.add_user(), world.operator.add_user(), world.browser()
    first, second = world.relying_party(), world.relying_party()
    page, pending = reach_consent(world, first, browser, ada)
    assert ada.username in page.text
    pending_of_bob = second.begin(prompt="login")
    login = browser.get(pending_of_bob.url)
    page_of_bob = browser.log_in(login, bob.username, bob.password)
    assert bob.username in page_of_bob.text
    code = first.read_callback(browser.consent(page), pending)
    code_of_bob = second.read_callback(browser.consent(page_of_bob), pending_of_bob)
    assert first.exchange(code, pending).claims["sub"] == ada.sub
    assert second.exchange(code_of_bob, pending_of_bob).claims["sub"] == bob.sub


def test_the_client_goes_on_with_whom_it_knows_until_somebody_else_has_agreed(world: World) -> None:
    """Case 44: Bob's login alone does not make Ada's client speak for Bob, nor Ada's consent count for him."""
    ada, bob, browser = world.operator.add_user(), world.operator.add_user(), world.browser()
    party = world.relying_party()
    world.get_code(party, ada, browser=browser)
    pending = party.begin(prompt="login")
    page = browser.log_in(browser.get(pending.url), bob.username, bob.password)
    assert 'id="consent-form"' in page.text
    assert bob.username in page.text
    silent = party.begin(prompt="none")
    assert get_sub(party, silent, browser.send_once(silent.url)) == ada.sub
    assert get_sub(party, pending, browser.consent(page)) == bob.sub
    silent = party.begin(prompt="none")
    assert get_sub(party, silent, browser.send_once(silent.url)) == bob.sub


@pytest.mark.parametrize("press", ["allow", "deny"])
def test_a_consent_page_of_one_account_is_not_answered_as_another(world: World, press: str) -> None:
    """Case 44: Ada's page is open in one tab; in another, the same sign-in is handed to Bob."""
    ada, bob, browser = world.operator.add_user(), world.operator.add_user(), world.browser()
    party = world.relying_party()
    page_of_ada, pending = reach_consent(world, party, browser, ada)
    transaction = fields_of(page_of_ada, "consent-form")["transaction"]
    login = browser.get(f"{world.issuer}/login?transaction={transaction}&account=another")
    page_of_bob = browser.log_in(login, bob.username, bob.password)
    assert bob.username in page_of_bob.text
    with nothing_changes(world):
        again = browser.consent(page_of_ada, allow=press == "allow")
    assert 'id="consent-form"' in again.text
    assert bob.username in again.text
    assert ada.username not in again.text
    assert get_sub(party, pending, browser.consent(again)) == bob.sub


def test_a_choice_in_one_tab_is_not_a_choice_in_the_other(world: World) -> None:
    """Case 44: two tabs, two clients, two accounts, interleaved; each code is for its own."""
    ada, bob, browser = world.operator.add_user(), world.operator.add_user(), world.browser()
    first, second = world.relying_party(), world.relying_party()
    for account in (ada, bob):
        reach_consent(world, world.relying_party(), browser, account, prompt="login")
    pending, pending_too = first.begin(), second.begin()
    chooser, chooser_too = browser.get(pending.url), browser.get(pending_too.url)
    page_of_ada = browser.select_account(chooser, ada.username)
    page_of_bob = browser.select_account(chooser_too, bob.username)
    assert ada.username in page_of_ada.text
    assert bob.username in page_of_bob.text
    assert get_sub(first, pending, browser.consent(page_of_ada)) == ada.sub
    assert get_sub(second, pending_too, browser.consent(page_of_bob)) == bob.sub


def test_a_session_that_was_ended_does_not_answer_the_consent_page_it_was_shown(world: World) -> None:
    """Case 44: the page of a person who was disabled meanwhile leads to a login, not to a code."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    page, _ = reach_consent(world, party, browser, account)
    disable_user(world.operator.deployment, account.username)
    with nothing_changes(world):
        again = browser.consent(page)
    assert 'id="login-form"' in again.text
