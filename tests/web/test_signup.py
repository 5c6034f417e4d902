"""An account of one's own: the whole way, and what nobody learns and nobody gets by it."""

import re
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services.manage_users import list_users
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply, send
from tests.actors.relying_party import read_jwt
from tests.world import MailWorld, World

PASSWORD = "seven green umbrellas sail"


def new_address() -> str:
    return f"new-{secrets.token_hex(4)}@example.org"


def sign_up(world: MailWorld, address: str, browser: Browser | None = None, **values: str) -> Reply:
    """Fill in the form; in a sign-in that waits in the browser, if one does."""
    browser = browser or world.browser()
    page = browser.get(browser.url if "transaction=" in browser.url else f"{world.issuer}/signup")
    form = find_form(page, "signup-form")
    entered = {"name": "Nora Nielsen", "email": address, "password": PASSWORD, **values}
    return browser.post(f"{world.issuer}/signup", form.with_values(**entered))


def exists(world: MailWorld, address: str) -> bool:
    return address in [user.email for user in list_users(world.operator.deployment)]


def link_for(world: MailWorld, address: str) -> str:
    return world.link_for(address, path="/signup")


def test_somebody_new_comes_from_an_application_and_goes_back_to_it(mail_world: MailWorld) -> None:
    party, browser, address = mail_world.relying_party(), mail_world.browser(), new_address()
    pending = party.begin(scope="openid email profile")
    login = browser.get(pending.url)
    (path,) = re.findall(r'id="sign-up" href="([^"]+)"', login.text)
    browser.get(f"{mail_world.issuer}{path}")
    assert "Look at your mail" in sign_up(mail_world, address, browser).text
    link = link_for(mail_world, address)
    assert not exists(mail_world, address)
    assert 'name="password"' not in browser.get(link).text
    assert not exists(mail_world, address)
    reply = browser.consent(browser.post(link, []))
    tokens = party.exchange(party.read_callback(reply, pending), pending)
    claims = party.userinfo(tokens.access_token).json()
    assert claims["email"] == address
    assert claims["email_verified"] is True
    assert claims["name"] == "Nora Nielsen"
    assert claims["preferred_username"].startswith("nora.nielsen")
    assert read_jwt(tokens.id_token)["amr"] == ["pwd"]


def test_who_signed_up_signs_in_by_their_address_or_their_username(mail_world: MailWorld) -> None:
    address, browser = new_address(), mail_world.browser()
    sign_up(mail_world, address, browser)
    browser.post(link_for(mail_world, address), [])
    (user,) = (user for user in list_users(mail_world.operator.deployment) if user.email == address)
    for name in (address.upper(), user.username):
        other = mail_world.browser()
        page = other.log_in(other.get(f"{mail_world.issuer}/account"), name, PASSWORD)
        assert user.username in page.text


# ----- Whose account it is -----


def test_in_another_browser_the_password_is_asked_for(mail_world: MailWorld) -> None:
    """Else somebody makes an account for another's address, has them confirm it, and knows its password."""
    address, phone = new_address(), mail_world.browser()
    sign_up(mail_world, address)
    link = link_for(mail_world, address)
    form = find_form(phone.get(link), "confirm-form")
    assert form.fields == [("password", "")]
    refused = phone.post(link, [("password", "what the owner guesses")])
    assert refused.status == 400
    assert "not the password" in refused.text
    assert not exists(mail_world, address)
    reply = phone.post(link, [("password", PASSWORD)])
    assert "Your account is ready" in reply.text
    assert exists(mail_world, address)
    # Nobody was signed in by it.
    assert 'id="login-form"' in phone.get(f"{mail_world.issuer}/account").text


def test_the_password_of_a_link_is_not_guessed(mail_world: MailWorld) -> None:
    address = new_address()
    sign_up(mail_world, address)
    link = link_for(mail_world, address)
    statuses = [mail_world.browser().post(link, [("password", f"guess {n}")]).status for n in range(11)]
    assert statuses[-1] == 429
    assert not exists(mail_world, address)


