"""OpenID Connect Session Management: what a client and its iframe are given, as far as no browser is needed."""

import re

import pytest

from app.specs.oidc_session import compute_session_state
from app.web.cookies import Cookies
from tests.actors.browser import Browser
from tests.actors.http import send
from tests.actors.relying_party import RelyingParty
from tests.deployments import Account
from tests.logging_out import decide, log_in
from tests.world import World

SESSION = "OpenID Connect Session Management 1.0"


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user()


@pytest.fixture
def party(world: World) -> RelyingParty:
    return world.relying_party()


def get_session_state(world: World, browser: Browser, party: RelyingParty, account: Account, **parameters: str) -> str:
    return party.read_answer(world.authorize(browser, party.begin(**parameters), account))["session_state"]


def browser_state(world: World, browser: Browser) -> str:
    return browser.cookies[Cookies.of_issuer(world.issuer).browser_state_name]


def holds(session_state: str, *, world: World, browser: Browser, party: RelyingParty) -> bool:
    """What the iframe would say."""
    salt = session_state.partition(".")[2]
    origin = party.redirect_uri.removesuffix("/callback")
    return session_state == compute_session_state(
        client_id=party.client_id, origin=origin, browser_state=browser_state(world, browser), salt=salt
    )


@pytest.mark.requirement(SESSION, "2", "session_state in the authentication response")
def test_an_answer_says_what_the_iframe_will_compare(world: World, account: Account, party: RelyingParty) -> None:
    browser = world.browser()
    first = get_session_state(world, browser, party, account)
    second = get_session_state(world, browser, party, account, prompt="none")
    assert re.fullmatch("[0-9a-f]{64}\\.[0-9a-f]{16}", first)
    assert first != second, "a salt of its own"
    for session_state in (first, second):
        assert holds(session_state, world=world, browser=browser, party=party)


@pytest.mark.requirement(SESSION, "3.2", "the OP user agent state changes at a login")
def test_a_login_changes_it_and_the_next_answer_is_good_again(
    world: World, account: Account, party: RelyingParty
) -> None:
    browser = world.browser()
    before = get_session_state(world, browser, party, account)
    other = world.operator.add_user()
    second = world.relying_party()
    page = browser.get(second.begin(prompt="login").url)
    browser.log_in(page, other.username, other.password)
    assert not holds(before, world=world, browser=browser, party=party)
    after = get_session_state(world, browser, party, account, prompt="none")
    assert holds(after, world=world, browser=browser, party=party)


def test_a_choice_of_an_account_changes_it(world: World, account: Account, party: RelyingParty) -> None:
    browser = world.browser()
    before = get_session_state(world, browser, party, account)
    page = browser.get(party.begin(prompt="select_account").url)
    browser.select_account(page, account.username)
    assert not holds(before, world=world, browser=browser, party=party)


@pytest.mark.requirement(SESSION, "3.2", "the OP user agent state changes at a logout")
@pytest.mark.parametrize("asked", ["with a hint", "on the page"])
def test_a_logout_changes_it_and_leaves_the_accounts_that_were_not_meant(world: World, asked: str) -> None:
    person = log_in(world)
    browser, party, other = person.browser, person.party, world.operator.add_user()
    pending = party.begin(prompt="login")
    party.read_callback(
        browser.consent(browser.log_in(browser.get(pending.url), other.username, other.password)), pending
    )
    before = get_session_state(world, browser, party, other, prompt="none")
    page = person.logout(**({} if asked == "with a hint" else {"id_token_hint": None}))
    if asked == "on the page":
        decide(browser, page)
    assert not holds(before, world=world, browser=browser, party=party)
    pending = party.begin(prompt="none")
    answer = party.read_answer(browser.send_once(pending.url))
    if asked == "on the page":
        assert answer["error"] == "login_required"
    else:
        assert party.exchange(answer["code"], pending).claims["sub"] == other.sub
        assert holds(answer["session_state"], world=world, browser=browser, party=party)


def test_a_browser_that_lost_the_cookie_gets_it_with_the_next_answer(
    world: World, account: Account, party: RelyingParty
) -> None:
    browser = world.browser()
    get_session_state(world, browser, party, account)
    state = browser.cookies.pop(Cookies.of_issuer(world.issuer).browser_state_name)
    get_session_state(world, browser, party, account, prompt="none")
    assert browser_state(world, browser) == state
    reply = browser.send_once(party.begin(prompt="none").url)
    assert "set-cookie" not in reply.headers, "nothing is set that is there"


def test_the_cookie_is_no_name_that_the_server_believes(world: World, account: Account, party: RelyingParty) -> None:
    """Whoever reads or plants it has nothing: it names no browser and no session."""
    victim, thief = world.browser(), world.browser()
    get_session_state(world, victim, party, account)
    name = Cookies.of_issuer(world.issuer).browser_state_name
    thief.cookies[name] = victim.cookies[name]
    assert party.read_answer(thief.send_once(party.begin(prompt="none").url))["error"] == "login_required"
    assert victim.cookies[name] not in victim.cookies[name.replace("state", "browser")]


def test_a_request_without_openid_and_a_client_without_an_origin_get_none(world: World, account: Account) -> None:
    resource = world.operator.add_resource()
    party = world.relying_party()
    answer = party.read_answer(
        world.authorize(world.browser(), party.begin(scope="photos.read", resource=resource), account)
    )
    assert set(answer) == {"code", "state", "iss"}
    native = world.relying_party(redirect_uris=["com.example.album:/cb"], token_endpoint_auth_method="none")
    answer = native.read_answer(world.authorize(world.browser(), native.begin(), account))
    assert set(answer) == {"code", "state", "iss"}


def test_a_refusal_carries_none(world: World, party: RelyingParty) -> None:
    answer = party.read_answer(world.browser().send_once(party.begin(prompt="none").url))
    assert set(answer) == {"error", "error_description", "state", "iss"}


@pytest.mark.requirement(SESSION, "3.3", "check_session_iframe in the metadata")
def test_the_iframe_is_where_the_metadata_says_and_names_its_cookie(world: World) -> None:
    metadata = send(f"{world.url}/.well-known/openid-configuration").json()
    assert metadata["check_session_iframe"] == f"{world.issuer}/check-session"
    page = send(f"{world.url}/check-session")
    assert page.status == 200
    assert "x-frame-options" not in page.headers
    assert "frame-ancestors" not in page.headers["content-security-policy"]
    assert f'data-cookie="{Cookies.of_issuer(world.issuer).browser_state_name}"' in page.text
    script = page.text.split('<script src="')[1].split('"')[0]
    assert send(world.url + script).headers["content-type"] == "text/javascript; charset=utf-8"
