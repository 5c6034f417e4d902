"""OpenID Connect RP-Initiated Logout 1.0: proven requests are obeyed, others ask, nobody is sent to a stranger."""

import json
import secrets
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from app.services.manage_keys import rotate_keys_now
from app.services.manage_users import disable_user
from app.specs.rfc4648_base64url import decode_base64url
from tests.actors.http import send
from tests.actors.relying_party import read_jwt
from tests.logging_out import decide, is_error, is_logged_out_page, is_question, log_in
from tests.patience import wait_until
from tests.world import World

SPEC = "OpenID Connect RP-Initiated Logout 1.0"
LONG_STATE = "".join(secrets.choice("abcXYZ019-._~") for _ in range(128))


# ----- Proven requests -----


@pytest.mark.requirement(SPEC, "3", "the browser goes to the registered URI with state and nothing else")
@pytest.mark.parametrize("state", [LONG_STATE, "with space&and=more#things+ü", None])
def test_a_proven_request_is_obeyed_at_once(world: World, state: str | None) -> None:
    person = log_in(world)
    reply = person.logout(post_logout_redirect_uri=person.goodbye, state=state)
    assert reply.status == 303
    target = urlsplit(reply.location)
    assert f"{target.scheme}://{target.netloc}{target.path}" == person.goodbye
    assert parse_qsl(target.query) == ([] if state is None else [("state", state)])
    assert not person.is_logged_in
    # Online refresh tokens and access tokens hang on the session.
    assert person.party.userinfo(person.tokens.access_token).status == 401


@pytest.mark.requirement(SPEC, "2", "GET and POST")
def test_a_post_from_another_site_is_obeyed_on_our_own_origin(world: World) -> None:
    person = log_in(world)
    fields = [
        ("id_token_hint", person.tokens.id_token or ""),
        ("post_logout_redirect_uri", person.goodbye),
        ("state", "abc"),
    ]
    # A cross-site POST brings no SameSite=Lax cookie, and what it leads to does.
    cookies, person.browser.cookies = person.browser.cookies, {}
    hop = person.browser.send_once(f"{world.issuer}/logout", fields=fields, headers={"Origin": "https://rp.example"})
    assert hop.status == 303
    assert hop.location.startswith(f"{world.issuer}/logout?logout_request=")
    person.browser.cookies |= cookies
    assert person.browser.get(hop.location).location == f"{person.goodbye}?state=abc"
    assert not person.is_logged_in


@pytest.mark.requirement(SPEC, "2", "an expired id_token_hint, signed by a key that was replaced, is accepted")
def test_an_old_id_token_proves_as_much_as_a_new_one(reaching_world: World) -> None:
    person = log_in(reaching_world)
    rotate_keys_now(reaching_world.operator.deployment)
    # Past the ID token's life and the old key's removal from the public set, within that of the session.
    for _ in range(3):
        reaching_world.clock.move(seconds=3500)
        person.browser.get(person.party.begin(prompt="none").url)
    reaching_world.operator.deployment.rotate_keys_if_due()
    header = json.loads(decode_base64url((person.tokens.id_token or "").split(".")[0].encode()))
    wait_until(lambda: header["kid"] not in send(f"{reaching_world.url}/jwks").text, within_s=30)
    assert read_jwt(person.tokens.id_token or "")["exp"] < reaching_world.clock() / 1000
    reply = person.logout(post_logout_redirect_uri=person.goodbye)
    assert reply.location == person.goodbye
    assert not person.is_logged_in


def test_a_registered_query_is_kept(world: World) -> None:
    person = log_in(world)
    reply = person.logout(post_logout_redirect_uri=f"{person.goodbye}?lang=en", state="s")
    assert reply.location == f"{person.goodbye}?lang=en&state=s"


@pytest.mark.requirement(SPEC, "3", "without post_logout_redirect_uri the person stays here")
def test_without_an_address_to_go_to_the_person_reads_that_they_are_logged_out(world: World) -> None:
    person = log_in(world)
    page = person.logout(state="ignored")
    assert is_logged_out_page(page)
    assert urlsplit(person.browser.url).path == "/logged-out"
    assert person.account.username in page.text
    assert "ignored" not in page.text
    assert not person.is_logged_in


def test_whoever_is_logged_out_already_goes_on(world: World) -> None:
    person = log_in(world)
    person.logout()
    assert person.logout(post_logout_redirect_uri=person.goodbye, state="s").location == f"{person.goodbye}?state=s"
    assert is_logged_out_page(person.browser.get(f"{world.issuer}/logout"))