def test_116_of_ten_who_confirm_at_once_one_makes_the_account(each_mail_world: MailWorld) -> None:
    address = new_address()
    sign_up(each_mail_world, address)
    link = link_for(each_mail_world, address)
    with ThreadPoolExecutor(10) as pool:
        statuses = list(
            pool.map(lambda _: each_mail_world.browser().post(link, [("password", PASSWORD)]).status, range(10))
        )
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 400, 429}
    assert [user.email for user in list_users(each_mail_world.operator.deployment)].count(address) == 1


def test_of_two_sign_ups_for_one_address_the_first_that_is_confirmed_counts(mail_world: MailWorld) -> None:
    address, browsers = new_address(), [mail_world.browser(), mail_world.browser()]
    for browser in browsers:
        sign_up(mail_world, address, browser)
    mail_world.mail.wait_for(address, 2, words="/signup/th_el_")
    links = [mail.link for mail in mail_world.mail.about(address, "/signup/th_el_")]
    assert browsers[0].post(links[0], []).status == 200
    assert "You already have an account" in browsers[1].post(links[1], []).text
    assert [user.email for user in list_users(mail_world.operator.deployment)].count(address) == 1


def test_116_a_link_ends_after_a_day(mail_world: MailWorld) -> None:
    address = new_address()
    sign_up(mail_world, address)
    link = link_for(mail_world, address)
    mail_world.clock.move(seconds=86_401)
    assert mail_world.browser().post(link, [("password", PASSWORD)]).status == 400
    assert not exists(mail_world, address)


# ----- The same answer for everybody -----


def comparable(reply: Reply, address: str) -> str:
    return re.sub(r"transaction=[0-9a-f]+", "", reply.text.replace(address, "ADDRESS"))


def test_106_nobody_learns_whether_there_is_an_account(mail_world: MailWorld) -> None:
    owner = mail_world.operator.add_user()
    known, unknown = mail_world.address_of(owner), new_address()
    replies = [sign_up(mail_world, address) for address in (known, unknown)]
    assert [reply.status for reply in replies] == [200, 200]
    assert comparable(replies[0], known) == comparable(replies[1], unknown)
    told = mail_world.mail.wait_for(known, words="there is one already")
    assert owner.username in told.text
    assert "th_el_" not in told.text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": " "}, "what you are called"),
        ({"name": "\u202e\u202e"}, "what you are called"),
        ({"email": "nobody"}, "no e-mail address"),
        ({"email": "a,b@example.org"}, "no e-mail address"),
        ({"password": "short"}, "too short"),
        ({"password": "Nora Nielsen 12"}, "your name or your address is in it"),
        ({"password": "maybe gravel otter lantern"}, "a list that attackers use"),
    ],
)
def test_what_cannot_be_an_account_is_told_at_once(mail_world: MailWorld, values: dict[str, str], words: str) -> None:
    address = new_address()
    reply = sign_up(mail_world, **{"address": address, **values})
    assert reply.status == 400
    assert words in reply.text
    assert find_form(reply, "signup-form")
    assert PASSWORD not in reply.text


def test_sign_ups_for_one_address_are_bounded(mail_world: MailWorld) -> None:
    address = new_address()
    statuses = [sign_up(mail_world, address).status for _ in range(7)]
    assert statuses[0] == 200
    assert statuses[-1] == 429


def test_a_stranger_has_no_words_of_theirs_sent_to_anybody(mail_world: MailWorld) -> None:
    address = new_address()
    assert sign_up(mail_world, address, name="Win at prizes.example now").status == 200
    assert "prizes" not in mail_world.mail.wait_for(address, 1, words="/signup/th_el_").text


def test_another_sites_form_signs_nobody_up(mail_world: MailWorld) -> None:
    browser = mail_world.browser()
    form = find_form(browser.get(f"{mail_world.issuer}/signup"), "signup-form")
    values = {"name": "Nora", "email": new_address(), "password": PASSWORD, "csrf_token": "forged"}
    assert browser.post(f"{mail_world.issuer}/signup", form.with_values(**values)).status == 403


def test_where_sign_up_is_off_there_is_no_page_and_no_way_to_it(world: World) -> None:
    assert send(f"{world.issuer}/signup").status == 404
    assert send(f"{world.issuer}/reset").status == 404
    login = world.browser().get(world.relying_party().begin().url).text
    assert 'id="sign-up"' not in login
    assert 'id="forgot-password"' not in login
