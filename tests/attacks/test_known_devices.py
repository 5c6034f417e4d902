"""Devices on which somebody has logged in: they stay open to their owners, and are closed to who took a password."""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urljoin

import pytest

from app.services.known_devices import MAX_PEOPLE_ON_DEVICE
from app.services.list_audit import AuditEvent, list_audit
from app.services.manage_users import disable_user, enable_user, reset_factors, set_password
from tests.actors.browser import Browser, find_form
from tests.actors.mail_server import MailServer
from tests.attacks.guessing import Guesser, assert_throttled, lock, own_browser
from tests.deployments import Account
from tests.world import World

NEW = "seven green umbrellas sail"

pytestmark = pytest.mark.parametrize("proxied", ["sqlite"], indirect=True)


# ----- Several people in one browser -----


def test_108_whoever_else_signs_in_there_does_not_take_a_device_from_its_owner(guarded: World) -> None:
    bob, carl = guarded.operator.add_user(), guarded.operator.add_user()
    browser = own_browser(guarded, bob)
    assert Guesser(guarded, browser).guess(carl.username, carl.password).status == 303
    for account in (bob, carl):
        assert_throttled(lock(guarded, account).guess(account.username, account.password))
        assert Guesser(guarded, browser).guess(account.username, account.password).status == 303
        guarded.clock.move(seconds=3600)


def test_108_who_signs_in_beside_the_owner_gets_no_more_tries_by_it(guarded: World) -> None:
    bob, carl = guarded.operator.add_user(), guarded.operator.add_user()
    browser = own_browser(guarded, bob)
    statuses = []
    for _ in range(11):
        guesser = Guesser(guarded, browser)
        statuses += [guesser.guess(bob.username).status for _ in range(2)]
        assert guesser.guess(carl.username, carl.password).status == 303
    assert statuses == [200] * 20 + [429] * 2


def test_a_device_vouches_for_as_many_people_as_its_cookie_holds(guarded: World) -> None:
    people = [guarded.operator.add_user() for _ in range(MAX_PEOPLE_ON_DEVICE + 1)]
    browser = own_browser(guarded, people[0])
    for account in people[1:]:
        assert Guesser(guarded, browser).guess(account.username, account.password).status == 303
    (cookie,) = (value for name, value in browser.cookies.items() if "-device" in name)
    assert len(cookie.split(".")) == MAX_PEOPLE_ON_DEVICE
    for account, is_known in ((people[1], True), (people[0], False)):
        lock(guarded, account)
        guess = Guesser(guarded, browser).guess(account.username, account.password)
        assert (guess.status == 303) == is_known, guess.status


# ----- The browser of somebody who took a password -----


def _post_own_form(world: World, browser: Browser, path: str, form_id: str, **values: str | None) -> None:
    form = find_form(browser.get(f"{world.issuer}{path}"), form_id)
    reply = browser.post(urljoin(browser.url, form.action or path), form.with_values(**values))
    assert reply.status == 200, reply.text[:500]


def _change_password(world: World, owner: Browser, account: Account) -> Account:
    _post_own_form(world, owner, "/account/password", "password-form", password=NEW)
    return replace(account, password=NEW)


def _change_password_and_stay(world: World, owner: Browser, account: Account) -> Account:
    _post_own_form(world, owner, "/account/password", "password-form", password=NEW, end_others=None)
    return replace(account, password=NEW)


def _end_others(world: World, owner: Browser, account: Account) -> Account:
    _post_own_form(world, owner, "/account/security", "end-other-sessions-form")
    return account


def _reset(world: World, owner: Browser, account: Account, mails: MailServer) -> Account:
    page = owner.get(f"{world.issuer}/reset")
    owner.post(owner.url, find_form(page, "reset-form").with_values(username=account.username))
    link = mails.wait_for(f"{account.username}@example.com", words="/reset/th_el_").link
    form = find_form(owner.get(link), "new-password-form")
    assert owner.post(owner.url, form.with_values(password=NEW)).status == 200
    return replace(account, password=NEW)


def _logins(world: World, account: Account) -> list[AuditEvent]:
    return list(list_audit(world.operator.deployment, event_type="login.succeeded", sub=account.sub))


def _assert_only_the_owner_is_known(world: World, thief: Browser, owner: Browser, account: Account) -> None:
    lock(world, account)
    assert_throttled(Guesser(world, thief).guess(account.username, account.password))
    assert Guesser(world, owner).guess(account.username, account.password).status == 303


def _assert_thief_is_news(world: World, thief: Browser, account: Account, mails: MailServer) -> None:
    world.clock.move(seconds=3600)
    assert Guesser(world, thief).guess(account.username, account.password).status == 303
    login = _logins(world, account)[0]
    assert (login.body["known_device"], login.body["new_device"]) == (False, True)
    mails.wait_for(f"{account.username}@example.com", words="an unknown device")


@pytest.mark.parametrize("act", [_change_password, _change_password_and_stay, _end_others])
def test_who_throws_others_out_makes_their_devices_strange_again(
    guarded: World, mails: MailServer, act: Callable[[World, Browser, Account], Account]
) -> None:
    account = guarded.operator.add_user()
    thief, owner = own_browser(guarded, account), own_browser(guarded, account)
    account = act(guarded, owner, account)
    _assert_only_the_owner_is_known(guarded, thief, owner, account)
    _assert_thief_is_news(guarded, thief, account, mails)


def test_a_reset_makes_other_devices_strange_again(guarded: World, mails: MailServer) -> None:
    account = guarded.operator.add_user()
    thief, owner = own_browser(guarded, account), own_browser(guarded, account)
    account = _reset(guarded, owner, account, mails)
    _assert_only_the_owner_is_known(guarded, thief, owner, account)


def _disable(world: World, account: Account) -> Account:
    disable_user(world.operator.deployment, account.username)
    enable_user(world.operator.deployment, account.username)
    return account


def _set_password(world: World, account: Account) -> Account:
    set_password(world.operator.deployment, account.username, NEW)
    return replace(account, password=NEW)


def _reset_factors(world: World, account: Account) -> Account:
    reset_factors(world.operator.deployment, account.username)
    return account


@pytest.mark.parametrize("act", [_disable, _set_password, _reset_factors])
def test_what_an_operator_does_makes_every_device_strange_again(
    guarded: World, mails: MailServer, act: Callable[[World, Account], Account]
) -> None:
    account = guarded.operator.add_user()
    thief = own_browser(guarded, account)
    account = act(guarded, account)
    lock(guarded, account)
    assert_throttled(Guesser(guarded, thief).guess(account.username, account.password))
    _assert_thief_is_news(guarded, thief, account, mails)
