"""Asking for a stronger or a fresher login: by the client, by an API (RFC 9470), and what the tokens say (case 118)."""

import json
import re
from typing import Any

import pytest
from flask import Flask, g
from flask.testing import FlaskClient

from app.verifier import AccessTokenVerifier
from app.verifier.flask import require_token, use_verifier
from tests.actors.authenticator import Guarded, enter_code, guard
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply, send
from tests.actors.relying_party import Pending, RelyingParty, Tokens
from tests.attacks.good_conduct import nothing_changes
from tests.world import World

pytestmark = pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True)
SECOND_FACTOR = 'id="second-factor-form"'
MFA = "https://refeds.org/profile/mfa"
PWD = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"


def essential(*values: str) -> str:
    """The `claims` parameter that makes one of these values of `acr` essential."""
    return json.dumps({"id_token": {"acr": {"essential": True, "values": list(values)}}})


def signed_in_before_the_app(world: World) -> tuple[Browser, Guarded]:
    """A browser with a session by password alone, of somebody who has set up an app since, in another browser."""
    browser, account = world.browser(), world.operator.add_user()
    world.get_tokens(world.relying_party(), account, browser=browser)
    return browser, guard(world, account)


def finish(browser: Browser, party: RelyingParty, reply: Reply, pending: Pending) -> Tokens:
    """Consent where asked, and fetch the tokens."""
    if 'id="consent-form"' in reply.text:
        reply = browser.consent(reply)
    return party.exchange(party.read_callback(reply, pending), pending)


@pytest.mark.parametrize(
    "asked", [{"acr_values": MFA}, {"acr_values": f"phr {MFA}"}, {"claims": essential(MFA)}], ids=str
)
@pytest.mark.requirement("RFC 9470", "5", "acr_values in the authorization request")
def test_118_a_weaker_session_is_made_stronger_and_the_tokens_say_so(world: World, asked: dict[str, str]) -> None:
    browser, person = signed_in_before_the_app(world)
    party = world.relying_party()
    world.clock.move(seconds=120)
    pending = party.begin(**asked)
    page = browser.get(pending.url)
    assert SECOND_FACTOR in page.text
    reply = enter_code(browser, page, person.app.next_code())
    tokens = finish(browser, party, reply, pending)
    assert tokens.id_claims["acr"] == MFA
    assert sorted(tokens.id_claims["amr"]) == ["mfa", "otp", "pwd"]
    assert abs(tokens.id_claims["auth_time"] - world.clock() / 1000) < 30
    # Met from now on: nobody is asked twice.
    again = party.begin(**asked)
    assert finish(browser, party, browser.get(again.url), again).id_claims["acr"] == MFA


def test_118_a_registered_wish_is_asked_for_too(world: World) -> None:
    browser, person = signed_in_before_the_app(world)
    party = world.relying_party(default_acr_values=[MFA])
    pending = party.begin()
    page = browser.get(pending.url)
    assert SECOND_FACTOR in page.text
    reply = enter_code(browser, page, person.app.next_code())
    assert finish(browser, party, reply, pending).id_claims["acr"] == MFA


def test_118_a_wish_that_nobody_can_meet_is_passed_over_and_the_answer_is_the_truth(world: World) -> None:
    account, party = world.operator.add_user(), world.relying_party()
    tokens = world.get_tokens(party, account, acr_values=MFA)
    assert (tokens.id_claims["acr"], tokens.id_claims["amr"]) == (PWD, ["pwd"])


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.5.1.1", "an essential acr that is not met fails the login")
def test_118_an_essential_level_that_they_cannot_reach_is_refused(world: World) -> None:
    account, party = world.operator.add_user(), world.relying_party()
    pending = party.begin(claims=essential(MFA))
    answer = party.read_answer(world.authorize(world.browser(), pending, account))
    assert (answer["error"], answer["state"]) == ("access_denied", pending.state)


