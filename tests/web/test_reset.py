"""A new password for whoever forgot theirs: the whole way, and every other way that must not open anything."""

import re
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services.manage_users import disable_user, set_password
from app.services.throttle_logins import LOGINS_OF_ACCOUNT_FROM_NETWORK
from app.storage.users import find_user_by_sub, set_email
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply, send
from tests.deployments import PASSWORD, Account
from tests.world import MailWorld

LINKS = {name: f"https://prints.example/{name}" for name in ("policy_uri", "tos_uri")}
NEW = "seven green umbrellas sail"


def ask(world: MailWorld, typed: str, browser: Browser | None = None) -> Reply:
    """What the page answers to whoever forgot their password."""
    browser = browser or world.browser()
    page = browser.get(f"{world.issuer}/reset")
    return browser.post(f"{world.issuer}/reset", find_form(page, "reset-form").with_values(username=typed))


def choose(world: MailWorld, link: str, password: str = NEW) -> Reply:
    """Open a link and send the form behind it."""
    browser = world.browser()
    find_form(browser.get(link), "new-password-form")
    return browser.post(link, [("password", password)])


def assert_says_who_asks(page: Reply) -> None:
    """design.md: each page of a sign-in shows the client's name, logo, policy and terms."""
    assert '<bdi class="client-name">Photo Prints</bdi>' in page.text
    assert 'src="/client-logo/' in page.text
    for name in LINKS.values():
        assert f'href="{name}"' in page.text


def logs_in(world: MailWorld, account: Account, password: str) -> bool:
    browser = world.browser()
    page = browser.get(world.relying_party().begin().url)
    return 'id="consent-form"' in browser.log_in(page, account.username, password).text


def without_addresses(page: Reply) -> str:
    return re.sub(r"[0-9a-f]{24}", "", page.text)


def test_who_forgot_the_password_chooses_another_and_goes_on_to_the_application(mail_world: MailWorld) -> None:
    account, browser, elsewhere = mail_world.operator.add_user(), mail_world.browser(), mail_world.browser()
    party = mail_world.relying_party(grant_types=["authorization_code", "refresh_token"])
    tokens = party.exchange(*mail_world.get_code(party, account, browser=elsewhere, scope="openid offline_access"))
    pending = party.begin()
    login = browser.get(pending.url)
    (path,) = re.findall(r'id="forgot-password" href="([^"]+)"', login.text)
    page = browser.get(f"{mail_world.issuer}{path}")
    address = mail_world.address_of(account)
    sent = browser.post(
        f"{mail_world.issuer}/reset", find_form(page, "reset-form").with_values(username=f" {address.upper()} ")
    )
    assert "Look at your mail" in sent.text
    link = mail_world.link_for(address)
    assert link.startswith(f"{mail_world.issuer}/reset/")
    form = browser.get(link)
    assert account.username in form.text
    saved = browser.post(link, [("password", NEW)])
    (path,) = re.findall(r'id="go-on" class="primary" href="([^"]+)"', saved.text)
    # Nobody is signed in by it: the sign-in goes on where it was left, and asks for the new password.
    login = browser.get(f"{mail_world.issuer}{path}")
    reply = browser.log_in(login, account.username, NEW)
    assert party.read_callback(reply, pending)
    assert not logs_in(mail_world, account, PASSWORD)
    assert party.try_refresh(tokens.refresh_token).json()["error"] == "invalid_grant"
    assert 'id="login-form"' in elsewhere.get(party.begin().url).text
    notice = mail_world.mail.wait_for(address, words="has a new password")
    assert "127.0.0.1" in notice.text


# ----- Attack 116 -----


@pytest.fixture
def forgetful(mail_world: MailWorld) -> Account:
    return mail_world.operator.add_user()


@pytest.fixture
def link(mail_world: MailWorld, forgetful: Account) -> str:
    """The link that somebody got."""
    ask(mail_world, forgetful.username)
    return mail_world.link_for(mail_world.address_of(forgetful))


def refused(world: MailWorld, link: str) -> None:
    """Neither GET nor POST shows or changes anything."""
    browser = world.browser()
    for reply in (browser.get(link), browser.post(link, [("password", NEW)])):
        assert reply.status == 400
        assert "This link does not work" in reply.text
        assert "new-password-form" not in reply.text


def test_116_a_link_is_good_once(mail_world: MailWorld, forgetful: Account, link: str) -> None:
    assert choose(mail_world, link).status == 200
    refused(mail_world, link)
    assert logs_in(mail_world, forgetful, NEW)


