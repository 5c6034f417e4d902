"""Attacks on client authentication at the token endpoint (cases 53 to 62, as far as they concern what is built)."""

import base64
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.services.list_audit import list_audit
from app.services.manage_clients import disable_client, enable_client, remove_client, rotate_client_secret
from tests.actors.asserting import make_asserting
from tests.actors.http import Reply, send
from tests.actors.relying_party import Pending, RelyingParty, basic
from tests.actors.signing_key import SigningKey
from tests.attacks.good_conduct import assert_json_error, nothing_changes
from tests.conftest import run_world
from tests.databases import on_sqlite
from tests.deployments import Account
from tests.patience import wait_until
from tests.world import World

METHODS = ("client_secret_basic", "client_secret_post", "none")
SOME_SECRET = "A" * 43
ASSERTION: dict[str, Any] = {
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "client_assertion": "eyJhbGciOiJub25lIn0.e30.",
}


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user()


def get_code(world: World, party: RelyingParty, account: Account) -> tuple[str, Pending]:
    return world.get_code(party, account, scope="openid")


def assert_refused(reply: Reply, error: str, status: int) -> None:
    assert_json_error(reply, error, status)
    assert "access_token" not in reply.text


# ----- Case 53: exactly one method -----


@pytest.mark.requirement("RFC 6749", "2.3", "MUST NOT use more than one authentication method in each request")
@on_sqlite
def test_53_a_secret_in_the_header_and_in_the_body_is_refused_even_if_both_are_right(
    world: World, account: Account
) -> None:
    party = world.relying_party()
    code, pending = get_code(world, party, account)
    with nothing_changes(world):
        reply = party.try_exchange(code, pending, client_id=party.client_id, client_secret=party.client_secret)
    assert_refused(reply, "invalid_request", 400)
    assert party.exchange(code, pending), "the refusal did not spend the code"


@on_sqlite
def test_53_a_secret_in_the_header_and_an_assertion_are_refused(world: World, account: Account) -> None:
    party = world.relying_party()
    code, pending = get_code(world, party, account)
    with nothing_changes(world):
        reply = party.try_exchange(code, pending, **ASSERTION)
    assert_refused(reply, "invalid_request", 400)


@on_sqlite
def test_53_a_secret_in_the_body_and_an_assertion_are_refused(world: World, account: Account) -> None:
    party = world.relying_party(token_endpoint_auth_method="client_secret_post")
    code, pending = get_code(world, party, account)
    with nothing_changes(world):
        reply = party.try_exchange(code, pending, **ASSERTION)
    assert_refused(reply, "invalid_request", 400)


@on_sqlite
def test_53_an_assertion_alone_is_not_taken_for_a_method_that_does_not_exist(world: World, account: Account) -> None:
    party = world.relying_party(token_endpoint_auth_method="none")
    code, pending = get_code(world, party, account)
    with nothing_changes(world):
        reply = party.try_exchange(code, pending, **ASSERTION)
    assert_refused(reply, "invalid_client", 401)


@on_sqlite
def test_53_another_client_in_the_body_than_in_the_header_is_refused(world: World, account: Account) -> None:
    party, other = world.relying_party(), world.relying_party()
    code, pending = get_code(world, party, account)
    with nothing_changes(world):
        reply = party.try_exchange(code, pending, client_id=other.client_id)
    assert_refused(reply, "invalid_request", 400)


@on_sqlite
def test_53_the_same_client_in_the_body_as_in_the_header_is_one_method(world: World, account: Account) -> None:
    party = world.relying_party()
    code, pending = get_code(world, party, account)
    assert party.exchange(code, pending, client_id=party.client_id)


@on_sqlite
def test_53_a_bearer_header_beside_a_secret_in_the_body_is_refused(world: World, account: Account) -> None:
    party = world.relying_party(token_endpoint_auth_method="client_secret_post")
    code, pending = get_code(world, party, account)
    with nothing_changes(world):
        reply = party.try_exchange(code, pending, headers={"Authorization": "Bearer abc"})
    assert_refused(reply, "invalid_request", 400)


