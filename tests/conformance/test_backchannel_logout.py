"""OpenID Connect Back-Channel Logout 1.0: what the applications of a session are told, and how."""

import json
import re
import secrets
from typing import Any

import pytest

from app.services.delete_person import delete_person
from app.services.manage_outbox import list_messages
from app.services.manage_users import disable_user, set_password
from app.services.update_client import update_client
from app.specs.rfc4648_base64url import decode_base64url
from app.specs.rfc7515_jose import import_public_jwk, verify_jws
from tests.actors.http import send
from tests.actors.logout_receiver import LogoutReceiver, Received
from tests.actors.relying_party import RelyingParty
from tests.logging_out import log_in
from tests.patience import wait_until
from tests.world import World

EVENT = "http://schemas.openid.net/event/backchannel-logout"
PATIENCE_S = 30


def listening_party(world: World, receiver: LogoutReceiver, **metadata: Any) -> tuple[RelyingParty, str]:
    """An application that wants to hear of logouts, and the path at which it does."""
    path = f"/backchannel/{secrets.token_hex(6)}"
    return world.relying_party(backchannel_logout_uri=receiver.url(path), **metadata), path


def wait_for(receiver: LogoutReceiver, path: str, *, count: int = 1) -> list[Received]:
    wait_until(lambda: len(receiver.at(path)) >= count, within_s=PATIENCE_S)
    return receiver.at(path)


def verified(world: World, token: str, alg: str = "RS256") -> dict[str, Any]:
    """The claims, after the checks that section 2.6 demands of an application."""
    header = json.loads(decode_base64url(token.split(".")[0].encode()))
    assert (header["typ"], header["alg"]) == ("logout+jwt", alg)
    keys = send(f"{world.url}/jwks").json()["keys"]
    (key,) = [key for key in keys if key["kid"] == header["kid"]]
    claims: dict[str, Any] = json.loads(verify_jws(token, import_public_jwk(key), algorithms=[alg], typ="logout+jwt"))
    return claims


@pytest.mark.requirement("OpenID Connect Back-Channel Logout 1.0", "2.4", "the claims of a logout token")
@pytest.mark.requirement("OpenID Connect Back-Channel Logout 1.0", "2.5", "posted as a form with one parameter")
def test_an_application_is_posted_a_logout_token_of_its_session(
    reaching_world: World, receiver: LogoutReceiver
) -> None:
    account = reaching_world.operator.add_user()
    party, path = listening_party(reaching_world, receiver)
    id_claims = reaching_world.get_tokens(party, account).id_claims
    disable_user(reaching_world.operator.deployment, account.username)
    (request,) = wait_for(receiver, path)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    claims = verified(reaching_world, request.logout_token)
    assert set(claims) == {"iss", "sub", "aud", "iat", "exp", "jti", "events", "sid"}
    assert claims["events"] == {EVENT: {}}
    assert (claims["iss"], claims["aud"]) == (reaching_world.issuer, party.client_id)
    assert (claims["sub"], claims["sid"]) == (id_claims["sub"], id_claims["sid"])
    assert claims["exp"] - claims["iat"] == 120
    assert abs(claims["iat"] - reaching_world.clock() / 1000) < PATIENCE_S
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", claims["jti"])
    assert request.tls_version == "TLSv1.3"
    assert "cookie" not in request.headers
    assert "authorization" not in request.headers


@pytest.mark.requirement("OpenID Connect Back-Channel Logout 1.0", "2.4", "signed as the client's ID tokens are")
def test_the_token_is_signed_by_the_algorithm_of_the_clients_id_tokens(
    reaching_world: World, receiver: LogoutReceiver
) -> None:
    account = reaching_world.operator.add_user()
    party, path = listening_party(reaching_world, receiver, id_token_signed_response_alg="ES256")
    reaching_world.get_tokens(party, account)
    disable_user(reaching_world.operator.deployment, account.username)
    verified(reaching_world, wait_for(receiver, path)[0].logout_token, "ES256")


@pytest.mark.requirement("OpenID Connect Core 1.0", "8", "a logout token names the person as the client's ID tokens do")
def test_a_pairwise_client_is_told_of_the_person_whom_it_knows(reaching_world: World, receiver: LogoutReceiver) -> None:
    path = f"/backchannel/{secrets.token_hex(6)}"
    person = log_in(reaching_world, backchannel_logout_uri=receiver.url(path), subject_type="pairwise")
    assert person.tokens.id_claims["sub"] != person.account.sub
    assert person.logout(post_logout_redirect_uri=person.goodbye).location == person.goodbye
    (request,) = wait_for(receiver, path)
    assert verified(reaching_world, request.logout_token)["sub"] == person.tokens.id_claims["sub"]


