"""Passkeys of an account: made, listed, named, removed; and what is no new passkey of this person."""

import html
import re
from typing import Any

import cbor2
import pytest
from sqlalchemy import text

from app.services.manage_users import disable_user
from app.storage.passkeys import find_passkey, find_user_handle, list_passkeys
from app.storage.users import find_user_by_sub
from tests.actors.http import Reply
from tests.actors.passkey_device import encode
from tests.actors.passkey_holder import PasskeyHolder, options_of
from tests.databases import on_sqlite
from tests.world import World


def titles(page: Reply) -> list[str]:
    return [html.unescape(name) for name in re.findall(r'passkey-name"><strong><bdi>(.*?)</bdi>', page.text)]


def error_of(page: Reply) -> str:
    found = re.search(r'id="refusal">.*?<span>(.*?)</span>', page.text, flags=re.DOTALL)
    assert found is not None, page.text
    return html.unescape(found[1])


def kept(holder: PasskeyHolder) -> int:
    deployment = holder.world.operator.deployment
    with deployment.database.reading() as connection:
        user = find_user_by_sub(connection, holder.account.sub)
        assert user is not None
        return len(list_passkeys(connection, user.id))


@pytest.fixture
def holder(passkey_world: World) -> PasskeyHolder:
    return PasskeyHolder.of(passkey_world)


# ----- Making one -----


@pytest.mark.requirement("WebAuthn Level 3", "7.1", "a new credential is verified and stored")
def test_a_passkey_is_added_under_the_name_that_its_owner_gives_it(holder: PasskeyHolder) -> None:
    page = holder.add(name="  Work   laptop ")
    assert page.status == 200
    assert "The passkey “Work laptop” was added." in page.text
    assert titles(page) == ["Work laptop"]
    assert "not used yet" in page.text


@pytest.mark.requirement("WebAuthn Level 3", "5.4", "discoverable, no attestation, known keys excluded")
def test_what_is_asked_of_the_authenticator(holder: PasskeyHolder) -> None:
    options = options_of(holder.registered().open_passkeys())
    assert options["rp"] == {"id": "login.meadow.example", "name": "Tokenhouse"}
    assert options["user"]["name"] == holder.account.username
    assert options["attestation"] == "none"
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert [key["id"] for key in options["excludeCredentials"]] == [encode(holder.authenticator.keys[0].credential_id)]
    assert options["excludeCredentials"][0]["transports"] == ["internal"]


@pytest.mark.requirement("WebAuthn Level 3", "14.6.1", "a user handle tells nothing about the user")
def test_the_user_handle_is_random_and_stays_the_same(holder: PasskeyHolder) -> None:
    handles = {options_of(holder.open_passkeys())["user"]["id"] for _ in range(2)}
    handles.add(options_of(holder.registered().open_passkeys())["user"]["id"])
    assert len(handles) == 1
    deployment = holder.world.operator.deployment
    with deployment.database.reading() as connection:
        user = find_user_by_sub(connection, holder.account.sub)
        assert user is not None
        stored = find_user_handle(connection, user.id)
    assert stored is not None
    assert (encode(stored), len(stored)) == (handles.pop(), 32)


def test_without_a_name_it_is_called_after_what_keeps_it(passkey_world: World) -> None:
    google = bytes.fromhex("ea9b8d664d011d213ce4b6b48cb575d4")
    assert titles(PasskeyHolder.of(passkey_world, aaguid=google).add()) == ["Google Password Manager"]
    assert titles(PasskeyHolder.of(passkey_world).add()) == ["Passkey"]


def test_a_key_that_is_synced_says_so(passkey_world: World) -> None:
    assert "Synced" in PasskeyHolder.of(passkey_world, is_synced=True).add().text


