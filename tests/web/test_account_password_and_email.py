"""What somebody who is signed in changes about how people get in, and how they are reached."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest

from app.services.manage_users import set_user, show_user
from app.services.refusal import Refusal
from app.storage.tables import users
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply
from tests.deployments import Account
from tests.world import MailWorld

NEW = "seven green umbrellas sail"


@dataclass
class Somebody:
    """A person who has just signed in to the pages of their account."""

    world: MailWorld
    account: Account
    browser: Browser

    def open(self, path: str) -> Reply:
        """A page of theirs; if they have to sign in for it first, they do."""
        page = self.browser.get(f"{self.world.issuer}{path}")
        if 'id="login-form"' in page.text:
            page = self.browser.log_in(page, self.account.username, self.account.password)
        return page

    def send(self, path: str, form_id: str, **values: str | None) -> Reply:
        """Fill in the form on a page of theirs."""
        form = find_form(self.open(path), form_id)
        return self.browser.post(f"{self.world.issuer}{path}", form.with_values(**values))

    @property
    def email(self) -> str:
        """The address that their account has."""
        return self.world.address_of(self.account)

    @property
    def is_verified(self) -> bool:
        """Whether their address counts as verified."""
        return show_user(self.world.operator.deployment, self.account.username).claims["email_verified"] is True


@pytest.fixture
def somebody(mail_world: MailWorld) -> Somebody:
    return sign_in(mail_world)


def sign_in(world: MailWorld, account: Account | None = None) -> Somebody:
    somebody = Somebody(world, account or world.operator.add_user(), world.browser())
    assert 'id="password-change"' in somebody.open("/account/security").text
    return somebody


def is_signed_in(somebody: Somebody) -> bool:
    return 'id="login-form"' not in somebody.browser.get(f"{somebody.world.issuer}/account").text


# ----- The password -----


def test_114_a_new_password_ends_whoever_else_is_signed_in(somebody: Somebody) -> None:
    elsewhere = sign_in(somebody.world, somebody.account)
    reply = somebody.send("/account/password", "password-form", password=NEW)
    assert "Your new password is saved" in reply.text
    assert is_signed_in(somebody)
    assert not is_signed_in(elsewhere)
    assert 'id="login-error"' in elsewhere.open("/account").text
    elsewhere.account = replace(somebody.account, password=NEW)
    elsewhere.open("/account")
    assert is_signed_in(elsewhere)
    somebody.world.mail.wait_for(somebody.email, words="has a new password")


def test_who_changes_the_password_may_stay_signed_in_elsewhere(somebody: Somebody) -> None:
    elsewhere = sign_in(somebody.world, somebody.account)
    somebody.send("/account/password", "password-form", password=NEW, end_others=None)
    assert is_signed_in(elsewhere)


@pytest.mark.parametrize("path", ["/account/password", "/account/email"])
def test_114_an_old_login_changes_nothing_about_how_people_get_in(somebody: Somebody, path: str) -> None:
    form = find_form(somebody.open(path), f"{path.rpartition('/')[2]}-form")
    somebody.world.clock.move(seconds=301)
    values = form.with_values(password=NEW, email="thief@evil.example")
    reply = somebody.browser.post(f"{somebody.world.issuer}{path}", values)
    assert 'id="login-form"' in reply.text
    assert somebody.email.endswith("@example.com")
    somebody.account = replace(somebody.account, password=NEW)
    assert 'id="login-error"' in somebody.open(path).text


def test_114_another_sites_form_sets_no_password(somebody: Somebody) -> None:
    somebody.open("/account/password")
    reply = somebody.browser.post(f"{somebody.world.issuer}/account/password", [("password", NEW), ("csrf_token", "x")])
    assert reply.status == 403
    somebody.open("/account")
    assert is_signed_in(sign_in(somebody.world, somebody.account))


def test_a_name_is_no_password(somebody: Somebody) -> None:
    weak = f"{somebody.account.username}@example.com"
    reply = somebody.send("/account/password", "password-form", password=weak)
    assert reply.status == 400
    assert "your name or your address is in it" in reply.text


def test_who_signs_in_otherwise_can_have_a_password(somebody: Somebody) -> None:
    database = somebody.world.operator.deployment.database
    no_password = users.update().where(users.c.sub == somebody.account.sub).values(password_hash=None)
    database.transact(lambda connection: connection.execute(no_password))
    page = somebody.open("/account/password")
    assert "Set a password" in page.text
    somebody.send("/account/password", "password-form", password=NEW)
    assert is_signed_in(sign_in(somebody.world, replace(somebody.account, password=NEW)))


# ----- The address -----


def test_an_address_that_the_operator_gave_is_confirmed_by_a_link(somebody: Somebody) -> None:
    assert 'id="email-verify"' in somebody.open("/account/security").text
    assert not somebody.is_verified
    assert "on its way" in somebody.send("/verify", "verify-form").text
    link = somebody.world.link_for(somebody.email, path="/verify")
    stranger = somebody.world.browser()
    find_form(stranger.get(link), "confirm-form")
    assert not somebody.is_verified
    assert stranger.post(link, []).status == 200
    assert somebody.is_verified
    assert stranger.post(link, []).status == 400
    assert 'id="email-verify"' not in somebody.open("/account/security").text


def test_a_new_address_counts_once_it_is_confirmed_and_the_old_one_hears_of_it(somebody: Somebody) -> None:
    old, new = somebody.email, f"new-{somebody.account.username}@example.net"
    assert "on its way" in somebody.send("/account/email", "email-form", email=new).text
    asked = somebody.world.mail.wait_for(old, words="asked for another e-mail address")
    assert "/reset" in asked.text
    assert "th_el_" not in asked.text
    link = somebody.world.link_for(new, path="/account/email")
    assert somebody.email == old
    find_form(somebody.browser.get(link), "confirm-form")
    assert somebody.email == old
    assert somebody.browser.post(link, []).status == 200
    assert somebody.email == new
    assert somebody.is_verified
    told = somebody.world.mail.wait_for(old, words="has another e-mail address now")
    assert "127.0.0.1" in told.text


def test_the_old_address_hears_of_a_change_by_the_operator(somebody: Somebody) -> None:
    account, world = somebody.account, somebody.world
    assert 'id="email-link"' in somebody.browser.get(f"{world.issuer}/account").text
    former = show_user(world.operator.deployment, account.username).email
    set_user(world.operator.deployment, account.username, claims={"nickname": "Annie"})
    set_user(world.operator.deployment, account.username, email=f"new-{former}")
    world.mail.wait_for(former, words="has another e-mail address now")
    (told,) = world.mail.about(former, "has another e-mail address now")
    assert "did this" in told.text


def test_116_a_link_to_a_new_address_ends_with_a_new_password(somebody: Somebody) -> None:
    new = f"new-{somebody.account.username}@example.net"
    somebody.send("/account/email", "email-form", email=new)
    link = somebody.world.link_for(new, path="/account/email")
    somebody.send("/account/password", "password-form", password=NEW)
    assert somebody.browser.post(link, []).status == 400
    assert somebody.email != new


def test_an_address_belongs_to_one_account(each_mail_world: MailWorld) -> None:
    people = [sign_in(each_mail_world) for _ in range(2)]
    shared = f"both-{people[0].account.username}@example.com"
    for person in people:
        set_user(each_mail_world.operator.deployment, person.account.username, email=shared)
        person.send("/verify", "verify-form")
    each_mail_world.mail.wait_for(shared, 2, words="/verify/th_el_")
    links = [mail.link for mail in each_mail_world.mail.about(shared, "/verify/th_el_")]
    with ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(lambda link: each_mail_world.browser().post(link, []), links))
    assert sorted(reply.status for reply in replies) == [200, 400]
    assert any("It belongs to another account" in reply.text for reply in replies)
    assert [person.is_verified for person in people].count(True) == 1


def test_an_address_is_verified_by_the_operator_for_one_account(each_mail_world: MailWorld) -> None:
    deployment = each_mail_world.operator.deployment

    def verify(name: str, email: str) -> str:
        try:
            set_user(deployment, name, email=email, claims={"email_verified": True})
        except Refusal as refusal:
            return refusal.error
        return "verified"

    for _ in range(4):
        names = [each_mail_world.operator.add_user().username for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(verify, names, [f"{names[0]}@shared.example"] * 4))
        assert sorted(answers) == ["email_exists"] * 3 + ["verified"]


@pytest.mark.parametrize("email", ["", "nobody", "a@b@c", "x@evil.example\r\nBcc: y@evil.example", "a,b@example.com"])
def test_what_is_no_address_gets_no_mail(somebody: Somebody, email: str) -> None:
    form = find_form(somebody.open("/account/email"), "email-form")
    reply = somebody.browser.post(f"{somebody.world.issuer}/account/email", form.with_values(email=email))
    assert reply.status == 400
    assert not [mail for mail in somebody.world.mail.mails if "evil.example" in f"{mail.recipients}"]


def test_mails_to_one_address_are_bounded(somebody: Somebody) -> None:
    new = f"new-{somebody.account.username}@example.net"
    statuses = [somebody.send("/account/email", "email-form", email=new).status for _ in range(7)]
    assert statuses[0] == 200
    assert statuses[-1] == 429
