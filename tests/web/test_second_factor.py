"""Signing in with a second factor: an authenticator app is set up, asked for, and its loss got over."""

import re
from urllib.parse import urljoin

import pytest

from app.services.list_audit import list_audit
from tests.actors.authenticator import (
    Authenticator,
    enrol,
    enter_code,
    guard,
    open_sensitive,
    read_key,
    read_recovery_codes,
)
from tests.actors.browser import find_form
from tests.actors.http import Reply
from tests.world import World

pytestmark = pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True)


def sign_in(world: World, username: str, password: str) -> Reply:
    """What a new browser shows after the right password."""
    browser = world.browser()
    return browser.log_in(browser.get(world.relying_party().begin().url), username, password)


def test_an_app_is_set_up_by_its_key_and_confirmed_by_a_code(world: World) -> None:
    browser, account = world.browser(), world.operator.add_user()
    page = open_sensitive(world, browser, account, "/account/authenticator")
    assert "<svg" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert "data:" not in page.text
    app = Authenticator(read_key(page), world.clock)
    # Nothing counts yet: a password is still enough.
    assert 'id="consent-form"' in sign_in(world, account.username, account.password).text
    form = find_form(page, "totp-form")
    done = browser.post(urljoin(browser.url, form.action), form.with_values(code=app.code()))
    codes = read_recovery_codes(done)
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"([0-9a-hjkmnp-tv-z]{4}-){5}[0-9a-hjkmnp-tv-z]{4}", code) for code in codes)
    assert 'id="second-factor-form"' in sign_in(world, account.username, account.password).text


def test_a_reload_shows_the_same_key_and_another_session_another(world: World) -> None:
    browser, other, account = world.browser(), world.browser(), world.operator.add_user()
    key = read_key(open_sensitive(world, browser, account, "/account/authenticator"))
    assert read_key(browser.get(f"{world.issuer}/account/authenticator")) == key
    assert read_key(open_sensitive(world, other, account, "/account/authenticator")) != key


def test_a_wrong_code_confirms_nothing(world: World) -> None:
    browser, account = world.browser(), world.operator.add_user()
    page = open_sensitive(world, browser, account, "/account/authenticator")
    form = find_form(page, "totp-form")
    refused = browser.post(urljoin(browser.url, form.action), form.with_values(code="000000"))
    assert refused.status == 400
    assert 'role="alert"' in refused.text
    assert read_key(refused) == read_key(page)
    assert 'id="consent-form"' in sign_in(world, account.username, account.password).text


def test_a_sign_in_asks_for_the_code_and_no_session_begins_before(world: World) -> None:
    person, browser, party = guard(world), world.browser(), world.relying_party()
    pending = party.begin()
    page = browser.log_in(browser.get(pending.url), person.account.username, person.account.password)
    assert browser.url.startswith(f"{world.issuer}/second-factor?")
    assert person.account.username in page.text
    assert "Photo printing" in page.text
    # Whoever stops here is nobody: another request asks for the login.
    assert 'id="login-form"' in browser.get(party.begin().url).text
    page = enter_code(browser, page, person.app.next_code())
    code = party.read_callback(browser.consent(page), pending)
    claims = party.exchange(code, pending).id_claims
    assert sorted(claims["amr"]) == ["mfa", "otp", "pwd"]


def test_a_sign_in_for_a_page_of_ours_asks_for_the_code_too(world: World) -> None:
    person, browser = guard(world), world.browser()
    page = open_sensitive(world, browser, person.account, "/account/security")
    page = enter_code(browser, page, person.app.next_code())
    assert browser.url == f"{world.issuer}/account/security"
    assert "Authenticator app" in page.text


def test_a_recovery_code_lets_in_once_and_says_how_many_are_left(world: World) -> None:
    person, browser, party = guard(world), world.browser(), world.relying_party()
    pending = party.begin()
    page = browser.log_in(browser.get(pending.url), person.account.username, person.account.password)
    other = re.search(r'id="second-factor-other" href="([^"]+)"', page.text)
    assert other is not None
    page = browser.get(urljoin(browser.url, other[1].replace("&amp;", "&")))
    # As a person types it.
    typed = person.recovery_codes[3].upper().replace("-", " ").replace("0", "O").replace("1", "l")
    told = enter_code(browser, page, typed)
    assert "You have 9 left." in told.text
    way_on = re.search(r'id="recovery-continue" href="([^"]+)"', told.text)
    assert way_on is not None
    page = browser.get(urljoin(browser.url, way_on[1]))
    party.read_callback(browser.consent(page), pending)
    (used,) = list_audit(world.operator.deployment, sub=person.account.sub, event_type="recovery_code.used")
    assert used.body["remaining"] == 9


def test_who_is_somebody_else_starts_over(world: World) -> None:
    person, other, browser = guard(world), world.operator.add_user(), world.browser()
    page = browser.log_in(
        browser.get(world.relying_party().begin().url), person.account.username, person.account.password
    )
    form = find_form(page, "second-factor-leave")
    page = browser.post(urljoin(browser.url, form.action), form.with_values(decision="restart"))
    assert person.account.username not in page.text
    assert 'id="consent-form"' in browser.log_in(page, other.username, other.password).text


def test_new_recovery_codes_replace_the_old_ones(world: World) -> None:
    browser, account = world.browser(), world.operator.add_user()
    person = enrol(world, browser, account)
    page = browser.get(f"{world.issuer}/account/recovery-codes")
    # The session began with the password alone, so that it is asked for the factor that there is now.
    page = enter_code(browser, page, person.app.next_code())
    assert "You have 10 recovery codes left." in page.text
    form = find_form(page, "recovery-codes-form")
    renewed = browser.post(urljoin(browser.url, form.action), form.with_values())
    codes = read_recovery_codes(renewed)
    assert len(codes) == 10
    assert not set(codes) & set(person.recovery_codes)
    again = world.browser()
    page = again.log_in(again.get(world.relying_party().begin().url), account.username, account.password)
    assert 'role="alert"' in enter_code(again, page, person.recovery_codes[0]).text
    assert "You have 9 left." in enter_code(again, page, codes[0]).text


def test_an_app_is_removed_with_the_codes_that_stood_in_for_it(world: World) -> None:
    browser, account = world.browser(), world.operator.add_user()
    person = enrol(world, browser, account)
    page = browser.get(f"{world.issuer}/account/authenticator")
    page = enter_code(browser, page, person.app.next_code())
    form = find_form(page, "totp-remove-form")
    page = browser.post(urljoin(browser.url, form.action), form.with_values())
    assert "The authenticator app is removed." in page.text
    assert 'id="recovery-codes-left"' not in page.text
    assert 'id="consent-form"' in sign_in(world, account.username, account.password).text


def test_sessions_elsewhere_are_ended_and_this_one_is_not(world: World) -> None:
    account = world.operator.add_user()
    browser, elsewhere = world.browser(), world.browser()
    for each in (browser, elsewhere):
        open_sensitive(world, each, account, "/account/security")
    page = browser.get(f"{world.issuer}/account/security")
    assert "You are signed in in 1 other browser." in page.text
    form = find_form(page, "end-other-sessions-form")
    page = browser.post(urljoin(browser.url, form.action), form.with_values())
    assert "You are signed in nowhere else." in page.text
    assert 'id="login-form"' in elsewhere.get(f"{world.issuer}/account/security").text
    assert 'id="login-form"' not in browser.get(f"{world.issuer}/account/security").text