def test_its_owner_is_told_and_the_trail_knows(holder: PasskeyHolder) -> None:
    holder.add(name="Phone")
    holder.browser = holder.world.browser()
    page = holder.open_passkeys()
    value = re.findall(r'name="passkey" value="(\d+)"', page.text)[0]
    form = re.findall(r'name="csrf_token" value="([^"]+)"', page.text)[0]
    fields = [("csrf_token", form), ("passkey", value)]
    assert "no longer" in holder.browser.post(f"{holder.browser.issuer}/account/passkeys/remove", fields).text
    with holder.world.operator.deployment.database.reading() as connection:
        query = "SELECT type FROM audit_events WHERE sub = ? AND type LIKE 'passkey.%' ORDER BY event_id"
        events = [row[0] for row in connection.exec_driver_sql(query, (holder.account.sub,))]
        # What the mails say is sealed; that there are two is not.
        query = "SELECT count(*) FROM outbox WHERE kind = 'mail' AND created_at >= 0"
        mails = connection.exec_driver_sql(query).scalar_one()
    assert events == ["passkey.added", "passkey.removed"]
    assert mails >= 2


# ----- What is no new passkey -----

BOMB = b"\x81" * 8000 + b"\xf6"
P384_AS_ES256 = {1: 2, 3: -7, -1: 2, -2: b"\x01" * 48, -3: b"\x02" * 48}
LIES: dict[str, dict[str, Any]] = {
    "another origin": {"origin": "https://login.meadow.example.evil.example"},
    "another port": {"origin": "https://login.meadow.example:8443"},
    "a frame of another origin": {"cross_origin": True},
    "another relying party": {"rp_id": "meadow.example"},
    "a sign-in's answer": {"type": "webauthn.get"},
    "no user present": {"user_present": False},
    "no user verified": {"user_verified": False},
    "a made-up challenge": {"challenge": encode(b"x" * 56)},
    "no challenge of ours": {"challenge": encode(b"short")},
    "115 no CBOR": {"attestation": b"\xff\x00garbage"},
    "115 nested too deeply": {"attestation": BOMB},
    "115 a list without end": {"attestation": b"\x9f" + b"\x01" * 50},
    "115 a length that is none": {"attestation": b"\x5b" + b"\xff" * 8},
    "115 a huge number by a tag": {"attestation": cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": 1 << 5000})},
    "115 nothing in it": {"attestation": cbor2.dumps({})},
    "115 members that are none": {"attestation": cbor2.dumps({"fmt": 1, "attStmt": [], "authData": b""})},
    "an attestation that was not asked for": {"fmt": "fido-u2f", "statement": {"sig": b"x", "x5c": [b"y"]}},
    "an attestation with certificates": {"fmt": "packed", "statement": {"alg": -7, "sig": b"x", "x5c": [b"y"]}},
    "a statement beside no attestation": {"statement": {"sig": b"x"}},
    "an algorithm that was not asked for": {"cose": {1: 2, 3: -65535, -1: 1, -2: b"\x01" * 32, -3: b"\x02" * 32}},
    "a point beside the curve": {"cose": {1: 2, 3: -7, -1: 1, -2: b"\x01" * 32, -3: b"\x02" * 32}},
    "another curve": {"cose": P384_AS_ES256},
    "a small RSA key": {"cose": {1: 3, 3: -257, -1: b"\xc1" + b"\x01" * 127, -2: b"\x01\x00\x01"}},
    "a slow RSA key": {"cose": {1: 3, 3: -257, -1: b"\xc1" + b"\x01" * 255, -2: b"\x81" + b"\x01" * 250}},
    "a key that is no map": {"cose": {1: {1: {1: 1}}}},
    "an id that is too long": {"credential_id": b"x" * 1024},
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.requirement("WebAuthn Level 3", "7.1", "what does not hold is refused, and nothing is stored")
def test_115_what_is_no_new_passkey_is_refused(holder: PasskeyHolder, lie: str) -> None:
    page = holder.add(**LIES[lie])
    assert page.status == 400
    assert error_of(page) == "The passkey could not be added. Please try again, or use another device."
    assert kept(holder) == 0


@pytest.mark.parametrize("credential", ["{", "[]", "null", "{}", '{"type":"public-key","response":{}}', "a" * 20_000])
def test_115_what_is_no_credential_at_all_is_refused(holder: PasskeyHolder, credential: str) -> None:
    page = holder.post(holder.open_passkeys(), credential=credential)
    assert (page.status, kept(holder)) == (400, 0)


def test_115_what_is_too_long_is_not_read(holder: PasskeyHolder) -> None:
    page = holder.post(holder.open_passkeys(), credential="a" * 70_000)
    assert (page.status, kept(holder)) == (413, 0)


def test_115_a_credential_id_that_is_somebodys_is_refused(passkey_world: World, holder: PasskeyHolder) -> None:
    other = PasskeyHolder.of(passkey_world)
    other.add()
    credential_id = other.authenticator.keys[0].credential_id
    page = holder.add(credential_id=credential_id)
    assert page.status == 400
    assert error_of(page) == "This passkey is known here already. Nothing was changed."
    with passkey_world.operator.deployment.database.reading() as connection:
        passkey = find_passkey(connection, credential_id)
        user = find_user_by_sub(connection, other.account.sub)
    assert passkey is not None
    assert user is not None
    assert passkey.user_id == user.id


def test_115_nobody_has_more_than_twenty_five(holder: PasskeyHolder) -> None:
    page = holder.registered().open_passkeys()
    for number in range(23):
        page = holder.add(page, name=f"Key {number}")
    late = holder.open_passkeys()
    full = holder.add(page, name="The last one")
    assert 'id="passkeys-full"' in full.text
    assert 'id="passkey-add"' not in full.text
    refused = holder.add(late)
    assert refused.status == 400
    assert error_of(refused).startswith("You have 25 passkeys")
    assert kept(holder) == 25


def test_a_challenge_makes_one_passkey(holder: PasskeyHolder) -> None:
    page = holder.registered().open_passkeys()
    holder.add(page, name="Second")
    again = holder.add(page, name="Third")
    assert again.status == 400
    assert kept(holder) == 2


def test_a_challenge_of_another_session_is_refused(passkey_world: World, holder: PasskeyHolder) -> None:
    theirs = options_of(PasskeyHolder.of(passkey_world).open_passkeys())["challenge"]
    assert holder.add(challenge=theirs).status == 400
    assert kept(holder) == 0


def test_a_challenge_for_signing_in_makes_no_passkey(holder: PasskeyHolder) -> None:
    page = holder.open_passkeys()
    url = holder.world.relying_party().begin(prompt="login").url
    theirs = options_of(holder.browser.get(url))["challenge"]
    holder.browser.url = holder.browser.issuer
    assert holder.add(page, challenge=theirs).status == 400
    assert kept(holder) == 0


# ----- Whose form it is, and how long ago they signed in -----


def test_114_a_login_of_six_minutes_ago_has_to_be_repeated(holder: PasskeyHolder) -> None:
    page = holder.open_passkeys()
    holder.world.clock.move(seconds=360)
    answer = holder.add(page)
    assert 'id="login-form"' in answer.text
    assert kept(holder) == 0
    # And the page that is opened then asks nothing of the authenticator, but leads there.
    later = holder.browser.get(holder.browser.issuer + "/account/security")
    assert 'data-options=""' in later.text
    assert 'id="login-form"' in holder.post(later).text


@pytest.mark.parametrize("path", ["add", "rename", "remove"])
def test_a_form_that_is_not_ours_changes_nothing(holder: PasskeyHolder, path: str) -> None:
    holder.add(name="Mine")
    holder.browser = holder.world.browser()
    page = holder.open_passkeys()
    value = re.findall(r'name="passkey" value="(\d+)"', page.text)[0]
    fields = [("csrf_token", "forged"), ("passkey", value), ("name", "Yours"), ("credential", "{}")]
    reply = holder.browser.post(f"{holder.browser.issuer}/account/passkeys/{path}", fields)
    assert reply.status == 403
    holder.browser = holder.world.browser()
    assert titles(holder.open_passkeys()) == ["Mine"]


def test_who_is_not_signed_in_is_led_to_the_sign_in(passkey_world: World) -> None:
    browser = passkey_world.browser()
    for path in ("add", "rename", "remove"):
        assert 'id="login-form"' in browser.post(f"{browser.issuer}/account/passkeys/{path}", []).text


def test_somebody_disabled_meanwhile_adds_nothing(holder: PasskeyHolder) -> None:
    page = holder.open_passkeys()
    disable_user(holder.world.operator.deployment, holder.account.username)
    assert 'id="login-form"' in holder.add(page).text
    assert kept(holder) == 0


# ----- Names, and the end of one -----


def change(holder: PasskeyHolder, page: Reply, path: str, **values: str) -> Reply:
    token = re.findall(r'name="csrf_token" value="([^"]+)"', page.text)[0]
    value = re.findall(r'name="passkey" value="(\d+)"', page.text)
    fields = {"csrf_token": token, "passkey": value[0] if value else "0", **values}
    return holder.browser.post(f"{holder.browser.issuer}/account/passkeys/{path}", list(fields.items()))


def test_a_passkey_gets_another_name(holder: PasskeyHolder) -> None:
    page = change(holder, holder.add(name="Old"), "rename", name="New <b>name</b>")
    assert titles(page) == ["New <b>name</b>"]
    assert "<b>name</b>" not in page.text


@pytest.mark.parametrize("name", ["x" * 61, "a\u202eb", "\u200b"])
def test_a_name_that_cannot_be_read_is_refused(holder: PasskeyHolder, name: str) -> None:
    page = change(holder, holder.add(name="Old"), "rename", name=name)
    assert page.status == 400
    assert error_of(page) == "Please choose a name of at most 60 characters that can be read."
    assert titles(page) == ["Old"]


def test_a_passkey_is_removed_and_lets_nobody_in_any_more(holder: PasskeyHolder) -> None:
    page = change(holder, holder.registered().open_passkeys(), "remove")
    assert "no longer signs you in" in page.text
    assert kept(holder) == 0
    holder.browser = holder.world.browser()
    assert 'id="login-error"' in holder.sign_in(holder.open_login()).text


def test_the_only_way_in_cannot_be_removed(holder: PasskeyHolder) -> None:
    page = holder.registered().open_passkeys()
    forget = text("UPDATE users SET password_hash = NULL WHERE sub = :sub")
    deployment = holder.world.operator.deployment
    deployment.database.transact(lambda connection: connection.execute(forget, {"sub": holder.account.sub}))
    refused = change(holder, page, "remove")
    assert refused.status == 400
    assert error_of(refused) == "This passkey is the only way in which you can sign in here. Add another way first."
    assert kept(holder) == 1


def test_another_persons_passkey_is_none_of_mine(passkey_world: World, holder: PasskeyHolder) -> None:
    other = PasskeyHolder.of(passkey_world)
    theirs = re.findall(r'name="passkey" value="(\d+)"', other.add(name="Theirs").text)[0]
    page = holder.registered().open_passkeys()
    for path, values in (("rename", {"name": "Mine"}), ("remove", {})):
        reply = change(holder, page, path, passkey=theirs, **values)
        assert reply.status == 404
        assert error_of(reply) == "This passkey is not among yours any more."
    for junk in ("-1", "9" * 30, "1e3", "\u0661"):
        assert change(holder, page, "remove", passkey=junk).status == 404
    other.browser = passkey_world.browser()
    assert titles(other.open_passkeys()) == ["Theirs"]


# ----- Where there are none -----


@on_sqlite
def test_a_server_that_is_an_address_offers_none(world: World) -> None:
    browser = world.browser()
    page = browser.get(world.relying_party().begin().url)
    assert "passkey" not in page.text
    assert browser.post(f"{world.issuer}/account/passkeys/add", []).status == 404
    assert browser.get(f"{world.issuer}/.well-known/passkey-endpoints").status == 404


@pytest.mark.requirement("Passkey Endpoints", "2", "enroll and manage")
def test_password_managers_find_the_page(passkey_world: World) -> None:
    browser = passkey_world.browser()
    reply = browser.get(f"{passkey_world.issuer}/.well-known/passkey-endpoints")
    page = f"{passkey_world.issuer}/account/security"
    assert reply.json() == {"enroll": page, "manage": page}
    assert reply.headers["content-type"] == "application/json"


def test_only_pages_that_ask_for_a_passkey_may(holder: PasskeyHolder) -> None:
    page = holder.open_passkeys()
    assert "publickey-credentials-create=(self)" in page.headers["permissions-policy"]
    nonce = re.findall(r'nonce="([^"]+)"', page.text)[0]
    assert f"script-src 'nonce-{nonce}'" in page.headers["content-security-policy"]
    home = holder.browser.get(holder.browser.issuer + "/")
    assert "publickey-credentials-create=()" in home.headers["permissions-policy"]
