"""attacks.md, case 114: whoever changes how people get in, their owner hears of it."""

import pytest

from app.services.list_audit import list_audit
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