def test_116_of_ten_who_come_with_one_link_one_gets_in(each_mail_world: MailWorld) -> None:
    mail_world, forgetful = each_mail_world, each_mail_world.operator.add_user()
    ask(mail_world, forgetful.username)
    link = mail_world.link_for(mail_world.address_of(forgetful))

    def post(number: int) -> Reply:
        return mail_world.browser().post(link, [("password", f"{NEW} number {number}")])

    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(post, range(10)))
    assert sorted(reply.status for reply in replies) == [200] + [400] * 9
    (winner,) = (number for number, reply in enumerate(replies) if reply.status == 200)
    assert logs_in(mail_world, forgetful, f"{NEW} number {winner}")


def test_116_a_link_ends_after_half_an_hour(mail_world: MailWorld, forgetful: Account, link: str) -> None:
    mail_world.clock.move(seconds=30 * 60 + 1)
    refused(mail_world, link)
    assert logs_in(mail_world, forgetful, PASSWORD)


def test_116_a_newer_link_ends_the_older_one(mail_world: MailWorld, forgetful: Account, link: str) -> None:
    ask(mail_world, forgetful.username)
    newer = mail_world.link_for(mail_world.address_of(forgetful), 2)
    refused(mail_world, link)
    assert choose(mail_world, newer).status == 200


def test_116_a_link_ends_when_the_password_changes(mail_world: MailWorld, forgetful: Account, link: str) -> None:
    set_password(mail_world.operator.deployment, forgetful.username, PASSWORD + " by the operator")
    refused(mail_world, link)


def test_116_a_link_ends_when_the_address_changes(mail_world: MailWorld, forgetful: Account, link: str) -> None:
    database = mail_world.operator.deployment.database
    with database.reading() as connection:
        user = find_user_by_sub(connection, forgetful.sub)
    assert user is not None
    database.transact(
        lambda connection: set_email(connection, user.id, email="other@example.com", email_key=f"{user.sub}@example")
    )
    refused(mail_world, link)


def test_116_a_link_ends_with_the_account(mail_world: MailWorld, forgetful: Account, link: str) -> None:
    disable_user(mail_world.operator.deployment, forgetful.username)
    refused(mail_world, link)


@pytest.mark.parametrize("path", ["/verify", "/signup", "/account/email", "/invitation"])
def test_116_a_link_opens_nothing_else(mail_world: MailWorld, forgetful: Account, link: str, path: str) -> None:
    other = link.replace("/reset/", f"{path}/")
    assert mail_world.browser().get(other).status == 400
    assert mail_world.browser().post(other, [("password", NEW)]).status == 400
    assert choose(mail_world, link).status == 200


def test_116_what_looks_through_mail_spends_nothing(mail_world: MailWorld, forgetful: Account, link: str) -> None:
    for method in ("GET", "HEAD", "GET"):
        assert send(link, method=method).status == 200
    assert choose(mail_world, link).status == 200


def test_116_the_link_leaks_to_no_other_site_and_into_no_log(
    mail_world: MailWorld, forgetful: Account, link: str
) -> None:
    page = mail_world.browser().get(link)
    assert page.headers["referrer-policy"] in ("same-origin", "no-referrer")
    assert page.headers["cache-control"] == "no-store"
    assert not re.findall(r'(?:href|src|action)="https?://', page.text)
    mail_world.browser().post(link, [("password", NEW)], headers={"Origin": "https://evil.example"})
    secret = link.rpartition("/")[2]
    assert secret not in mail_world.server.log_text()


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "Forwarded"])
def test_116_a_link_leads_to_the_issuer_whatever_the_request_said(
    mail_world: MailWorld, forgetful: Account, header: str
) -> None:
    evil = "host=evil.example" if header == "Forwarded" else "evil.example"
    send(f"{mail_world.issuer}/reset", method="POST", form={"username": forgetful.username}, headers={header: evil})
    mail = mail_world.mail.wait_for(mail_world.address_of(forgetful))
    assert mail.link.startswith(f"{mail_world.issuer}/reset/")
    assert "evil.example" not in mail.text


def test_116_another_sites_form_chooses_no_password(mail_world: MailWorld, forgetful: Account, link: str) -> None:
    reply = mail_world.browser().post(link, [("password", NEW)], headers={"Origin": "https://evil.example"})
    assert reply.status == 403
    assert logs_in(mail_world, forgetful, PASSWORD)


