"""Attacks on the login page and on sessions (cases 106, 110, 111 and 117)."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.manage_users import NewUser, add_user, disable_user, enable_user, set_password
from app.services.mint_secret import mint_secret
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply, send
from tests.attacks.good_conduct import nothing_changes
from tests.conftest import run_world
from tests.databases import on_sqlite
from tests.deployments import PASSWORD, Account
from tests.world import World

WRONG_PASSWORD = "not this one, certainly"


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user()


def open_login(world: World, browser: Browser | None = None) -> tuple[Browser, Reply]:
    browser = browser or world.browser()
    page = browser.get(world.relying_party().begin().url)
    assert 'id="login-form"' in page.text
    return browser, page


def is_signed_in(world: World, browser: Browser) -> bool:
    """Whether the server takes the browser for anybody: asked as a client asks, without a page."""
    party = world.relying_party()
    answer = party.read_answer(browser.get(party.begin(prompt="none").url))
    assert answer["error"] in {"login_required", "consent_required"}
    return answer["error"] == "consent_required"


def signed_in_browser(world: World, account: Account) -> Browser:
    browser, page = open_login(world)
    browser.log_in(page, account.username, account.password)
    assert is_signed_in(world, browser)
    return browser


def cookie_name(browser: Browser, kind: str) -> str:
    (name,) = (name for name in browser.cookies if f"-{kind}" in name)
    return name


# ----- Case 106: who exists -----


def _wrong_password(world: World) -> tuple[str, str]:
    return world.operator.add_user().username, WRONG_PASSWORD


def _unknown_user(_world: World) -> tuple[str, str]:
    return f"user-{secrets.token_hex(4)}", PASSWORD


def _disabled_user(world: World) -> tuple[str, str]:
    account = world.operator.add_user()
    disable_user(world.operator.deployment, account.username)
    return account.username, account.password


def _passwordless_user(world: World) -> tuple[str, str]:
    name = f"user-{secrets.token_hex(4)}"
    add_user(world.operator.deployment, NewUser(username=name, email=f"{name}@example.com"))
    return name, PASSWORD


def _fail(world: World, username: str, password: str) -> Reply:
    browser, page = open_login(world)
    return browser.log_in(page, username, password)


def _without_its_own_values(reply: Reply, username: str) -> str:
    text = reply.text.replace(username, "NAME")
    for name in ("transaction", "csrf_token"):
        text = re.sub(rf'name="{name}" value="[^"]*"', f'name="{name}"', text)
    return re.sub(r"app-[0-9a-f]{8}\.example", "HOST", text)


@pytest.mark.parametrize("kind", [_unknown_user, _disabled_user, _passwordless_user])
@on_sqlite
def test_106_whoever_cannot_log_in_sees_what_a_wrong_password_shows(world: World, kind: object) -> None:
    known_name, known_password = _wrong_password(world)
    name, password = kind(world)  # type: ignore[operator]
    known, other = _fail(world, known_name, known_password), _fail(world, name, password)
    assert known.status == other.status == 200
    assert "The name or the password is not right." in known.text
    assert _without_its_own_values(other, name) == _without_its_own_values(known, known_name)
    assert [header for header, _ in other.header_list] == [header for header, _ in known.header_list]
    assert "set-cookie" not in other.headers
    assert len(name) == len(known_name)
    assert len(other.body) == len(known.body)


@pytest.mark.parametrize("password", ["", WRONG_PASSWORD, PASSWORD.upper(), PASSWORD + " ", "p" * 1024, "p" * 5000])
@on_sqlite
def test_a_wrong_password_begins_no_session(world: World, account: Account, password: str) -> None:
    browser, page = open_login(world)
    with nothing_changes(world):
        answer = browser.log_in(page, account.username, password)
    assert 'id="login-form"' in answer.text
    assert not is_signed_in(world, browser)


@on_sqlite
def test_the_password_that_was_typed_is_never_sent_back(world: World, account: Account) -> None:
    browser, page = open_login(world)
    answer = browser.log_in(page, account.username, WRONG_PASSWORD)
    assert WRONG_PASSWORD not in answer.text
    assert f'value="{account.username}"' in answer.text


@pytest.mark.parametrize("length", [250, 60_000])
@on_sqlite
def test_106_who_only_begins_like_somebody_is_nobody(world: World, account: Account, length: int) -> None:
    browser, page = open_login(world)
    reply = browser.log_in(page, account.username + " " * length + "somebody-else", account.password)
    assert "The name or the password is not right." in reply.text
    assert not is_signed_in(world, browser)


# ----- Case 110: forms that are not ours -----


@pytest.mark.parametrize(
    ("csrf_token", "headers"),
    [
        (None, {}),
        ("", {}),
        ("0" * 64, {}),
        ("ü", {}),
        ("right", {"Origin": "https://evil.example"}),
        ("right", {"Origin": "null"}),
        ("right", {"Origin": "http://127.0.0.1:1"}),
        ("right", {"Sec-Fetch-Site": "cross-site"}),
        ("right", {"Sec-Fetch-Site": "same-site"}),
    ],
    ids=[
        *("no token", "empty token", "made-up token", "odd token", "cross-site", "opaque origin", "other port"),
        *("cross-site without its origin", "a neighbour without its origin"),
    ],
)
@on_sqlite
def test_110_a_login_form_that_is_not_ours_is_refused(
    world: World, account: Account, csrf_token: str | None, headers: dict[str, str]
) -> None:
    browser, page = open_login(world)
    form = find_form(page, "login-form")
    values: dict[str, str | None] = {"username": account.username, "password": account.password}
    if csrf_token != "right":
        values["csrf_token"] = csrf_token
    with nothing_changes(world):
        reply = browser.post(f"{world.issuer}/login", form.with_values(**values), headers=headers)
    assert reply.status == 403
    assert "set-cookie" not in reply.headers
    assert not is_signed_in(world, browser)


@on_sqlite
def test_110_a_token_of_another_sign_in_is_refused(world: World, account: Account) -> None:
    """Login CSRF: the attacker has a token, but of their own transaction."""
    _, attackers_page = open_login(world)
    browser, page = open_login(world)
    foreign = dict(find_form(attackers_page, "login-form").fields)["csrf_token"]
    form = find_form(page, "login-form")
    values = form.with_values(username=account.username, password=account.password, csrf_token=foreign)
    with nothing_changes(world):
        reply = browser.post(f"{world.issuer}/login", values)
    assert reply.status == 403


@on_sqlite
def test_110_the_whole_form_of_another_browser_is_refused(world: World, account: Account) -> None:
    _, attackers_page = open_login(world)
    victim, _ = open_login(world)
    form = find_form(attackers_page, "login-form")
    with nothing_changes(world):
        reply = victim.post(
            f"{world.issuer}/login", form.with_values(username=account.username, password=account.password)
        )
    assert reply.status == 400
    assert not is_signed_in(world, victim)


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x", "application/xml"]
)
@on_sqlite
def test_110_a_login_that_is_not_a_form_is_refused(world: World, account: Account, content_type: str) -> None:
    browser, page = open_login(world)
    form = find_form(page, "login-form")
    body = "&".join(f"{name}={value}" for name, value in form.fields)
    with nothing_changes(world):
        reply = send(
            f"{world.url}/login",
            method="POST",
            headers={
                "Content-Type": content_type,
                "Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items()),
            },
            body=f"{body}&username={account.username}&password={account.password}".encode(),
        )
    assert reply.status == 400
    assert "set-cookie" not in reply.headers


# ----- Case 111: where to go afterwards -----


@pytest.mark.parametrize("name", ["next", "return_to", "redirect", "redirect_uri"])
@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https:evil.example", "javascript:alert(1)", "/\t/evil.example"]
)
@on_sqlite
def test_111_a_login_leads_back_to_its_own_transaction_whatever_else_is_asked(
    world: World, account: Account, name: str, target: str
) -> None:
    browser, page = open_login(world)
    form = find_form(page, "login-form")
    fields = [*form.with_values(username=account.username, password=account.password), (name, target.replace("\t", ""))]
    reply = browser.send_once(f"{world.issuer}/login?{name}=https%3A%2F%2Fevil.example", fields=fields)
    assert reply.status == 303
    transaction = dict(form.fields)["transaction"]
    assert reply.location == f"{world.issuer}/authorize/resume?transaction={transaction}"


# ----- Case 117: cookies -----


@pytest.mark.parametrize(
    "tamper",
    [
        lambda value: value[:-1] + ("A" if value[-1] != "A" else "B"),
        lambda value: value[:10] + ("A" if value[10] != "A" else "B") + value[11:],
        lambda value: value.swapcase(),
        lambda value: value + value,
        lambda _: "x" * 8000,
        lambda _: "",
        lambda _: mint_secret("br"),
        lambda value: value.replace("th_br_", "th_kd_"),
    ],
    ids=["last", "middle", "case", "twice", "8 KB", "empty", "never issued", "other type"],
)
@on_sqlite
def test_117_a_tampered_cookie_is_nobodys(world: World, account: Account, tamper: object) -> None:
    browser = signed_in_browser(world, account)
    name = cookie_name(browser, "browser")
    browser.cookies[name] = tamper(browser.cookies[name])  # type: ignore[operator]
    assert not is_signed_in(world, browser)


@pytest.fixture
def other_world(sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    """Another deployment, with keys of its own."""
    yield from run_world(tmp_path, sqlite_url)


@on_sqlite
def test_117_a_cookie_of_another_deployment_is_nobodys(shared_world: World, other_world: World) -> None:
    there = signed_in_browser(other_world, other_world.operator.add_user())
    here = signed_in_browser(shared_world, shared_world.operator.add_user())
    here.cookies[cookie_name(here, "browser")] = there.cookies[cookie_name(there, "browser")]
    assert not is_signed_in(shared_world, here)


def test_117_a_disabled_users_session_ends_and_does_not_come_back(world: World, account: Account) -> None:
    browser, deployment = signed_in_browser(world, account), world.operator.deployment
    disable_user(deployment, account.username)
    assert not is_signed_in(world, browser)
    enable_user(deployment, account.username)
    assert not is_signed_in(world, browser)
    _, page = open_login(world, browser)
    browser.log_in(page, account.username, account.password)
    assert is_signed_in(world, browser)


def test_117_somebody_disabled_on_the_consent_page_grants_nothing(world: World, account: Account) -> None:
    browser, page = open_login(world)
    consent = browser.log_in(page, account.username, account.password)
    disable_user(world.operator.deployment, account.username)
    with nothing_changes(world):
        answer = browser.consent(consent)
    assert 'id="login-form"' in answer.text


def test_a_new_password_ends_the_sessions_that_the_old_one_opened(world: World, account: Account) -> None:
    browser = signed_in_browser(world, account)
    set_password(world.operator.deployment, account.username, "a different long password")
    assert not is_signed_in(world, browser)


def test_117_two_people_in_one_browser_are_not_mixed_up(world: World) -> None:
    first, second, party = world.operator.add_user(), world.operator.add_user(), world.relying_party()
    browser = world.browser()
    code, pending = world.get_code(party, first, browser=browser)
    assert party.exchange(code, pending).claims["sub"] == first.sub
    # The first person's consent page is open in one tab when the second person logs in in another.
    first_pending = party.begin(prompt="consent")
    first_page = browser.get(first_pending.url)
    second_code, second_pending = world.get_code(party, second, browser=browser, prompt="login")
    first_code = party.read_callback(browser.consent(first_page), first_pending)
    assert party.exchange(second_code, second_pending).id_claims["sub"] == second.sub
    assert party.exchange(first_code, first_pending).id_claims["sub"] == first.sub


# ----- Sessions -----


def test_a_login_gives_the_browser_a_new_secret_and_the_old_one_is_worthless(world: World, account: Account) -> None:
    browser = signed_in_browser(world, account)
    name = cookie_name(browser, "browser")
    planted = browser.cookies[name]
    page = browser.get(world.relying_party().begin(prompt="login").url)
    browser.log_in(page, account.username, account.password)
    assert browser.cookies[name] != planted
    stranger = world.browser()
    stranger.cookies[name] = planted
    assert not is_signed_in(world, stranger)
    assert is_signed_in(world, browser)


def test_a_session_ends_when_it_was_idle_for_an_hour(world: World, account: Account) -> None:
    browser = signed_in_browser(world, account)
    world.clock.move(seconds=3590)
    assert is_signed_in(world, browser)
    world.clock.move(seconds=20)
    assert not is_signed_in(world, browser)


def test_a_session_that_is_used_ends_after_twelve_hours_all_the_same(world: World, account: Account) -> None:
    browser, party = world.browser(), world.relying_party()
    world.get_code(party, account, browser=browser)
    for _ in range(14):
        world.clock.move(seconds=3000)
        pending = party.begin()
        party.read_callback(browser.get(pending.url), pending)
    world.clock.move(seconds=12 * 3600 + 10 - 14 * 3000)
    assert not is_signed_in(world, browser)


def test_a_name_is_found_however_it_is_spelled(world: World, account: Account) -> None:
    browser, page = open_login(world)
    browser.log_in(page, f" {account.username.upper()} ", account.password)
    assert is_signed_in(world, browser)
