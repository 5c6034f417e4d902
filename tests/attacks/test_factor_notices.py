"""attacks.md, case 114: whoever changes how people get in, their owner hears of it."""

import pytest

from app.services.list_audit import list_audit
from app.services.manage_users import disable_user, enable_user, set_user, sign_out_user
from tests.actors.authenticator import enrol, enter_code
from tests.actors.browser import find_form
from tests.actors.mail_server import MailServer
from tests.world import World


@pytest.mark.parametrize("proxied", ["sqlite"], indirect=True)
def test_114_each_change_of_a_factor_is_told_to_its_owner(guarded: World, mails: MailServer) -> None:
    browser, account = guarded.browser(), guarded.operator.add_user()
    to = f"{account.username}@example.com"
    person = enrol(guarded, browser, account)
    page = enter_code(browser, browser.get(f"{guarded.issuer}/account/recovery-codes"), person.app.next_code())
    form = find_form(page, "recovery-codes-form")
    browser.post(f"{guarded.issuer}{form.action}", form.with_values())
    page = browser.get(f"{guarded.issuer}/account/authenticator")
    form = find_form(page, "totp-remove-form")
    browser.post(f"{guarded.issuer}{form.action}", form.with_values())
    mails.wait_for(to, 3)
    subjects = [str(mail.message["Subject"]) for mail in mails.to(to)]
    assert len(subjects) == 3, subjects
    events = {event.type for event in list_audit(guarded.operator.deployment, sub=account.sub)}
    assert {"totp.added", "recovery_codes.renewed", "totp.removed"} <= events


@pytest.mark.parametrize("proxied", ["sqlite"], indirect=True)
def test_112_who_has_the_password_and_guesses_codes_is_told_to_the_owner(guarded: World, mails: MailServer) -> None:
    browser, account = guarded.browser(), guarded.operator.add_user()
    to = f"{account.username}@example.com"
    enrol(guarded, guarded.browser(), account)
    mails.wait_for(to, 1)
    page = browser.get(guarded.relying_party().begin().url)
    page = browser.log_in(page, account.username, account.password)
    for _ in range(6):
        page = enter_code(browser, page, "no code")
    assert 'id="login-form"' in page.text
    mail = mails.wait_for(to, 2)
    assert "wrong codes" in mail.text
    assert "127.0.0.1" in mail.text


@pytest.mark.parametrize("proxied", ["sqlite"], indirect=True)
def test_what_the_administrator_does_to_an_account_is_told_to_its_owner(guarded: World, mails: MailServer) -> None:
    account, deployment = guarded.operator.add_user(), guarded.operator.deployment
    to = f"{account.username}@example.com"
    for is_admin in (True, True, False):
        set_user(deployment, account.sub, is_admin=is_admin)
    set_user(deployment, account.sub, claims={"email_verified": True})
    set_user(deployment, account.sub, claims={})
    sign_out_user(deployment, account.sub)
    for change in (disable_user, disable_user, enable_user, enable_user):
        change(deployment, account.sub)
    mails.wait_for(to, 7)
    # What was so already is no news.
    assert sorted(str(mail.message["Subject"]).partition(": ")[2] for mail in mails.to(to)) == [
        "You are an administrator now",
        "You are no longer an administrator",
        "You were signed out everywhere",
        "Your account was locked",
        "Your account was unlocked",
        "Your e-mail address counts as confirmed",
        "Your e-mail address no longer counts as confirmed",
    ]
    assert all("If you did not ask for it, ask them." in mail.text for mail in mails.to(to))
