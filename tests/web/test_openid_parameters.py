"""The parameters of OpenID Connect Core 3.1.2.1 that ask a page for something, as the conformance suite sends them."""

import pytest

from tests.actors.browser import Browser
from tests.actors.http import send
from tests.actors.relying_party import RelyingParty
from tests.attacks.one_step_away import ask, assert_refused
from tests.attacks.one_step_away import signed_in as signed_in
from tests.world import World


@pytest.mark.requirement("OpenID Connect Core 1.0", "3.1.2.1", "what is voluntary breaks nothing")
@pytest.mark.parametrize(
    "parameters",
    [
        {"display": "page"},
        {"display": "popup"},
        {"display": "touch"},
        {"display": "wap"},
        {"display": "hologram"},
        {"ui_locales": "se"},
        {"ui_locales": "se-x-private fr-CA en"},
        {"claims_locales": "se"},
        {"acr_values": "1 2"},
        {"login_hint": "buffy@example.com"},
        {"login_hint": "<script>alert(1)</script>" * 20},
        {"extra": "foobar"},
        {"scope": "email openid"},
        {"nonce": None},
    ],
    ids=str,
)
def test_a_request_that_wishes_for_something_succeeds(
    signed_in: tuple[RelyingParty, Browser], world: World, parameters: dict[str, str | None]
) -> None:
    party, browser = signed_in
    page = browser.get(party.begin(**parameters).url)
    page = browser.consent(page) if 'id="consent-form"' in page.text else page
    assert "code" in party.read_answer(page)
    # From nothing, where there are pages to be shown.
    account = world.operator.add_user()
    assert "code" in party.read_answer(world.authorize(world.browser(), party.begin(**parameters), account))


def test_a_login_hint_is_the_name_that_the_page_begins_with(world: World) -> None:
    party, account = world.relying_party(), world.operator.add_user()
    page = world.browser().get(party.begin(login_hint=account.username).url)
    assert f'value="{account.username}"' in page.text


@pytest.mark.requirement(
    "Initiating User Registration via OpenID Connect 1.0", "4", "create is refused where it is not"
)
@pytest.mark.parametrize("prompt", ["create", "create login", "none create"])
def test_nobody_signs_up_by_a_prompt(world: World, signed_in: tuple[RelyingParty, Browser], prompt: str) -> None:
    assert_refused(world, *signed_in, "invalid_request", prompt=prompt)
    document = send(f"{world.url}/.well-known/openid-configuration").json()
    assert document["prompt_values_supported"] == ["none", "login", "consent", "select_account"]


@pytest.mark.parametrize("prompt", ["login consent", "select_account consent", "consent login select_account"])
def test_prompts_go_together(signed_in: tuple[RelyingParty, Browser], prompt: str) -> None:
    party, browser = signed_in
    page = browser.get(party.begin(prompt=prompt).url)
    assert 'id="login-form"' in page.text or 'id="account-form"' in page.text


@pytest.mark.requirement("OpenID Connect Core 1.0", "3.1.2.1", "max_age asks for a login anew, and only then")
def test_max_age_asks_for_a_login_when_it_is_due(world: World) -> None:
    party, account, browser = world.relying_party(), world.operator.add_user(), world.browser()
    code, pending = world.get_code(party, account, browser=browser, max_age="10000")
    first = party.exchange(code, pending).id_claims["auth_time"]
    world.clock.move(seconds=2)
    pending = party.begin(max_age="10000")
    code = party.read_callback(browser.send_once(pending.url), pending)
    assert party.exchange(code, pending).id_claims["auth_time"] == first
    pending = party.begin(max_age="1")
    page = browser.get(pending.url)
    assert 'id="login-form"' in page.text
    code = party.read_callback(browser.log_in(page, account.username, account.password), pending)
    assert party.exchange(code, pending).id_claims["auth_time"] > first


@pytest.mark.requirement("OpenID Connect Registration 1.0", "2", "default_max_age and default_acr_values are defaults")
def test_what_a_client_registered_counts_where_it_says_nothing(world: World) -> None:
    party = world.relying_party(default_max_age=1, default_acr_values=["urn:example:gold"])
    account, browser = world.operator.add_user(), world.browser()
    world.get_code(party, account, browser=browser)
    world.clock.move(seconds=3)
    assert ask(party, browser, prompt="none")["error"] == "login_required"
    assert "code" in ask(party, browser, prompt="none", max_age="100")
