"""Several accounts in one browser: who is asked which one, what tells without asking, and what `prompt=none` gets."""

from typing import Any
from urllib.parse import urljoin

import pytest

from app.services.manage_users import disable_user
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply
from tests.actors.relying_party import Pending, RelyingParty, Tokens
from tests.attacks.good_conduct import nothing_changes
from tests.deployments import Account
from tests.world import World


@pytest.fixture
def ada(world: World) -> Account:
    return world.operator.add_user(name="Ada Lovelace")


@pytest.fixture
def bob(world: World) -> Account:
    return world.operator.add_user()


@pytest.fixture
def party(world: World) -> RelyingParty:
    return world.relying_party()


@pytest.fixture
def browser(world: World, ada: Account, bob: Account) -> Browser:
    """A browser in which Ada has logged in, and then Bob."""
    browser = world.browser()
    for account in (ada, bob):
        page = browser.get(world.relying_party().begin(prompt="login").url)
        assert is_consent(browser.log_in(page, account.username, account.password))
    return browser


def is_choice(page: Reply) -> bool:
    return 'id="account-form"' in page.text


def is_login(page: Reply) -> bool:
    return 'id="login-form"' in page.text


def is_consent(page: Reply) -> bool:
    return 'id="consent-form"' in page.text


def choose(browser: Browser, party: RelyingParty, account: Account, **parameters: Any) -> Tokens:
    """Tokens by way of the page with the accounts."""
    pending = party.begin(**parameters)
    page = browser.select_account(browser.get(pending.url), account.username)
    return finish(party, pending, browser.consent(page) if is_consent(page) else page)


def finish(party: RelyingParty, pending: Pending, answer: Reply) -> Tokens:
    return party.exchange(party.read_callback(answer, pending), pending)


def silent_sub(browser: Browser, party: RelyingParty, **parameters: Any) -> str:
    pending = party.begin(prompt="none", **parameters)
    return str(finish(party, pending, browser.send_once(pending.url)).claims["sub"])


def silent_error(browser: Browser, party: RelyingParty, **parameters: Any) -> str:
    pending = party.begin(prompt="none", **parameters)
    answer = party.read_answer(browser.send_once(pending.url))
    assert answer["state"] == pending.state
    return answer["error"]


# ----- Who is asked -----


def test_with_several_accounts_the_person_chooses(browser: Browser, party: RelyingParty, ada: Account) -> None:
    page = browser.get(party.begin().url)
    assert is_choice(page)
    assert browser.url.startswith(f"{browser.issuer}/select-account?transaction=")
    assert "Ada Lovelace" in page.text
    assert choose(browser, party, ada).id_claims["sub"] == ada.sub


def test_a_second_login_leaves_the_first_where_it_was(
    browser: Browser, party: RelyingParty, ada: Account, bob: Account
) -> None:
    assert choose(browser, party, bob).claims["sub"] == bob.sub
    assert choose(browser, party, ada).claims["sub"] == ada.sub


def test_with_one_account_nobody_is_asked(world: World, party: RelyingParty, ada: Account) -> None:
    browser = world.browser()
    world.get_code(party, ada, browser=browser)
    pending = party.begin()
    assert finish(party, pending, browser.send_once(pending.url)).claims["sub"] == ada.sub


@pytest.mark.requirement("OpenID Connect Core 1.0", "3.1.2.1", "prompt select_account: SHOULD prompt the End-User")
def test_prompt_select_account_asks_also_where_there_is_one(world: World, party: RelyingParty, ada: Account) -> None:
    browser = world.browser()
    world.get_code(party, ada, browser=browser)
    pending = party.begin(prompt="select_account")
    page = browser.get(pending.url)
    assert is_choice(page)
    assert finish(party, pending, browser.select_account(page, ada.username)).claims["sub"] == ada.sub


def test_prompt_select_account_is_a_login_where_nobody_is_logged_in(
    world: World, party: RelyingParty, ada: Account
) -> None:
    browser, pending = world.browser(), party.begin(prompt="select_account")
    page = browser.get(pending.url)
    assert is_login(page)
    answer = browser.consent(browser.log_in(page, ada.username, ada.password))
    assert finish(party, pending, answer).claims["sub"] == ada.sub