def test_118_a_code_does_not_resist_phishing(world: World) -> None:
    """An authenticator app is no means to reach `phr`."""
    browser, _ = signed_in_before_the_app(world)
    party = world.relying_party()
    answer = party.read_answer(browser.get(party.begin(claims=essential("phr")).url))
    assert answer["error"] == "access_denied"


def test_118_without_a_page_an_essential_level_that_is_missing_is_login_required(world: World) -> None:
    browser, _ = signed_in_before_the_app(world)
    party = world.relying_party()
    answer = party.read_answer(browser.get(party.begin(claims=essential(MFA), prompt="none").url))
    assert answer["error"] == "login_required"


def test_118_who_does_not_want_to_goes_back_to_the_client_with_a_no(world: World) -> None:
    browser, _ = signed_in_before_the_app(world)
    party = world.relying_party()
    pending = party.begin(acr_values=MFA)
    page = browser.get(pending.url)
    form = find_form(page, "second-factor-leave")
    answer = party.read_answer(browser.post(world.issuer + form.action, form.with_values(decision="cancel")))
    assert (answer["error"], answer["state"]) == ("access_denied", pending.state)


def test_118_five_wrong_codes_cost_the_session_its_step_and_the_login_comes_first(world: World) -> None:
    browser, person = signed_in_before_the_app(world)
    pending = world.relying_party().begin(acr_values=MFA)
    page = browser.get(pending.url)
    form = find_form(page, "second-factor-form")
    for _ in range(5):
        browser.post(world.issuer + form.action, form.with_values(code="no code"))
    with nothing_changes(world):
        page = browser.post(world.issuer + form.action, form.with_values(code=person.app.next_code()))
    assert 'id="login-form"' in page.text
    # A reload, or starting over, does not give the tries back; the password does.
    leave = [*((name, value) for name, value in form.fields if name != "takes"), ("decision", "restart")]
    assert 'id="login-form"' in browser.post(world.issuer + form.action, leave).text
    assert 'id="login-form"' in browser.get(f"{world.issuer}/second-factor?transaction={form.fields[0][1]}").text
    page = browser.log_in(page, person.account.username, person.account.password)
    assert SECOND_FACTOR in page.text
    assert 'id="consent-form"' in enter_code(browser, page, person.app.code()).text


@pytest.mark.parametrize("asked", [{"prompt": "login"}, {"max_age": "0"}], ids=str)
def test_118_a_second_factor_does_not_stand_in_for_the_login_that_is_due(world: World, asked: dict[str, str]) -> None:
    """Whoever sits at somebody's open browser goes to the page of the second factor without logging in anew."""
    browser, _ = signed_in_before_the_app(world)
    world.clock.move(seconds=5)
    page = browser.get(world.relying_party().begin(acr_values=MFA, **asked).url)
    transaction = dict(find_form(page, "login-form").fields)["transaction"]
    page = browser.get(f"{world.issuer}/second-factor?transaction={transaction}")
    assert 'id="login-form"' in page.text


def test_118_a_form_of_step_up_does_not_make_a_session_of_nothing(world: World) -> None:
    """The session ended while the page stood open."""
    browser, person = signed_in_before_the_app(world)
    page = browser.get(world.relying_party().begin(acr_values=MFA).url)
    browser.cookies = {name: value for name, value in browser.cookies.items() if "-browser" not in name}
    assert 'id="login-form"' in enter_code(browser, page, person.app.next_code()).text


# ----- An API asks (RFC 9470) -----


def make_api(world: World, resource: str) -> FlaskClient:
    """A resource server that wants a second factor of the last ten minutes for payments."""
    app = Flask("step_up_api")
    verifier = AccessTokenVerifier(
        issuer=world.issuer, audience=resource, clock=lambda: world.clock() / 1000, background=False
    )
    use_verifier(app, verifier)

    @app.get("/photos")
    @require_token("photos.read")
    def photos() -> dict[str, Any]:
        return {"acr": g.access_token.acr}

    @app.get("/payments")
    @require_token("photos.read", acr_values=MFA, max_age_s=600)
    def payments() -> dict[str, Any]:
        return {"acr": g.access_token.acr}

    return app.test_client()


