"""attacks.md, "Authorize: protocol parameters, PKCE, sessions": prompt and max_age (cases 37 and 38)."""

import pytest

from tests.actors.browser import Browser, find_form
from tests.actors.relying_party import RelyingParty
from tests.attacks.good_conduct import nothing_changes
from tests.attacks.one_step_away import ask, assert_refused, flat
from tests.databases import on_sqlite
from tests.world import World

pytestmark = pytest.mark.usefixtures("standing")

# ----- 37 and 38: prompt and max_age -----


@pytest.mark.parametrize(
    "prompt",
    ["none login", "login none", "bogus", "login bogus", "NONE", "none none consent", "login  consent", " login"],
)
@on_sqlite
def test_a_prompt_that_contradicts_itself_is_refused(
    world: World, signed_in: tuple[RelyingParty, Browser], prompt: str
) -> None:
    """Case 37."""
    assert_refused(world, *signed_in, "invalid_request", prompt=prompt)


@on_sqlite
def test_prompt_none_without_a_session_shows_nothing_and_makes_no_session(world: World) -> None:
    """Case 37: login_required."""
    party, browser = world.relying_party(), world.browser()
    with nothing_changes(world):
        reply = browser.send_once(party.begin(prompt="none").url)
    assert party.read_answer(reply)["error"] == "login_required"
    assert not browser.cookies


@on_sqlite
def test_prompt_none_posted_by_the_client_shows_nothing_either(world: World) -> None:
    """Case 37: over our own hop, because the cross-site POST brings no cookie."""
    party, browser = world.relying_party(), world.browser()
    pending = party.begin(prompt="none")
    reply = browser.post(
        f"{world.issuer}/authorize", flat(pending.parameters), headers={"Origin": "https://rp.example"}
    )
    assert party.read_answer(reply)["error"] == "login_required"


@on_sqlite
def test_prompt_none_without_consent_is_consent_required(world: World) -> None:
    """Case 37: a session, and never asked; or asked for less."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    world.get_code(world.relying_party(), account, browser=browser)
    with nothing_changes(world):
        assert ask(party, browser, prompt="none")["error"] == "consent_required"
    world.get_code(party, account, browser=browser)
    with nothing_changes(world):
        assert ask(party, browser, prompt="none", scope="openid email")["error"] == "consent_required"
    assert "code" in ask(party, browser, prompt="none")


@pytest.mark.parametrize("changes", [{"prompt": "none", "max_age": "0"}, {"prompt": "none", "max_age": "1"}])
@on_sqlite
def test_prompt_none_with_a_login_that_is_too_old_is_login_required(
    world: World, signed_in: tuple[RelyingParty, Browser], changes: dict[str, str]
) -> None:
    """Cases 37 and 38."""
    world.clock.move(seconds=5)
    with nothing_changes(world):
        assert ask(*signed_in, **changes)["error"] == "login_required"


@pytest.mark.parametrize(
    "max_age", ["-1", "abc", "1" + "0" * 30, "1.5", " 5", "+5", "٣", "0x10", "5,6", "²", "2147483648"]
)
@on_sqlite
def test_a_max_age_that_is_no_number_is_refused(
    world: World, signed_in: tuple[RelyingParty, Browser], max_age: str
) -> None:
    """Case 38."""
    assert_refused(world, *signed_in, "invalid_request", max_age=max_age)


@pytest.mark.parametrize(
    "changes", [{"prompt": "login"}, {"max_age": "0"}, {"max_age": "60"}, {"prompt": "login select_account"}]
)
def test_a_fresh_login_is_demanded_and_seen_in_auth_time(world: World, changes: dict[str, str]) -> None:
    """Case 38: with a live session, a new credential check and a new auth_time."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    first = world.get_tokens(party, account, browser=browser)
    world.clock.move(seconds=120)
    pending = party.begin(**changes)
    page = browser.get(pending.url)
    assert 'id="login-form"' in page.text
    reply = browser.log_in(page, account.username, account.password)
    tokens = party.exchange(party.read_callback(reply, pending), pending)
    assert tokens.id_claims["auth_time"] >= first.id_claims["auth_time"] + 120


@pytest.mark.parametrize("hop", ["/authorize/resume", "/consent"])
@pytest.mark.parametrize("changes", [{"prompt": "login"}, {"max_age": "0"}])
@on_sqlite
def test_a_demanded_login_cannot_be_skipped_at_a_later_hop(
    world: World, signed_in: tuple[RelyingParty, Browser], hop: str, changes: dict[str, str]
) -> None:
    """Case 38: Back, a reload, the next page opened at once, or the parameter taken out of its URL."""
    party, browser = signed_in
    world.clock.move(seconds=5)
    page = browser.get(party.begin(**changes).url)
    transaction = dict(find_form(page, "login-form").fields)["transaction"]
    with nothing_changes(world):
        for _ in range(2):
            for query in ("", "&prompt=", "&prompt=none", "&max_age=100000"):
                again = browser.get(f"{world.issuer}{hop}?transaction={transaction}{query}")
                assert 'id="login-form"' in again.text
                assert browser.url.startswith(f"{world.issuer}/login?")


@on_sqlite
def test_a_posted_consent_does_not_skip_a_demanded_login(world: World) -> None:
    """Case 38: the consent form of the transaction, sent before its login."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    world.get_code(party, account, browser=browser)
    world.clock.move(seconds=5)
    page = browser.get(party.begin(prompt="login", scope="openid email").url)
    fields = [*find_form(page, "login-form").fields, ("decision", "allow"), ("scope", "openid"), ("duration", "once")]
    fields = [(name, value) for name, value in fields if name != "username"]
    with nothing_changes(world):
        again = browser.post(f"{world.issuer}/consent", fields)
    assert 'id="login-form"' in again.text