def test_prompt_select_account_is_not_met_by_going_round_the_page(browser: Browser, party: RelyingParty) -> None:
    page = browser.get(party.begin(prompt="select_account").url)
    transaction = dict(find_form(page, "account-form").fields)["transaction"]
    for path in ("authorize/resume", "consent"):
        assert is_choice(browser.get(f"{browser.issuer}/{path}?transaction={transaction}&prompt="))


def test_another_account_can_be_used_instead(world: World, browser: Browser, party: RelyingParty) -> None:
    carl, pending = world.operator.add_user(), party.begin(prompt="select_account", login_hint="somebody")
    page = browser.get(pending.url)
    href = page.text.split('id="other-account" href="')[1].split('"')[0].replace("&amp;", "&")
    login = browser.get(urljoin(browser.url, href))
    assert is_login(login)
    assert dict(find_form(login, "login-form").fields)["username"] == ""
    consent = browser.log_in(login, carl.username, carl.password)
    assert finish(party, pending, browser.consent(consent)).claims["sub"] == carl.sub


def test_the_consent_page_leads_to_the_other_accounts(
    browser: Browser, party: RelyingParty, ada: Account, bob: Account
) -> None:
    pending = party.begin(login_hint=ada.username)
    page = browser.get(pending.url)
    assert is_consent(page)
    href = page.text.split('id="other-account" href="')[1].split('"')[0]
    page = browser.select_account(browser.get(urljoin(browser.url, href)), bob.username)
    assert is_consent(page)
    assert finish(party, pending, browser.consent(page)).claims["sub"] == bob.sub


@pytest.mark.parametrize("account", [None, "", "nobody-of-this-browser"])
def test_an_account_that_is_not_signed_in_here_cannot_be_chosen(
    world: World, browser: Browser, party: RelyingParty, account: str | None
) -> None:
    page = browser.get(party.begin().url)
    form = find_form(page, "account-form")
    other = world.operator.add_user().username if account else account
    with nothing_changes(world):
        again = browser.post(browser.issuer + form.action, form.with_values(account=other))
    assert is_choice(again)
    assert 'role="alert"' in again.text


def test_an_account_that_was_disabled_is_not_offered(
    world: World, browser: Browser, party: RelyingParty, ada: Account, bob: Account
) -> None:
    page = browser.get(party.begin().url)
    disable_user(world.operator.deployment, bob.username)
    with nothing_changes(world):
        again = browser.select_account(page, bob.username)
    assert is_choice(again)
    assert bob.username not in again.text
    assert is_consent(browser.select_account(again, ada.username))


def test_a_person_has_one_session_in_a_browser_however_often_they_log_in(
    world: World, browser: Browser, party: RelyingParty, ada: Account
) -> None:
    """A login of somebody who is logged in adds to their session: the same `sid`, a later `auth_time`."""
    before = choose(browser, party, ada)
    world.clock.move(seconds=60)
    pending = party.begin(prompt="login")
    answer = browser.log_in(browser.get(pending.url), ada.username, ada.password)
    after = finish(party, pending, answer)
    assert after.id_claims["sid"] == before.id_claims["sid"]
    assert after.id_claims["auth_time"] >= before.id_claims["auth_time"] + 60
    page = browser.get(party.begin(prompt="select_account").url)
    assert page.text.count(f'value="{ada.username}"') == 1


def test_auth_time_is_that_of_the_account_that_was_chosen(
    world: World, party: RelyingParty, ada: Account, bob: Account
) -> None:
    browser = world.browser()
    world.get_code(party, ada, browser=browser)
    world.clock.move(seconds=100)
    pending = party.begin(prompt="login")
    later = finish(
        party, pending, browser.consent(browser.log_in(browser.get(pending.url), bob.username, bob.password))
    )
    earlier = choose(browser, party, ada)
    assert earlier.id_claims["auth_time"] <= later.id_claims["auth_time"] - 100
    # `max_age` is measured on whoever was chosen: Bob's login is young enough, Ada's is not.
    assert choose(browser, party, bob, max_age="50").claims["sub"] == bob.sub
    page = browser.select_account(browser.get(party.begin(max_age="50").url), ada.username)
    assert is_login(page)
    assert dict(find_form(page, "login-form").fields)["username"] == ada.username


# ----- What tells without asking -----