@pytest.mark.requirement(SPEC, "2", "client_id must match the audience of the id_token_hint")
def test_client_id_beside_the_hint_must_be_the_same(world: World) -> None:
    person, other = log_in(world), world.relying_party()
    assert is_error(person.logout(client_id=other.client_id))
    assert is_error(person.logout(client_id="nobody"))
    assert person.is_logged_in
    assert person.logout(client_id=person.party.client_id, post_logout_redirect_uri=person.goodbye).status == 303


# ----- Requests that are not proven -----


@pytest.mark.requirement(SPEC, "6", "without a valid id_token_hint the person is asked")
def test_without_a_hint_the_person_is_asked_and_their_word_counts(world: World) -> None:
    person = log_in(world)
    page = person.logout(id_token_hint=None, state="s")
    assert is_question(page)
    assert person.account.username in page.text
    assert person.is_logged_in
    stayed = decide(person.browser, page, "cancel")
    assert (stayed.status, "still signed in" in stayed.text) == (200, True)
    assert person.is_logged_in
    # What was answered once is over.
    assert is_error(decide(person.browser, page))
    page = person.logout(id_token_hint=None)
    assert is_logged_out_page(decide(person.browser, page))
    assert not person.is_logged_in


@pytest.mark.requirement(SPEC, "3", "after a confirmation the client's registered URI is used")
def test_a_client_without_a_hint_gets_the_person_back_after_they_confirmed(world: World) -> None:
    person = log_in(world)
    asked = {"id_token_hint": None, "client_id": person.party.client_id, "state": "s"}
    page = person.logout(**asked, post_logout_redirect_uri=person.goodbye)
    assert is_question(page)
    assert "Photo printing" in page.text
    assert decide(person.browser, page).location == f"{person.goodbye}?state=s"
    assert not person.is_logged_in


def test_a_hint_about_somebody_else_asks_who_is_here(world: World) -> None:
    person, stranger = log_in(world), log_in(world)
    page = person.logout(id_token_hint=stranger.tokens.id_token, post_logout_redirect_uri=stranger.goodbye, state="s")
    assert is_question(page)
    assert person.account.username in page.text
    assert stranger.account.username not in page.text
    assert person.is_logged_in
    assert decide(person.browser, page).location == f"{stranger.goodbye}?state=s"
    assert not person.is_logged_in
    assert stranger.is_logged_in


def test_of_two_people_in_one_browser_the_one_of_the_hint_is_logged_out(world: World) -> None:
    first = log_in(world)
    second_account = world.operator.add_user()
    pending = first.party.begin(prompt="login")
    page = first.browser.log_in(first.browser.get(pending.url), second_account.username, second_account.password)
    if 'id="consent-form"' in page.text:
        page = first.browser.consent(page)
    assert first.party.read_callback(page, pending)
    page = first.logout()
    assert is_logged_out_page(page)
    assert f"<strong>{first.account.username}</strong></bdi> is signed out" in page.text
    assert f"<strong>{second_account.username}</strong></bdi> is still signed in" in page.text
    assert first.is_logged_in  # as the second one
    # Without a hint everybody is asked about.
    page = first.logout(id_token_hint=None)
    assert second_account.username in page.text
    assert is_logged_out_page(decide(first.browser, page))
    assert not first.is_logged_in


def test_what_was_allowed_for_the_time_after_it_lives_on(world: World) -> None:
    goodbye = "https://app.example/goodbye"
    party = world.relying_party(
        post_logout_redirect_uris=[goodbye], grant_types=["authorization_code", "refresh_token"]
    )
    account, browser = world.operator.add_user(), world.browser()
    code, pending = world.get_code(party, account, browser=browser, scope="openid offline_access", prompt="consent")
    offline = party.exchange(code, pending)
    code, pending = world.get_code(party, account, browser=browser)
    online = party.exchange(code, pending)
    query = urlencode({"id_token_hint": online.id_token, "post_logout_redirect_uri": goodbye})
    assert browser.get(f"{world.issuer}/logout?{query}").location == goodbye
    assert party.try_refresh(online.refresh_token).status == 400
    assert party.try_refresh(offline.refresh_token).status == 200


def test_a_disabled_persons_browser_has_nothing_to_end(world: World) -> None:
    person = log_in(world)
    disable_user(world.operator.deployment, person.account.username)
    assert person.logout(post_logout_redirect_uri=person.goodbye).location == person.goodbye
