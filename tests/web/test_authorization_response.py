"""The answer at the client's redirect URI over HTTP: by query, by fragment, and by a form that posts itself."""

import re

import pytest

from app.web.static_files import form_post_script_url
from tests.actors.browser import find_form
from tests.actors.http import Reply, send
from tests.actors.relying_party import RelyingParty, read_response
from tests.world import World

NASTY_STATE = "\"'><script>alert(1)</script>{{7*7}}&amp; \u202e\u2028"
WITH_QUERY = "https://app.example/callback?x=1&y=a%20b"


def answer(world: World, party: RelyingParty, **parameters: str) -> Reply:
    """The answer after login and consent."""
    return world.authorize(world.browser(), party.begin(**parameters), world.operator.add_user())


@pytest.mark.requirement("RFC 6749", "3.1.2", "the query of the redirect URI is kept")
@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
def test_29_the_query_of_the_redirect_uri_is_kept_in_every_mode(world: World, mode: str) -> None:
    party = world.relying_party(redirect_uris=[WITH_QUERY])
    came_by, uri, parameters = read_response(answer(world, party, response_mode=mode))
    assert came_by == mode
    assert uri.startswith(WITH_QUERY)
    # RFC 6749 4.1.2: each once.
    expected = {"code", "session_state", "state", "iss"} | ({"x", "y"} if mode == "query" else set())
    assert set(parameters) == expected
    assert uri.count("x=1") == 1


@pytest.mark.requirement("OAuth 2.0 Form Post Response Mode", "2", "the response is a form that posts itself")
def test_32_a_code_is_posted_by_a_form_of_which_everything_is_escaped(world: World) -> None:
    party = world.relying_party(redirect_uris=[WITH_QUERY])
    pending = party.begin(response_mode="form_post", state=NASTY_STATE)
    page = world.authorize(world.browser(), pending, world.operator.add_user())
    form = find_form(page, "form-post")
    assert form.action == WITH_QUERY
    assert dict(form.fields)["state"] == NASTY_STATE
    # One script, ours and by its nonce; and the button that does the same without it.
    assert page.text.count("<script") == 1
    assert "{{" in page.text
    assert 'id="form-post-submit" type="submit"' in page.text
    assert party.exchange(dict(form.fields)["code"], pending).id_token


def test_32_the_page_may_run_our_script_only_and_is_kept_nowhere(world: World) -> None:
    page = answer(world, world.relying_party(), response_mode="form_post")
    policy = page.headers["content-security-policy"]
    (nonce,) = re.findall(r"script-src 'nonce-([\w-]{20,})'(?:;|$)", policy)
    assert f'<script nonce="{nonce}" src="{form_post_script_url("")}">' in page.text
    assert "default-src 'none'" in policy
    assert "form-action" not in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    # The client's server may see who posts, and never the URL of this page.
    assert page.headers["referrer-policy"] == "strict-origin"
    script = send(world.url + form_post_script_url(""))
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"


def test_32_every_page_has_a_nonce_of_its_own(world: World) -> None:
    party, browser, account = world.relying_party(), world.browser(), world.operator.add_user()
    world.get_code(party, account, browser=browser)
    pages = [browser.send_once(party.begin(response_mode="form_post").url) for _ in range(2)]
    nonces = {page.headers["content-security-policy"] for page in pages}
    assert len(nonces) == 2


@pytest.mark.parametrize("mode", ["fragment", "form_post"])
def test_a_denial_travels_in_the_mode_that_was_asked_for(world: World, mode: str) -> None:
    party, browser, account = world.relying_party(), world.browser(), world.operator.add_user()
    pending = party.begin(response_mode=mode)
    page = browser.log_in(browser.get(pending.url), account.username, account.password)
    refusal = party.read_answer(browser.consent(page, allow=False), mode=mode)
    assert refusal["error"] == "access_denied"
    assert set(refusal) == {"error", "error_description", "state", "iss"}
    assert refusal["state"] == pending.state


def test_35_a_long_state_is_posted_whole(world: World) -> None:
    party, state = world.relying_party(), "s" * 8192
    pending = party.begin(response_mode="form_post", state=state)
    page = world.authorize(world.browser(), pending, world.operator.add_user())
    assert party.read_answer(page, mode="form_post")["state"] == state