def test_108_who_chose_a_new_password_does_not_wait_for_others_guesses_at_the_old_one(
    mail_world: MailWorld, forgetful: Account, link: str
) -> None:
    browser = mail_world.browser()
    page = browser.get(mail_world.relying_party().begin().url)
    for _ in range(LOGINS_OF_ACCOUNT_FROM_NETWORK.free + 1):
        refused = browser.send_once(
            f"{mail_world.issuer}/login",
            fields=find_form(page, "login-form").with_values(username=forgetful.username, password="a guess"),
            headers={"Origin": browser.origin},
        )
    assert refused.status == 429
    choose(mail_world, link)
    assert logs_in(mail_world, forgetful, NEW)


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("brief words", "too short"),
        ("aaaaaaaaaaaaaaaa", "repeats itself"),
        ("qwertyuiop[]", "easy to guess"),
        ("violet harbour umbrella nine", "a list that attackers use"),
    ],
)
def test_a_password_that_is_easy_to_guess_leaves_the_link_as_good_as_before(
    mail_world: MailWorld, forgetful: Account, link: str, password: str, words: str
) -> None:
    reply = choose(mail_world, link, password)
    assert reply.status == 400
    assert words in reply.text
    assert password not in reply.text
    assert choose(mail_world, link).status == 200


# ----- The same answer for everybody -----


def test_106_known_unknown_and_disabled_accounts_are_answered_the_same(mail_world: MailWorld) -> None:
    known, disabled = mail_world.operator.add_user(), mail_world.operator.add_user()
    disable_user(mail_world.operator.deployment, disabled.username)
    names = [known.username, disabled.username, "nobody-at-all", "nobody@example.net"]
    replies = [ask(mail_world, name) for name in names]
    assert {reply.status for reply in replies} == {200}
    assert len({reply.text for reply in replies}) == 1
    assert len({tuple(name for name, _ in reply.header_list) for reply in replies}) == 1
    mail_world.mail.wait_for(mail_world.address_of(known))
    # That they were locked is all that they hear.
    mail_world.mail.wait_for(mail_world.address_of(disabled), words="was locked")
    assert len(mail_world.mail.to(mail_world.address_of(disabled))) == 1


def test_106_how_long_it_takes_tells_nobody_who_has_an_account(mail_world: MailWorld) -> None:
    known = [mail_world.operator.add_user().username for _ in range(10)]
    took_s: dict[bool, list[float]] = {True: [], False: []}
    for number, name in enumerate(known):
        for typed, is_known in ((name, True), (f"stranger-{number}", False)):
            began = time.perf_counter()
            send(f"{mail_world.issuer}/reset", method="POST", form={"username": typed})
            took_s[is_known].append(time.perf_counter() - began)
    assert abs(statistics.median(took_s[True]) - statistics.median(took_s[False])) < 0.05


def test_mails_to_one_account_are_bounded_whatever_it_is_called(mail_world: MailWorld) -> None:
    account = mail_world.operator.add_user()
    address = mail_world.address_of(account)
    answers = [ask(mail_world, typed).status for typed in [account.username] * 4 + [address] * 4]
    assert set(answers) == {200}
    refusals = [ask(mail_world, address) for _ in range(3)]
    assert {reply.status for reply in refusals} <= {200, 429}
    assert refusals[-1].status == 429
    assert int(refusals[-1].headers["retry-after"]) > 0
    mail_world.mail.wait_for(address, 5)
    assert len(mail_world.mail.about(address, "/reset/th_el_")) <= 5


def test_the_pages_within_a_sign_in_say_who_asks(mail_world: MailWorld) -> None:
    logo = {"logo_uri": "https://prints.example/logo.png"}
    party, browser = mail_world.relying_party(client_name="Photo Prints", **logo, **LINKS), mail_world.browser()
    login = browser.get(party.begin().url)
    assert_says_who_asks(login)
    (forgot,) = re.findall(r'id="forgot-password" href="([^"]+)"', login.text)
    page = browser.get(f"{mail_world.issuer}{forgot}")
    assert_says_who_asks(page)
    form = find_form(page, "reset-form")
    for typed in (" ", "nobody"):
        assert_says_who_asks(browser.post(f"{mail_world.issuer}/reset", form.with_values(username=typed)))
    # Where it is no part of a sign-in, nobody asks.
    assert "client-name" not in mail_world.browser().get(f"{mail_world.issuer}{forgot}").text
    account = mail_world.operator.add_user()
    login = browser.get(f"{mail_world.issuer}/login?{forgot.partition('?')[2]}")
    browser.log_in(login, account.username, account.password)
    page = browser.get(f"{mail_world.issuer}/logout?client_id={party.client_id}")
    assert "sent you here to log out" in page.text
    assert_says_who_asks(page)
