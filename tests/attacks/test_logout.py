"""Attacks on logout, cases 122 to 125 of the catalogue: nobody is logged out by a stranger or sent to one."""

import base64
import json
import secrets
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import Connection, delete, select

from app.services.manage_clients import disable_client
from app.services.manage_keys import revoke_signing_key
from app.services.manage_outbox import list_messages
from app.specs.rfc7515_jose import generate_private_jwk, import_private_jwk, sign_jws
from app.storage.clients import insert_client
from app.storage.sessions import find_or_insert_sid
from app.storage.tables import outbox, session_clients
from tests.actors.browser import find_form
from tests.actors.http import send
from tests.actors.logout_receiver import LogoutReceiver
from tests.actors.relying_party import read_jwt
from tests.logging_out import LoggedInPerson, decide, is_error, is_question, log_in
from tests.patience import wait_until
from tests.world import World


def encode(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def forged_hints(person: LoggedInPerson) -> dict[str, str]:
    """What is not an ID token of this server, each one step away from one."""
    hint = person.tokens.id_token or ""
    header, payload, signature = hint.split(".")
    claims = person.tokens.id_claims
    foreign = import_private_jwk(generate_private_jwk("RS256"), is_our_own=True)
    named = {**json.loads(base64.urlsafe_b64decode(header + "=="))}
    return {
        "alg none": f"{encode({'alg': 'none'})}.{payload}.",
        "alg none with its kid": f"{encode({**named, 'alg': 'none'})}.{payload}.",
        "another signature": f"{header}.{payload}.{signature[:-8]}{'A' * 8}",
        "foreign key": sign_jws({"typ": "JWT"}, json.dumps(claims).encode(), foreign, "RS256"),
        "another payload": f"{header}.{encode({**claims, 'sub': 'u' + 'a' * 26})}.{signature}",
        "the access token": person.tokens.access_token,
        "no token": "x",
        "nested junk": "a.b.c",
        "five parts": "a.b.c.d.e",
    }


# ----- 122 -----


def test_122_a_forged_hint_proves_nothing_and_leads_nowhere(world: World) -> None:
    person = log_in(world)
    for name, hint in forged_hints(person).items():
        page = person.logout(
            id_token_hint=hint,
            client_id=person.party.client_id,
            post_logout_redirect_uri=person.goodbye,
            state="s",
        )
        assert is_question(page), name
        assert person.is_logged_in, name
    # The person may still want to go; not where the forger wants them.
    assert "location" not in decide(person.browser, page).headers


def test_122_a_hint_signed_by_a_key_that_was_revoked_proves_nothing(world: World) -> None:
    person = log_in(world)
    header = json.loads(base64.urlsafe_b64decode((person.tokens.id_token or "").split(".")[0] + "=="))
    revoke_signing_key(world.operator.deployment, header["kid"])
    wait_until(lambda: header["kid"] not in send(f"{world.url}/jwks").text, within_s=30)
    assert is_question(person.logout(post_logout_redirect_uri=person.goodbye))
    assert person.is_logged_in


def test_122_an_image_of_another_site_logs_nobody_out(world: World) -> None:
    person = log_in(world)
    # SameSite=Lax: the browser sends no cookie with it, not even beside a good hint.
    reply = send(person.logout_url())
    assert reply.status == 303
    assert "set-cookie" not in reply.headers
    assert person.is_logged_in
    # A link that the person follows brings the cookies, and asks.
    assert is_question(person.logout(id_token_hint=None))
    assert person.is_logged_in


def test_122_a_form_of_another_site_logs_nobody_out(world: World) -> None:
    person = log_in(world)
    evil = {"Origin": "https://evil.example"}
    cookies = dict(person.browser.cookies)
    person.browser.cookies.clear()
    hop = person.browser.send_once(f"{world.issuer}/logout", fields=[("state", "s")], headers=evil)
    person.browser.cookies |= cookies
    assert is_question(person.browser.get(hop.location))
    assert person.is_logged_in


def test_122_the_answer_must_come_from_our_page_in_this_browser(world: World) -> None:
    person, attacker = log_in(world), log_in(world)
    page = person.logout(id_token_hint=None)
    form = find_form(page, "logout-form")
    url = f"{world.issuer}/logout"
    for changes, headers in (
        ({"csrf_token": "0" * 64}, {}),
        ({"csrf_token": None}, {}),
        ({}, {"Origin": "https://evil.example"}),
        ({}, {"Origin": "null"}),
    ):
        values = form.with_values(decision="confirm", **changes)
        assert person.browser.post(url, values, headers=headers).status == 403
    # The attacker's own question, put before somebody else's browser.
    theirs = find_form(attacker.logout(id_token_hint=None), "logout-form")
    assert is_error(person.browser.post(url, theirs.with_values(decision="confirm")))
    opened = person.browser.get(f"{url}?logout_request={dict(theirs.fields)['logout_request']}")
    assert is_error(opened)
    assert person.is_logged_in
    assert attacker.is_logged_in


def test_122_no_answer_is_a_no(world: World) -> None:
    person = log_in(world)
    form = find_form(person.logout(id_token_hint=None), "logout-form")
    assert person.browser.post(f"{world.issuer}/logout", form.fields).status == 200
    assert person.is_logged_in


# ----- 123 -----


def wrong_addresses(goodbye: str) -> list[str]:
    host = goodbye.split("/")[2]
    return [
        "https://evil.example/",
        f"{goodbye}/../evil",
        f"{goodbye}/",
        f"{goodbye}?added=1",
        f"{goodbye}?lang=en&added=1",
        f"{goodbye}#x",
        f"{goodbye};evil=1",
        goodbye.replace("https://", "HTTPS://"),
        goodbye.replace(host, host.upper()),
        goodbye.replace("https://", "http://"),
        goodbye.replace(host, f"{host}:443"),
        goodbye.replace(host, f"{host}@evil.example"),
        goodbye.replace(host, f"{host}\\@evil.example"),
        goodbye.replace("https:", ""),
        goodbye.replace("goodbye", "%67oodbye"),
        f" {goodbye}",
        "javascript:alert(1)",
        "data:text/html,x",
        "/goodbye",
    ]


def test_123_an_address_that_is_not_registered_leads_to_an_error_page_here(world: World) -> None:
    person, other = log_in(world), log_in(world)
    for address in (*wrong_addresses(person.goodbye), other.goodbye, person.party.redirect_uri):
        page = person.logout(post_logout_redirect_uri=address, state="s")
        assert is_error(page), address
        assert 'data-error="invalid_request"' in page.text
        assert "location" not in page.headers
        assert person.goodbye not in page.text
    assert person.is_logged_in


def test_123_an_address_without_a_client_is_passed_over(world: World) -> None:
    person = log_in(world)
    page = person.logout(id_token_hint=None, post_logout_redirect_uri=person.goodbye, state="s")
    assert is_question(page)
    assert "location" not in decide(person.browser, page).headers


def test_123_a_client_that_was_disabled_gets_nobody_back(world: World) -> None:
    person = log_in(world)
    disable_client(world.operator.deployment, person.party.client_id)
    wait_until(lambda: "location" not in person.logout(post_logout_redirect_uri=person.goodbye).headers, within_s=30)


def test_123_a_repeated_or_broken_parameter_is_refused(world: World) -> None:
    person = log_in(world)
    for addition in (
        "&state=a&state=b",
        "&post_logout_redirect_uri=a&post_logout_redirect_uri=b",
        "&state=%00",
        "&x=%ff",
    ):
        assert is_error(person.browser.get(person.logout_url() + addition)), addition
    assert is_error(person.logout(state="s" * 5000))
    assert person.is_logged_in


# ----- 124 -----


def test_124_hints_and_languages_decide_nothing(world: World) -> None:
    person, other = log_in(world), world.operator.add_user()
    page = person.logout(id_token_hint=None, logout_hint=other.username, ui_locales="se <script> xx")
    assert is_question(page)
    assert other.username not in page.text
    assert "<script>" not in page.text
    reply = person.logout(logout_hint=other.username, ui_locales="se", post_logout_redirect_uri=person.goodbye)
    assert reply.location == person.goodbye


@pytest.mark.parametrize("state", ["<script>alert(1)</script>", "a&b=c#d%0d%0aSet-Cookie: x", "日本語", "'\"{{7*7}}"])
def test_124_state_comes_back_as_it_was_and_on_no_page(world: World, state: str) -> None:
    person = log_in(world)
    page = person.logout(id_token_hint=None, client_id=person.party.client_id, state=state)
    assert state not in page.text
    assert is_error(person.logout(post_logout_redirect_uri="https://evil.example/", state=state))
    reply = person.logout(post_logout_redirect_uri=person.goodbye, state=state)
    (location,) = [value for name, value in reply.header_list if name.lower() == "location"]
    assert location.split("?")[1] == urlencode({"state": state}).replace("+", "%20")
    cookies = [value for name, value in reply.header_list if name.lower() == "set-cookie"]
    assert not [cookie for cookie in cookies if state in cookie or cookie.startswith("x")]


# ----- 125 -----


@pytest.mark.parametrize("answer", ["hangs", "500", "redirects", "400"])
def test_125_a_logout_waits_for_no_application_and_the_others_are_told(
    reaching_world: World, receiver: LogoutReceiver, answer: str
) -> None:
    bad, good = (f"/backchannel/{secrets.token_hex(6)}" for _ in range(2))
    receiver.answers[bad] = {"hangs": receiver.hang, "500": 500, "redirects": 302, "400": 400}[answer]
    person = log_in(reaching_world, backchannel_logout_uri=receiver.url(bad))
    other = reaching_world.relying_party(backchannel_logout_uri=receiver.url(good))
    reaching_world.get_code(other, person.account, browser=person.browser)
    began = time.monotonic()
    assert person.logout(post_logout_redirect_uri=person.goodbye).status == 303
    assert time.monotonic() - began < 5  # a busy machine; what is promised is a second
    wait_until(lambda: len(receiver.at(good)) == 1, within_s=30)
    (message,) = wait_for_failure(reaching_world, person.party.client_id)
    assert message.attempts == 1
    assert message.dead_at is None
    expected = {"hangs": "took longer", "500": "answered 500", "redirects": "redirects are not followed"}
    assert expected.get(answer, "answered 400") in (message.last_error or "")
    assert receiver.at("/elsewhere") == []
    assert len(receiver.at(bad)) == 1
    # Later it is tried again, with a token of its own.
    receiver.answers[bad] = 200
    reaching_world.clock.move(seconds=10)
    wait_until(lambda: len(receiver.at(bad)) == 2, within_s=30)
    first, second = (read_jwt(request.logout_token) for request in receiver.at(bad))
    assert first["jti"] != second["jti"]
    assert (first["sid"], first["sub"]) == (second["sid"], second["sub"])


def wait_for_failure(world: World, client_id: str) -> list[Any]:
    def failed() -> list[Any]:
        messages = list_messages(world.operator.deployment)
        return [message for message in messages if message.client_id == client_id and message.attempts]

    wait_until(lambda: bool(failed()), within_s=30)
    return failed()


@pytest.mark.parametrize(
    "address",
    ["https://10.0.0.1/", "https://[fd00::1]/x", "https://169.254.169.254/latest", "https://192.168.1.1:8443/"],
)
def test_125_no_logout_token_goes_to_an_internal_address(reaching_world: World, address: str) -> None:
    person = log_in(reaching_world, backchannel_logout_uri=address)
    assert person.logout(post_logout_redirect_uri=person.goodbye).status == 303
    (message,) = wait_for_failure(reaching_world, person.party.client_id)
    assert "not in an allowed network" in (message.last_error or "")


def test_125_a_session_of_very_many_applications_ends_as_fast(reaching_world: World) -> None:
    person = log_in(reaching_world)
    database = reaching_world.operator.deployment.database
    prefix = f"crowd-{secrets.token_hex(4)}"
    database.transact(lambda connection: join_crowd(connection, person, prefix=prefix, count=1000))
    began = time.monotonic()
    assert person.logout(post_logout_redirect_uri=person.goodbye).status == 303
    assert time.monotonic() - began < 5  # as above; benchmarks/logout_deliveries.py measures ten thousand
    assert not person.is_logged_in
    of_crowd = outbox.c.recipient.startswith(prefix)
    left = database.transact(lambda connection: connection.execute(delete(outbox).where(of_crowd)).rowcount)
    assert left == 1000


def join_crowd(connection: Connection, person: LoggedInPerson, *, prefix: str, count: int) -> None:
    """As if the person had used so many applications, all of them at an address that nobody may go to."""
    sid = person.tokens.id_claims["sid"]
    session_id = connection.execute(
        select(session_clients.c.session_id).where(session_clients.c.sid == sid)
    ).scalar_one()
    for number in range(count):
        client_pk = insert_client(
            connection,
            client_id=f"{prefix}-{number}",
            metadata={"redirect_uris": ["https://crowd.example/"], "backchannel_logout_uri": "https://10.0.0.1/"},
            policy={},
            security_profile="oauth21",
            created_at=0,
        )
        find_or_insert_sid(
            connection,
            session_id=session_id,
            client_pk=client_pk,
            sid=f"{prefix}-{number}",
            client_subject="somebody",
            now=0,
        )
