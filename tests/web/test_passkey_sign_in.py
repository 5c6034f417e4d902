"""Signing in by a passkey: who gets in and how strongly, and what lets nobody in."""

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from app.services.manage_users import disable_user
from app.services.sign_in_with_passkey import PASSKEYS_BEYOND_NETWORK, PASSKEYS_FROM_NETWORK
from tests.actors.authenticator import enter_code, guard
from tests.actors.http import Reply
from tests.actors.passkey_device import encode
from tests.actors.passkey_holder import SECURITY, PasskeyHolder, options_of
from tests.actors.relying_party import Tokens
from tests.conftest import run_world
from tests.databases import migrated_database_url
from tests.world import World

REFUSED = "This passkey does not sign you in here. Choose another one, or sign in another way."


@pytest.fixture
def holder(passkey_world: World) -> PasskeyHolder:
    """Somebody with a passkey, at a browser in which nobody is signed in."""
    return PasskeyHolder.of(passkey_world).registered()


@pytest.fixture(scope="module")
def preferring_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server that takes passkeys without user verification, too."""
    directory = tmp_path_factory.mktemp("preferring")
    origin = "https://preferring.meadow.example"
    with migrated_database_url("sqlite", directory) as url:
        yield from run_world(directory, url, origin=origin, rate_limits="off", passkey_user_verification="preferred")


def error_of(page: Reply) -> str:
    found = re.search(r'id="login-error".*?<span>(.*?)</span>', page.text, flags=re.DOTALL)
    assert found is not None, page.text
    return html.unescape(found[1])


def get_tokens(holder: PasskeyHolder, *, lies: dict[str, Any] | None = None, **parameters: Any) -> Tokens:
    """By the whole flow of an application that asks somebody to sign in."""
    party = holder.world.relying_party()
    pending = party.begin(**parameters)
    page = holder.sign_in(holder.open_login(pending.url), **(lies or {}))
    if 'id="consent-form"' in page.text:
        page = holder.browser.consent(page)
    return party.exchange(party.read_callback(page, pending), pending)


def events(holder: PasskeyHolder, event_type: str) -> list[dict[str, Any]]:
    deployment = holder.world.operator.deployment
    with deployment.database.reading() as connection:
        query = text("SELECT body FROM audit_events WHERE sub = :sub AND type = :type ORDER BY event_id")
        rows = connection.execute(query, {"sub": holder.account.sub, "type": event_type})
        return [json.loads(row[0]) for row in rows]


def stored(holder: PasskeyHolder, column: str) -> Any:
    deployment = holder.world.operator.deployment
    query = f"SELECT {column} FROM passkeys JOIN users ON users.id = user_id WHERE sub = :sub"  # noqa: S608
    with deployment.database.reading() as connection:
        return connection.execute(text(query), {"sub": holder.account.sub}).scalar_one()


# ----- Who gets in -----


@pytest.mark.requirement("WebAuthn Level 3", "7.2", "an assertion is verified")
@pytest.mark.requirement("RFC 8176", "2", "hwk, user and mfa")
def test_a_passkey_signs_its_owner_in_without_a_name(holder: PasskeyHolder) -> None:
    claims = get_tokens(holder, acr_values="phr").id_claims
    assert claims["sub"] == holder.account.sub
    assert claims["acr"] == "phr"
    assert claims["amr"] == ["hwk", "mfa", "user"]
    assert stored(holder, "last_used_at") is not None


def test_a_passkey_in_another_browser_is_a_sign_in_from_a_new_device(holder: PasskeyHolder) -> None:
    before = len(events(holder, "login.succeeded"))
    assert before > 0
    get_tokens(holder)
    assert events(holder, "login.succeeded")[-1]["new_device"] is True


def test_a_synced_passkey_says_that_its_key_is_in_software(passkey_world: World) -> None:
    holder = PasskeyHolder.of(passkey_world, is_synced=True).registered()
    assert get_tokens(holder).id_claims["amr"] == ["mfa", "swk", "user"]


@pytest.mark.requirement("WebAuthn Level 3", "5.5", "no credential is named where nobody has said who they are")
def test_the_sign_in_page_asks_for_any_passkey(holder: PasskeyHolder) -> None:
    page = holder.open_login()
    options = options_of(page)
    assert options["rpId"] == "login.meadow.example"
    assert options["allowCredentials"] == []
    assert options["userVerification"] == "required"
    assert 'autocomplete="username webauthn"' in page.text
    assert "<noscript>" in page.text


def test_a_page_of_ours_opens_after_it(holder: PasskeyHolder) -> None:
    page = holder.sign_in(holder.open_login(f"{holder.browser.issuer}{SECURITY}"))
    assert 'id="passkeys"' in page.text
    assert "last used on" in page.text


@pytest.mark.requirement("WebAuthn Level 3", "7.2", "the backup state is updated")
def test_that_a_key_is_backed_up_by_now_is_written_down(passkey_world: World) -> None:
    holder = PasskeyHolder.of(passkey_world, is_synced=True).registered()
    deployment = passkey_world.operator.deployment
    query = "UPDATE passkeys SET is_backed_up = 0 WHERE user_id = (SELECT id FROM users WHERE sub = :sub)"
    deployment.database.transact(lambda connection: connection.execute(text(query), {"sub": holder.account.sub}))
    get_tokens(holder)
    assert bool(stored(holder, "is_backed_up")) is True


def test_a_session_that_was_not_strong_becomes_so_by_signing_in_again(holder: PasskeyHolder) -> None:
    get_tokens(holder)
    assert get_tokens(holder, prompt="login").id_claims["acr"] == "phr"


# ----- What lets nobody in -----

LIES: dict[str, dict[str, Any]] = {
    "another origin": {"origin": "https://login.meadow.example.evil.example"},
    "plain http": {"origin": "http://login.meadow.example"},
    "a frame of another origin": {"cross_origin": True},
    "another relying party": {"rp_id": "evil.example"},
    "a registration's answer": {"type": "webauthn.create"},
    "no user present": {"user_present": False},
    "no user verified": {"user_verified": False},
    "a made-up challenge": {"challenge": encode(b"x" * 56)},
    "an empty challenge": {"challenge": ""},
    "somebody else's handle": {"handle": b"h" * 32},
    "no handle": {"without": ["userHandle"]},
    "no signature": {"without": ["signature"]},
    "a wrong signature": {"response": {"signature": encode(b"0" * 70)}},
    "an empty signature": {"response": {"signature": ""}},
    "garbage for data": {"response": {"authenticatorData": encode(b"\xff" * 37)}},
    "too little data": {"response": {"authenticatorData": encode(b"\0" * 36)}},
    "something behind the data": {"response": {"authenticatorData": encode(b"\0" * 38)}},
    "client data that are no JSON": {"response": {"clientDataJSON": encode(b"\xff{")}},
    "client data nested deeply": {"response": {"clientDataJSON": encode(b"[" * 5000)}},
    "a backup that it never had": {"is_synced": True},
}


@pytest.fixture(scope="module")
def long_standing(shared_passkey_world: World) -> PasskeyHolder:
    """Somebody whose passkey was made once for all the answers that are refused."""
    return PasskeyHolder.of(shared_passkey_world).registered()


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.requirement("WebAuthn Level 3", "7.2", "what does not hold is refused")
def test_what_does_not_hold_lets_nobody_in(passkey_world: World, long_standing: PasskeyHolder, lie: str) -> None:
    holder = replace(long_standing, browser=passkey_world.browser())
    succeeded = len(events(holder, "login.succeeded"))
    page = holder.sign_in(holder.open_login(), **LIES[lie])
    assert page.status == 200
    assert error_of(page) == REFUSED
    assert len(events(holder, "login.succeeded")) == succeeded
    # The next good one gets in.
    assert 'id="consent-form"' in holder.sign_in(page).text


def test_an_unknown_passkey_is_answered_like_a_wrong_one(passkey_world: World, holder: PasskeyHolder) -> None:
    stranger = PasskeyHolder.of(passkey_world)
    stranger.authenticator.create({"challenge": "AAAA", "user": {"id": encode(b"u" * 32)}})
    unknown = stranger.sign_in(stranger.open_login())
    wrong = holder.sign_in(holder.open_login(), response={"signature": encode(b"0" * 70)})
    assert error_of(unknown) == error_of(wrong) == REFUSED
    assert (unknown.status, len(unknown.header_list)) == (wrong.status, len(wrong.header_list))


@pytest.mark.parametrize("credential", ["{", "[]", "null", "{}", '{"type":"public-key","response":{}}', "a" * 20_000])
def test_what_is_no_answer_at_all_lets_nobody_in(passkey_world: World, credential: str) -> None:
    stranger = PasskeyHolder.of(passkey_world)
    assert error_of(stranger.post(stranger.open_login(), credential=credential)) == REFUSED


def test_what_is_too_long_is_not_read(passkey_world: World) -> None:
    stranger = PasskeyHolder.of(passkey_world)
    assert stranger.post(stranger.open_login(), credential="a" * 70_000).status == 413


def test_the_passkey_of_somebody_disabled_lets_nobody_in(holder: PasskeyHolder) -> None:
    disable_user(holder.world.operator.deployment, holder.account.username)
    assert error_of(holder.sign_in(holder.open_login())) == REFUSED


@pytest.mark.requirement("WebAuthn Level 3", "13.4.3", "a challenge is used once")
def test_an_answer_is_good_once(holder: PasskeyHolder) -> None:
    page = holder.open_login()
    credential = holder.authenticator.get(options_of(page))
    assert 'id="consent-form"' in holder.post(page, credential=credential).text
    assert error_of(holder.post(page, credential=credential)) == REFUSED


def test_an_answer_for_one_sign_in_is_none_for_another(holder: PasskeyHolder) -> None:
    stolen = holder.authenticator.get(options_of(holder.open_login()))
    thief = PasskeyHolder.of(holder.world)
    assert error_of(thief.post(thief.open_login(), credential=stolen)) == REFUSED


def test_an_answer_that_comes_late_is_told_so(holder: PasskeyHolder) -> None:
    page = holder.open_login()
    holder.world.clock.move(seconds=601)
    late = "This page was open for a long time. Please try your passkey again."
    refused = holder.sign_in(page)
    assert error_of(refused) == late
    assert 'id="consent-form"' in holder.sign_in(refused).text
    # The page's own script sends nothing where it knows as much.
    holder.browser = holder.world.browser()
    assert error_of(holder.post(holder.open_login(), credential="")) == late


def test_a_form_that_is_not_ours_is_refused(holder: PasskeyHolder) -> None:
    page = holder.open_login()
    credential = holder.authenticator.get(options_of(page))
    assert holder.post(page, credential=credential, csrf_token="forged").status == 403
    fields = re.findall(r'name="(transaction|csrf_token)" value="([^"]+)"', page.text)[-2:]
    headers = {"Origin": "https://evil.example"}
    url = f"{holder.browser.issuer}/login/passkey"
    assert holder.browser.post(url, [*fields, ("credential", credential)], headers=headers).status == 403


# ----- A key that was copied -----


@pytest.mark.requirement("WebAuthn Level 3", "7.2", "a count of signatures that does not go on")
@pytest.mark.parametrize("count", [1, 2, 0])
def test_a_count_that_does_not_go_on_lets_nobody_in_and_is_told(passkey_world: World, count: int) -> None:
    holder = PasskeyHolder.of(passkey_world, counts=True).registered()
    for _ in range(2):
        get_tokens(holder, prompt="login")
    assert stored(holder, "sign_count") == 2
    holder.browser = passkey_world.browser()
    assert error_of(holder.sign_in(holder.open_login(), count=count)) == REFUSED
    (event,) = events(holder, "passkey.cloned")
    assert (event["sign_count"], event["last_sign_count"]) == (count, 2)
    assert stored(holder, "sign_count") == 2


# ----- Throttling -----


def test_108_wrong_passwords_do_not_keep_a_passkey_out(holder: PasskeyHolder) -> None:
    page = holder.open_login()
    for _ in range(12):
        page = holder.browser.log_in(page, holder.account.username, "wrong password")
    assert page.status == 429
    assert 'id="consent-form"' in holder.sign_in(page).text


def _use_up_network(world: World) -> tuple[PasskeyHolder, Reply]:
    """A stranger who has sent so much junk that whoever comes from their network has to wait."""
    stranger = PasskeyHolder.of(world)
    page = stranger.open_login()
    for _ in range(PASSKEYS_FROM_NETWORK.free + 1):
        page = stranger.post(page, credential="{}")
    assert page.status == 429
    assert int(page.headers["retry-after"]) > 0
    return stranger, page


def _answer(page: Reply) -> tuple[int, str | None, str]:
    return page.status, page.headers.get("retry-after"), error_of(page)


def test_108_attempts_of_one_address_are_bounded_and_a_passkey_gets_in_nevertheless(holder: PasskeyHolder) -> None:
    known = holder.browser
    get_tokens(holder)
    _use_up_network(holder.world)
    holder.browser = holder.world.browser()
    assert get_tokens(holder).id_claims["sub"] == holder.account.sub, "on a device that nobody knows"
    holder.browser = known
    assert get_tokens(holder, prompt="login").id_claims["sub"] == holder.account.sub, "on one that is known"


def test_beyond_the_bound_nobody_learns_by_the_answer_which_passkeys_exist(holder: PasskeyHolder) -> None:
    stranger, throttled = _use_up_network(holder.world)
    page = stranger.open_login()
    of_existing = holder.authenticator.get(options_of(page), origin="https://evil.example")
    of_none = PasskeyHolder.of(holder.world, holder.account)
    of_none.authenticator.keys = [replace(holder.authenticator.keys[-1], credential_id=b"nobody has this one")]
    junk = of_none.authenticator.get(options_of(page))
    answers = {_answer(stranger.post(page, credential=credential)) for credential in (of_existing, junk, "{}")}
    assert answers == {_answer(throttled)}
    reasons = {event["reason"] for event in events(holder, "login.refused")}
    assert reasons <= {"passkey:invalid"}


def test_108_a_passkey_that_others_name_too_often_still_gets_in_on_a_known_device(holder: PasskeyHolder) -> None:
    known = holder.browser
    get_tokens(holder)
    other = holder.world.operator.add_user()
    known.log_in(
        holder.open_login(holder.world.relying_party().begin(prompt="login").url), other.username, other.password
    )
    stranger, _page = _use_up_network(holder.world)
    page = stranger.open_login()
    for _ in range(PASSKEYS_BEYOND_NETWORK.free):
        wrong = holder.authenticator.get(options_of(page), origin="https://evil.example")
        assert stranger.post(page, credential=wrong).status == 429
    holder.browser = holder.world.browser()
    assert holder.sign_in(holder.open_login()).status == 429, "no more work for this one either"
    holder.browser = known
    assert get_tokens(holder, prompt="login").id_claims["sub"] == holder.account.sub


# ----- Without user verification -----


def test_where_it_is_only_preferred_a_device_alone_is_as_good_as_a_password(preferring_world: World) -> None:
    holder = PasskeyHolder.of(preferring_world, verifies_user=False).registered()
    assert options_of(holder.open_login())["userVerification"] == "preferred"
    claims = get_tokens(holder).id_claims
    assert claims["acr"] == preferring_world.operator.deployment.acr_names.pwd
    assert claims["amr"] == ["hwk", "user"]
    assert events(holder, "login.succeeded")[-1]["level"] == "pwd"


def test_and_with_user_verification_it_is_as_strong_as_anywhere(preferring_world: World) -> None:
    holder = PasskeyHolder.of(preferring_world).registered()
    assert get_tokens(holder, acr_values="phr").id_claims["acr"] == "phr"


# ----- Beside a password, and to make a login stronger -----


def open_second_factor(holder: PasskeyHolder, url: str | None = None) -> Reply:
    """The page that whoever has a passkey sees after a right password."""
    page = holder.open_login(url)
    page = holder.browser.log_in(page, holder.account.username, holder.account.password)
    assert "/second-factor?" in holder.browser.url
    return page


def second_factor_error(page: Reply) -> str:
    found = re.search(r'id="second-factor-error".*?<span>(.*?)</span>', page.text, flags=re.DOTALL)
    assert found is not None, page.text
    return html.unescape(found[1])


@pytest.mark.parametrize(("is_verified", "level"), [(True, "phr"), (False, "mfa")])
def test_beside_a_password_it_is_a_second_factor(holder: PasskeyHolder, is_verified: bool, level: str) -> None:
    party = holder.world.relying_party()
    pending = party.begin()
    page = holder.sign_in(open_second_factor(holder, pending.url), user_verified=is_verified)
    tokens = party.exchange(party.read_callback(holder.browser.consent(page), pending), pending)
    assert tokens.id_claims["amr"] == ["hwk", "mfa", "pwd", "user"]
    assert tokens.id_claims["acr"] == getattr(holder.world.operator.deployment.acr_names, level)


def test_the_second_factor_page_names_the_keys_of_the_person(holder: PasskeyHolder) -> None:
    options = options_of(open_second_factor(holder))
    (key,) = holder.authenticator.keys
    assert [each["id"] for each in options["allowCredentials"]] == [encode(key.credential_id)]
    assert options["userVerification"] == "preferred"


def test_an_authenticator_that_tells_no_handle_is_enough_where_the_person_is_known(holder: PasskeyHolder) -> None:
    page = holder.sign_in(open_second_factor(holder), without=["userHandle"])
    assert 'id="consent-form"' in page.text


def test_somebody_elses_passkey_is_no_second_factor_of_mine(passkey_world: World, holder: PasskeyHolder) -> None:
    other = PasskeyHolder.of(passkey_world).registered()
    page = open_second_factor(holder)
    theirs = other.authenticator.get(options_of(page))
    assert second_factor_error(holder.post(page, credential=theirs)) == REFUSED
    # Neither is an answer to the page where people sign in.
    mine = holder.authenticator.get(options_of(PasskeyHolder.of(passkey_world).open_login()))
    assert second_factor_error(holder.post(page, credential=mine)) == REFUSED
    assert events(holder, "login.succeeded")[1:] == []


def test_its_answer_is_good_once_and_not_without_the_password(holder: PasskeyHolder) -> None:
    page = open_second_factor(holder)
    credential = holder.authenticator.get(options_of(page))
    assert 'id="consent-form"' in holder.post(page, credential=credential).text
    succeeded = len(events(holder, "login.succeeded"))
    holder.post(page, credential=credential)
    assert len(events(holder, "login.succeeded")) == succeeded


def test_118_a_login_by_password_is_made_phishing_resistant_by_a_verified_passkey(passkey_world: World) -> None:
    holder = PasskeyHolder.of(passkey_world)
    holder.add()
    party = passkey_world.relying_party()
    pending = party.begin(acr_values="phr")
    page = holder.open_login(pending.url)
    assert "/second-factor?" in holder.browser.url
    assert options_of(page)["userVerification"] == "required"
    assert second_factor_error(holder.sign_in(page, user_verified=False)) == REFUSED
    page = holder.sign_in(page)
    tokens = party.exchange(party.read_callback(holder.browser.consent(page), pending), pending)
    assert tokens.id_claims["acr"] == "phr"


def test_a_device_alone_owes_the_code_of_whoever_has_an_app(preferring_world: World) -> None:
    guarded = guard(preferring_world)
    holder = PasskeyHolder.of(preferring_world, guarded.account, verifies_user=False)
    page = holder.browser.log_in(holder.open_login(), guarded.account.username, guarded.account.password)
    assert 'id="consent-form"' in enter_code(holder.browser, page, guarded.app.next_code()).text
    assert "was added" in holder.add().text
    holder.browser = preferring_world.browser()
    page = holder.sign_in(holder.open_login())
    assert "/second-factor?" in holder.browser.url
    succeeded = len(events(holder, "login.succeeded"))
    page = enter_code(holder.browser, page, guarded.app.next_code())
    assert 'id="consent-form"' in page.text
    (event,) = events(holder, "login.succeeded")[succeeded:]
    assert (event["level"], event["method"]) == ("mfa", "hwk user otp mfa")


def test_a_device_alone_is_no_second_factor_beside_itself(preferring_world: World) -> None:
    holder = PasskeyHolder.of(preferring_world, verifies_user=False).registered()
    get_tokens(holder)
    page = holder.open_login(preferring_world.relying_party().begin(acr_values="https://refeds.org/profile/mfa").url)
    assert "/second-factor?" in holder.browser.url
    assert options_of(page)["userVerification"] == "required"
    assert second_factor_error(holder.sign_in(page)) == REFUSED