def test_a_client_that_moved_to_another_sector_is_told_of_the_person_whom_it_knew(
    reaching_world: World, receiver: LogoutReceiver
) -> None:
    path = f"/backchannel/{secrets.token_hex(6)}"
    person = log_in(reaching_world, backchannel_logout_uri=receiver.url(path), subject_type="pairwise")
    shown = reaching_world.operator.show_client(person.party.client_id).to_document()
    moved = {**shown, "redirect_uris": [f"https://{secrets.token_hex(6)}.example/callback"]}
    update_client(reaching_world.operator.deployment, person.party.client_id, moved)
    wait_until(lambda: reaching_world.browser().get(person.party.begin().url).status == 400)
    disable_user(reaching_world.operator.deployment, person.account.username)
    (request,) = wait_for(receiver, path)
    assert verified(reaching_world, request.logout_token)["sub"] == person.tokens.id_claims["sub"]


@pytest.mark.requirement("OpenID Connect Back-Channel Logout 1.0", "2.3", "every client that took part in the session")
def test_every_application_of_every_session_is_told_its_own_and_nobody_else(
    reaching_world: World, receiver: LogoutReceiver
) -> None:
    account = reaching_world.operator.add_user()
    one, one_path = listening_party(reaching_world, receiver)
    two, two_path = listening_party(reaching_world, receiver)
    stranger, stranger_path = listening_party(reaching_world, receiver)
    reaching_world.get_tokens(stranger, reaching_world.operator.add_user())
    browser = reaching_world.browser()
    sids = []
    for party in (one, two):
        code, pending = reaching_world.get_code(party, account, browser=browser)
        sids.append(party.exchange(code, pending).id_claims["sid"])
    # The same application in another browser is another session.
    other_sid = reaching_world.get_tokens(one, account).id_claims["sid"]
    set_password(reaching_world.operator.deployment, account.username, "another long sentence")
    told_one = {verified(reaching_world, r.logout_token)["sid"] for r in wait_for(receiver, one_path, count=2)}
    (told_two,) = wait_for(receiver, two_path)
    assert told_one == {sids[0], other_sid}
    assert verified(reaching_world, told_two.logout_token)["sid"] == sids[1]
    assert receiver.at(stranger_path) == []


@pytest.mark.requirement(
    "OpenID Connect Back-Channel Logout 1.0", "2.8", "200, and 204 where a framework makes that of it"
)
@pytest.mark.parametrize("status", [200, 204])
def test_an_application_that_says_yes_is_told_once(
    reaching_world: World, receiver: LogoutReceiver, status: int
) -> None:
    account = reaching_world.operator.add_user()
    party, path = listening_party(reaching_world, receiver)
    receiver.answers[path] = status
    reaching_world.get_tokens(party, account)
    disable_user(reaching_world.operator.deployment, account.username)
    wait_for(receiver, path)
    wait_until(lambda: waiting(reaching_world, party) == [], within_s=PATIENCE_S)
    reaching_world.clock.move(seconds=3600)
    assert len(receiver.at(path)) == 1


def test_an_application_hears_of_a_logout_that_comes_after_an_hour_of_idling(
    reaching_world: World, receiver: LogoutReceiver
) -> None:
    path = f"/backchannel/{secrets.token_hex(6)}"
    person = log_in(reaching_world, backchannel_logout_uri=receiver.url(path))
    reaching_world.clock.move(seconds=3700)
    assert person.logout(post_logout_redirect_uri=person.goodbye).location == person.goodbye
    (request,) = wait_for(receiver, path)
    assert verified(reaching_world, request.logout_token)["sid"] == person.tokens.id_claims["sid"]


def waiting(world: World, party: RelyingParty) -> list[Any]:
    return [message for message in list_messages(world.operator.deployment) if message.client_id == party.client_id]


def test_the_applications_of_a_deleted_account_are_told(reaching_world: World, receiver: LogoutReceiver) -> None:
    account = reaching_world.operator.add_user()
    party, path = listening_party(reaching_world, receiver)
    id_claims = reaching_world.get_tokens(party, account).id_claims
    delete_person(reaching_world.operator.deployment, account.sub, actor="user")
    (request,) = wait_for(receiver, path)
    claims = verified(reaching_world, request.logout_token)
    assert (claims["sub"], claims["sid"]) == (account.sub, id_claims["sid"])