# ----- Case 54: the registered method and no other -----


@pytest.mark.parametrize("presented", METHODS)
@pytest.mark.parametrize("registered", METHODS)
@on_sqlite
def test_54_only_the_registered_method_is_accepted(
    world: World, account: Account, registered: str, presented: str
) -> None:
    party = world.relying_party(token_endpoint_auth_method=registered)
    code, pending = get_code(world, party, account)
    if party.client_secret is None:
        party.client_secret = SOME_SECRET
    party.method = presented
    if presented == registered:
        assert party.exchange(code, pending)
        return
    with nothing_changes(world):
        reply = party.try_exchange(code, pending)
    assert_refused(reply, "invalid_client", 401)
    # RFC 6749 5.2: where the Authorization header was used the answer MUST carry the matching WWW-Authenticate.
    assert ("www-authenticate" in reply.headers) is (presented == "client_secret_basic")
    if presented == "client_secret_basic":
        assert reply.headers["www-authenticate"].startswith("Basic ")


@on_sqlite
def test_54_a_confidential_client_is_not_let_in_by_an_empty_secret(world: World, account: Account) -> None:
    party = world.relying_party(token_endpoint_auth_method="client_secret_post")
    code, pending = get_code(world, party, account)
    with nothing_changes(world):
        reply = party.try_exchange(code, pending, client_secret="")
    assert_refused(reply, "invalid_client", 401)


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "Basic " + base64.b64encode(b"no-colon").decode(),
        "Basic " + base64.b64encode(b"%zz:%zz").decode(),
        "Basic " + base64.b64encode(b"a%00b:" + SOME_SECRET.encode()).decode(),
        "Bearer abc",
        "Negotiate YII=",
    ],
)
@on_sqlite
def test_54_a_malformed_authorization_header_is_invalid_client_with_a_challenge(
    world: World, account: Account, authorization: str
) -> None:
    party = world.relying_party()
    code, pending = get_code(world, party, account)
    with nothing_changes(world):
        reply = party.try_exchange(code, pending, headers={"Authorization": authorization}, client_id=None)
    assert_refused(reply, "invalid_client", 401)
    assert reply.headers["www-authenticate"].startswith("Basic ")


@on_sqlite
def test_54_an_unknown_client_and_a_wrong_secret_get_the_same_answer(world: World, account: Account) -> None:
    party, stranger = world.relying_party(), world.relying_party()
    code, pending = get_code(world, party, account)
    stranger.client_id = "nobody-has-this-name"
    party.client_secret = SOME_SECRET
    answers = [one.try_exchange(code, pending) for one in (party, stranger)]
    for reply in answers:
        assert_refused(reply, "invalid_client", 401)
    first, second = (reply.json()["error_description"].partition(" [")[0] for reply in answers)
    assert first == second
    assert answers[0].headers["www-authenticate"] == answers[1].headers["www-authenticate"]


# ----- Case 55: expired, rotated-out and other clients' secrets -----


def test_55_another_clients_secret_is_refused(world: World, account: Account) -> None:
    party, other = world.relying_party(), world.relying_party()
    code, pending = get_code(world, party, account)
    with nothing_changes(world):
        reply = party.try_exchange(
            code, pending, headers={"Authorization": basic(party.client_id, other.client_secret or "")}, client_id=None
        )
    assert_refused(reply, "invalid_client", 401)


