"""`id_token_hint` at /authorize: the request is for that person, and nobody else's tokens answer it."""

import base64
import json

import pytest

from app.specs.rfc7516_jwe import encrypt_jwe
from app.specs.rfc7517_jwk import import_encryption_jwk
from tests.actors.browser import Browser
from tests.actors.http import send
from tests.actors.relying_party import RelyingParty
from tests.attacks.good_conduct import nothing_changes
from tests.deployments import Account
from tests.world import World

CORE = "OpenID Connect Core 1.0"


@pytest.fixture
def ada(world: World) -> Account:
    return world.operator.add_user()


@pytest.fixture
def bob(world: World) -> Account:
    return world.operator.add_user()


@pytest.fixture
def party(world: World) -> RelyingParty:
    return world.relying_party()


def sign_in(world: World, browser: Browser, party: RelyingParty, account: Account) -> str:
    """The ID token of a login in this browser."""
    pending = party.begin(prompt="login")
    tokens = party.exchange(party.read_callback(world.authorize(browser, pending, account), pending), pending)
    assert tokens.id_token is not None
    return tokens.id_token


def silent(browser: Browser, party: RelyingParty, hint: str) -> str:
    """Whose tokens come without a page, or the error."""
    pending = party.begin(prompt="none", id_token_hint=hint)
    reply = browser.send_once(pending.url)
    answer = party.read_answer(reply)
    if "error" in answer:
        return answer["error"]
    return str(party.exchange(answer["code"], pending).id_claims["sub"])


@pytest.mark.requirement(CORE, "3.1.2.1", "id_token_hint: if logged in, a positive response, otherwise an error")
def test_the_hint_is_met_by_its_person_and_by_nobody_else(
    world: World, party: RelyingParty, ada: Account, bob: Account
) -> None:
    browser, other = world.browser(), world.browser()
    hint = sign_in(world, browser, party, ada)
    assert silent(browser, party, hint) == ada.sub
    sign_in(world, other, party, bob)
    with nothing_changes(world):
        assert silent(other, party, hint) == "login_required"
        assert silent(world.browser(), party, hint) == "login_required"


def test_among_several_accounts_the_hint_chooses(world: World, party: RelyingParty, ada: Account, bob: Account) -> None:
    browser = world.browser()
    hint_of_ada, hint_of_bob = (sign_in(world, browser, party, account) for account in (ada, bob))
    assert silent(browser, party, hint_of_ada) == ada.sub
    assert silent(browser, party, hint_of_bob) == bob.sub


def test_an_expired_hint_counts(world: World, party: RelyingParty, ada: Account) -> None:
    browser = world.browser()
    hint = sign_in(world, browser, party, ada)
    world.clock.move(seconds=3000)
    assert silent(browser, party, hint) == ada.sub


def test_a_pairwise_subject_is_a_hint_for_its_own_client(world: World, ada: Account) -> None:
    party = world.relying_party(subject_type="pairwise")
    browser = world.browser()
    hint = sign_in(world, browser, party, ada)
    assert silent(browser, party, hint) not in (ada.sub, "login_required", "invalid_request")


@pytest.mark.requirement(CORE, "3.1.2.2", "MUST NOT reply with an ID Token or Access Token for a different user")
@pytest.mark.parametrize("by", ["login", "choice"])
def test_somebody_else_who_comes_instead_gets_no_tokens(
    world: World, party: RelyingParty, ada: Account, bob: Account, by: str
) -> None:
    browser = world.browser()
    hint = sign_in(world, world.browser(), party, ada)
    pending = party.begin(id_token_hint=hint, **({"prompt": "select_account"} if by == "choice" else {}))
    if by == "choice":
        for account in (ada, bob):
            sign_in(world, browser, party, account)
        reply = browser.select_account(browser.get(pending.url), bob.username)
    else:
        reply = browser.log_in(browser.get(pending.url), bob.username, bob.password)
    answer = party.read_answer(reply)
    assert (answer["error"], answer["state"]) == ("login_required", pending.state)


def test_the_person_who_was_logged_out_logs_in_again(world: World, party: RelyingParty, ada: Account) -> None:
    hint = sign_in(world, world.browser(), party, ada)
    pending = party.begin(id_token_hint=hint)
    reply = world.authorize(world.browser(), pending, ada)
    assert party.exchange(party.read_callback(reply, pending), pending).id_claims["sub"] == ada.sub


def test_the_login_page_expects_the_one_who_is_meant_on_a_device_of_theirs_only(
    world: World, party: RelyingParty, ada: Account
) -> None:
    browser = world.browser()
    hint = sign_in(world, browser, party, ada)
    page = browser.get(party.begin(id_token_hint=hint, prompt="login").url)
    assert f'value="{ada.username}"' in page.text
    # Whoever got hold of an ID token learns no name by it.
    page = world.browser().get(party.begin(id_token_hint=hint).url)
    assert 'id="login-form"' in page.text
    assert ada.username not in page.text


@pytest.mark.requirement(CORE, "3.1.2.1", "a hint that was encrypted to the server is opened")
def test_a_hint_that_was_encrypted_to_the_server_is_opened(world: World, party: RelyingParty, ada: Account) -> None:
    browser = world.browser()
    hint = sign_in(world, browser, party, ada)
    jwks = send(f"{world.url}/jwks").json()["keys"]
    key = import_encryption_jwk(next(jwk for jwk in jwks if jwk["alg"] == "ECDH-ES"))
    encrypted = encrypt_jwe(hint.encode(), key, alg="ECDH-ES", enc="A256GCM", cty="JWT")
    assert silent(browser, party, encrypted) == ada.sub
    assert silent(browser, party, encrypted[:-2] + "AA") == "invalid_request"


@pytest.mark.requirement(CORE, "3.1.2.1", "the OP MUST validate that it was the issuer of the ID Token")
@pytest.mark.parametrize(
    "hint", ["another client's", "unsigned", "tampered", "an access token", "junk", "a" * 9000, "a.b.c.d.e"]
)
def test_what_is_no_id_token_of_this_client_is_refused(
    world: World, party: RelyingParty, ada: Account, hint: str
) -> None:
    browser = world.browser()
    good = sign_in(world, browser, party, ada)
    header, payload, signature = good.split(".")
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).rstrip(b"=").decode()
    code, pending = world.get_code(party, ada, browser=browser)
    hints = {
        "another client's": lambda: sign_in(world, browser, world.relying_party(), ada),
        "unsigned": lambda: f"{none}.{payload}.",
        "tampered": lambda: f"{header}.{payload}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        "an access token": lambda: party.exchange(code, pending).access_token,
    }
    sent = hints.get(hint, lambda: hint)()
    with nothing_changes(world):
        assert silent(browser, party, sent) == "invalid_request"