@pytest.mark.parametrize("by", ["username", "upper case", "e-mail"])
def test_login_hint_chooses(browser: Browser, party: RelyingParty, ada: Account, bob: Account, by: str) -> None:
    choose(browser, party, ada)
    choose(browser, party, bob)
    hints = {"username": ada.username, "upper case": ada.username.upper()}
    hint = hints.get(by, f"{ada.username}@EXAMPLE.com")
    pending = party.begin(login_hint=hint)
    assert finish(party, pending, browser.send_once(pending.url)).claims["sub"] == ada.sub
    assert silent_sub(browser, party, login_hint=hint) == ada.sub


def test_a_hint_that_names_none_of_them_leaves_the_choice(browser: Browser, party: RelyingParty) -> None:
    assert is_choice(browser.get(party.begin(login_hint="somebody@example.com").url))
    assert silent_error(browser, party, login_hint="somebody@example.com") == "account_selection_required"


def test_the_choice_can_be_made_whatever_was_hinted(
    browser: Browser, party: RelyingParty, ada: Account, bob: Account
) -> None:
    assert choose(browser, party, bob, prompt="select_account", login_hint=ada.username).claims["sub"] == bob.sub


# ----- prompt=none -----


def test_prompt_none_does_not_tell_a_new_client_who_is_signed_in(
    world: World, browser: Browser, party: RelyingParty, ada: Account
) -> None:
    choose(browser, party, ada)
    assert silent_sub(browser, party, login_hint=ada.username) == ada.sub
    stranger = world.relying_party()
    for hint in (ada.username, "nobody@example.com"):
        assert silent_error(browser, stranger, login_hint=hint) == "account_selection_required"


@pytest.mark.requirement("OpenID Connect Core 1.0", "3.1.2.6", "account_selection_required")
def test_prompt_none_cannot_choose_where_nothing_tells(world: World, browser: Browser, party: RelyingParty) -> None:
    with nothing_changes(world):
        assert silent_error(browser, party) == "account_selection_required"


def test_prompt_none_goes_on_with_the_account_that_the_client_had_last(
    world: World, browser: Browser, party: RelyingParty, ada: Account, bob: Account
) -> None:
    for account in (ada, bob, ada):
        world.clock.move(seconds=1)
        choose(browser, party, account)
        assert silent_sub(browser, party) == account.sub
    page = browser.get(party.begin().url)
    assert page.text.count("Used last") == 1
    assert dict(find_form(page, "account-form").fields)["account"] == ada.username
    # What one client knows is nothing to another.
    assert silent_error(browser, world.relying_party()) == "account_selection_required"


def test_prompt_none_by_post_is_answered_the_same(world: World, browser: Browser, party: RelyingParty) -> None:
    pending = party.begin(prompt="none")
    fields = [(name, str(value)) for name, value in pending.parameters.items()]
    answer = party.read_answer(browser.post(f"{world.issuer}/authorize", fields))
    assert answer["error"] == "account_selection_required"


def test_the_page_is_not_shown_for_prompt_none(world: World, browser: Browser, party: RelyingParty) -> None:
    pending = party.begin(prompt="none")
    fields = [(name, str(value)) for name, value in pending.parameters.items()]
    browser.post(f"{world.issuer}/authorize", fields)
    transaction = browser.url.partition("transaction=")[2]
    answer = party.read_answer(browser.get(f"{world.issuer}/select-account?transaction={transaction}"))
    assert answer["error"] == "account_selection_required"


# ----- The way out -----


def test_an_expired_choice_says_so_and_shows_the_way_back(world: World, browser: Browser, ada: Account) -> None:
    party = world.relying_party(client_uri="https://rp.example/start")
    page = browser.get(party.begin().url)
    world.clock.move(seconds=901)
    late = browser.select_account(page, ada.username)
    assert late.status == 400
    assert 'id="error-page"' in late.text
    assert 'href="https://rp.example/start"' in late.text


def test_going_back_to_the_choice_after_the_answer_leads_out(
    browser: Browser, party: RelyingParty, ada: Account
) -> None:
    pending = party.begin()
    page = browser.get(pending.url)
    url = browser.url
    finish(party, pending, browser.consent(browser.select_account(page, ada.username)))
    assert 'id="error-page"' in browser.get(url).text
