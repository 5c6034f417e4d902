"""Somebody is invited by the operator, and chooses a password."""

import secrets

import pytest

from app.services.invite_person import invite_person
from app.services.manage_users import NewUser
from app.services.refusal import Refusal
from tests.actors.browser import find_form
from tests.world import MailWorld, World

PASSWORD = "seven green umbrellas sail"


@pytest.fixture
def guest() -> NewUser:
    name = f"guest-{secrets.token_hex(4)}"
    return NewUser(username=name, email=f"{name}@example.org")


def test_who_is_invited_chooses_a_password_once(mail_world: MailWorld, guest: NewUser) -> None:
    invite_person(mail_world.operator.deployment, guest)
    browser = mail_world.browser()
    link = mail_world.link_for(guest.email, path="/invitation")
    assert guest.username in browser.get(link).text
    find_form(browser.get(link), "new-password-form")
    assert "Your account is ready" in browser.post(link, [("password", PASSWORD)]).text
    page = browser.log_in(browser.get(f"{mail_world.issuer}/account"), guest.username, PASSWORD)
    assert 'id="sign-out"' in page.text
    assert browser.get(link).status == 400
    with pytest.raises(Refusal, match="already"):
        invite_person(mail_world.operator.deployment, guest)


def test_a_second_invitation_ends_the_first(mail_world: MailWorld, guest: NewUser) -> None:
    for count in (1, 2):
        invite_person(mail_world.operator.deployment, guest)
        mail_world.mail.wait_for(guest.email, count)
    first, second = (mail.link for mail in mail_world.mail.to(guest.email))
    assert mail_world.browser().get(first).status == 400
    assert mail_world.browser().get(second).status == 200


def test_an_invitation_ends_after_a_week(mail_world: MailWorld, guest: NewUser) -> None:
    invite_person(mail_world.operator.deployment, guest)
    link = mail_world.link_for(guest.email, path="/invitation")
    mail_world.clock.move(seconds=7 * 86_400 + 1)
    assert mail_world.browser().post(link, [("password", PASSWORD)]).status == 400


def test_without_mail_nobody_is_invited(world: World, guest: NewUser) -> None:
    with pytest.raises(Refusal, match="TOKENHOUSE_SMTP_URL"):
        invite_person(world.operator.deployment, guest)