def test_55_during_the_overlap_both_secrets_work_and_the_audit_names_which(world: World, account: Account) -> None:
    party = world.relying_party()
    old_code, old_pending = get_code(world, party, account)
    new_code, new_pending = get_code(world, party, account)
    deployment = world.operator.deployment
    rotated = rotate_client_secret(deployment, party.client_id, overlap_s=3600)
    party.exchange(old_code, old_pending)

    def new_secret_works() -> bool:
        headers = {"Authorization": basic(party.client_id, rotated.client_secret)}
        return party.try_exchange(new_code, new_pending, headers=headers, client_id=None).status == 200

    wait_until(new_secret_works)
    newer, older = list_audit(deployment, event_type="token.issued", client_id=party.client_id, limit=2)
    created = list_audit(deployment, event_type="client.created", client_id=party.client_id, limit=1)[0]
    changed = list_audit(deployment, event_type="client.secret_rotated", client_id=party.client_id, limit=1)[0]
    by_old, by_new = older.body["client_authentication"], newer.body["client_authentication"]
    assert by_old["method"] == by_new["method"] == "client_secret_basic"
    # The event is recorded in the transaction that made the secret, a moment after the secret's own time.
    assert 0 <= created.at - by_old["secret_created_at"] < 1000
    assert 0 <= changed.at - by_new["secret_created_at"] < 1000


def test_55_a_rotated_out_secret_is_refused_once_the_overlap_ends(world: World, account: Account) -> None:
    party = world.relying_party()
    rotated = rotate_client_secret(world.operator.deployment, party.client_id, overlap_s=60)
    world.clock.move(seconds=61)
    code, pending = get_code(world, party, account)
    with nothing_changes(world):
        reply = party.try_exchange(code, pending)
    assert_refused(reply, "invalid_client", 401)
    party.client_secret = rotated.client_secret
    assert party.exchange(code, pending)


def test_55_without_an_overlap_the_old_secret_ends_within_a_second(world: World, account: Account) -> None:
    party = world.relying_party()
    code, pending = get_code(world, party, account)
    assert party.exchange(code, pending), "the server remembers the client now"
    rotate_client_secret(world.operator.deployment, party.client_id, overlap_s=0)
    wait_until(lambda: party.try_exchange("th_ac_x", pending).json()["error"] == "invalid_client")


def test_55_a_removed_client_is_unknown(world: World, account: Account) -> None:
    party = world.relying_party()
    code, pending = get_code(world, party, account)
    remove_client(world.operator.deployment, party.client_id)
    wait_until(lambda: party.try_exchange(code, pending).json()["error"] == "invalid_client")


@on_sqlite
def test_a_disabled_client_hears_that_it_is_only_after_it_has_proven_who_it_is(world: World, account: Account) -> None:
    party = world.relying_party()
    code, pending = get_code(world, party, account)
    disable_client(world.operator.deployment, party.client_id)
    wait_until(lambda: party.try_exchange(code, pending).json()["error"] == "unauthorized_client")
    party.client_secret, good = SOME_SECRET, party.client_secret
    assert_refused(party.try_exchange(code, pending), "invalid_client", 401)
    enable_client(world.operator.deployment, party.client_id)
    party.client_secret = good
    # Enabled again, but what it had been granted stays ended.
    wait_until(lambda: party.try_exchange(code, pending).json()["error"] == "invalid_grant")


# ----- Cases 56 to 60 (whole in test_client_assertions.py) at a client without a key; 61: certificates are absent -----


@pytest.mark.parametrize(
    "assertion",
    [
        "x" * 60_000,
        "e30.e30.e30.e30.e30",
        '{"payload":"e30","signatures":[]}',
        "eyJhbGciOiJIUzI1NiIsImtpZCI6Ii4uLy4uL2Rldi9udWxsIn0.e30.AAAA",
        "eyJhbGciOiJFUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19.e30.AAAA",
    ],
    ids=["60 KB", "a JWE", "JWS JSON serialisation", "kid is a path", "b64 false"],
)
@on_sqlite
def test_56_to_60_no_assertion_whatever_its_form_authenticates_a_client(world: World, assertion: str) -> None:
    party = world.relying_party()
    with nothing_changes(world):
        reply = send(
            f"{world.url}/token",
            method="POST",
            form={
                "grant_type": "authorization_code",
                "code": "x",
                "client_id": party.client_id,
                **ASSERTION,
                "client_assertion": assertion,
            },
        )
    assert_refused(reply, "invalid_client", 401)