def challenge_of(answer: Any) -> dict[str, str]:
    """The parameters of a challenge."""
    return dict(re.findall(r'(\w+)="([^"]*)"', answer.headers["WWW-Authenticate"]))


@pytest.mark.requirement("RFC 9470", "4", "the client repeats its request with acr_values and max_age of the challenge")
def test_an_api_asks_for_more_and_gets_it(world: World) -> None:
    browser, person = signed_in_before_the_app(world)
    resource = world.operator.add_resource()
    party, api = world.relying_party(), make_api(world, resource)
    wish = {"scope": "openid photos.read", "resource": resource}

    def bearer(tokens: Tokens) -> dict[str, str]:
        return {"Authorization": f"Bearer {tokens.access_token}"}

    weak = world.get_tokens(party, person.account, browser=browser, **wish)
    assert api.get("/photos", headers=bearer(weak)).json == {"acr": PWD}
    refused = api.get("/payments", headers=bearer(weak))
    challenge = challenge_of(refused)
    assert (refused.status_code, challenge["error"]) == (401, "insufficient_user_authentication")

    # Too weak: the client passes on what the API asks for.
    asked = {"acr_values": challenge["acr_values"], "max_age": challenge["max_age"]}
    pending = party.begin(**wish, **asked)
    reply = enter_code(browser, browser.get(pending.url), person.app.next_code())
    strong = finish(browser, party, reply, pending)
    assert strong.claims["acr"] == MFA
    assert api.get("/payments", headers=bearer(strong)).json == {"acr": MFA}

    # Too old: the session has the level still, and the login is asked for again, the second factor with it.
    world.clock.move(seconds=700)
    pending = party.begin(**wish)
    old = finish(browser, party, browser.get(pending.url), pending)
    # One that has just started: what the other one knows of revocations is as old as the clock was moved.
    api = make_api(world, resource)
    refused = api.get("/payments", headers=bearer(old))
    assert challenge_of(refused)["error"] == "insufficient_user_authentication"
    pending = party.begin(**wish, **asked)
    page = browser.log_in(browser.get(pending.url), person.account.username, person.account.password)
    fresh = finish(browser, party, enter_code(browser, page, person.app.code()), pending)
    assert fresh.claims["auth_time"] >= old.claims["auth_time"] + 600
    assert api.get("/payments", headers=bearer(fresh)).json == {"acr": MFA}


def test_the_metadata_names_the_levels_that_can_be_reached_here(world: World) -> None:
    """At an address, where no browser makes a passkey, the highest is none of them."""
    metadata = send(f"{world.issuer}/.well-known/openid-configuration").json()
    assert metadata["acr_values_supported"] == [PWD, MFA]


@pytest.mark.requirement("RFC 9470", "5", "the parameters of OpenID Connect hold for OAuth requests, too")
def test_a_request_without_openid_is_stepped_up_too(world: World) -> None:
    browser, person = signed_in_before_the_app(world)
    party, resource = world.relying_party(), world.operator.add_resource()
    pending = party.begin(scope="photos.read", resource=resource, acr_values=MFA)
    reply = enter_code(browser, browser.get(pending.url), person.app.next_code())
    tokens = finish(browser, party, reply, pending)
    assert tokens.id_token is None
    assert tokens.claims["acr"] == MFA


def test_introspection_tells_how_somebody_logged_in(world: World) -> None:
    browser, person = signed_in_before_the_app(world)
    party, resource = world.relying_party(), world.operator.add_resource()
    pending = party.begin(scope="photos.read", resource=resource, acr_values=MFA)
    reply = enter_code(browser, browser.get(pending.url), person.app.next_code())
    tokens = finish(browser, party, reply, pending)
    answer = world.api_server(resource).introspect(tokens.access_token).json()
    assert (answer["active"], answer["acr"], answer["auth_time"]) == (True, MFA, tokens.claims["auth_time"])