@on_sqlite
def test_61_a_certificate_header_from_anybody_does_not_replace_the_secret(world: World, account: Account) -> None:
    party = world.relying_party()
    code, pending = get_code(world, party, account)
    headers = {"SSL-Client-Cert": "-----BEGIN CERTIFICATE-----", "X-Client-Cert": "x", "X-SSL-Client-Verify": "SUCCESS"}
    with nothing_changes(world):
        reply = party.try_exchange(code, pending, headers=headers, client_id=party.client_id, client_secret=None)
    assert_refused(reply, "invalid_client", 401)


# ----- Case 62: guessing -----


@pytest.fixture
def limited_world(sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    """A server with its rate limits on, behind a proxy that says who comes."""
    yield from run_world(tmp_path, sqlite_url, trusted_proxies="127.0.0.0/8")


def test_62_guessed_secrets_are_throttled_per_client_and_peer_and_lock_nobody_else_out(limited_world: World) -> None:
    world = limited_world
    party, neighbour = world.relying_party(), world.relying_party()
    account = world.operator.add_user()
    code, pending = get_code(world, party, account)

    def try_from(address: str, who: RelyingParty, secret: str) -> Reply:
        headers = {"Authorization": basic(who.client_id, secret), "X-Forwarded-For": address}
        return who.try_exchange(code, pending, headers=headers, client_id=None)

    answers = [try_from("203.0.113.7", party, SOME_SECRET) for _ in range(50)]
    statuses = [reply.status for reply in answers]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert set(statuses) == {401, 429}
    assert 10 <= statuses.count(401) <= 40
    assert int(answers[-1].headers["retry-after"]) > 0
    # Never invalid_client or invalid_grant for a limit: clients drop their sessions on those.
    assert answers[-1].json()["error"] == "temporarily_unavailable"
    assert try_from("203.0.113.7", party, party.client_secret or "").status == 429
    assert try_from("203.0.113.7", neighbour, neighbour.client_secret or "").json()["error"] == "invalid_grant"
    assert try_from("198.51.100.9", party, party.client_secret or "").status == 200


def test_62_forged_assertions_are_throttled_like_guessed_secrets(limited_world: World) -> None:
    machine, neighbour = make_asserting(limited_world), make_asserting(limited_world)

    def forge(address: str) -> Reply:
        return machine.try_get_token(
            headers={"X-Forwarded-For": address}, client_assertion=SigningKey().sign(machine.claims())
        )

    statuses = [forge("203.0.113.7").status for _ in range(50)]
    assert (statuses[0], statuses[-1]) == (401, 429)
    assert 10 <= statuses.count(401) <= 40
    assert machine.try_get_token(headers={"X-Forwarded-For": "203.0.113.7"}).status == 429
    assert neighbour.try_get_token(headers={"X-Forwarded-For": "203.0.113.7"}).status == 200
    assert machine.try_get_token(headers={"X-Forwarded-For": "198.51.100.9"}).status == 200


@on_sqlite
def test_a_chosen_secret_in_the_place_of_the_name_is_written_nowhere(world: World) -> None:
    """It has no shape of ours by which it could be known, so a name that nobody has is not written down whole."""
    chosen = secrets.token_urlsafe(40)
    party = world.relying_party(client_secret=chosen)
    reply = party.ask_for_tokens(
        {"grant_type": "authorization_code", "code": "x"},
        headers={"Authorization": basic(chosen, party.client_id)},
        client_id=None,
    )
    assert reply.status == 401
    incident = reply.json()["error_description"][-9:-1]
    deployment = world.operator.deployment
    wait_until(lambda: bool(list_audit(deployment, incident=incident)))
    (event,) = list_audit(deployment, incident=incident)
    assert chosen[:20] not in f"{event.client_id} {event.body}"
    assert f"({len(chosen)} characters)" in str(event.client_id)
