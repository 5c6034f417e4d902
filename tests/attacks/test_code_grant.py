"""Attacks on the authorization code grant (cases 63 to 70)."""

import json
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.services.list_audit import list_audit
from app.services.manage_clients import disable_client
from app.services.manage_grants import list_grants, revoke_grant
from app.services.manage_users import disable_user, set_password
from app.storage import changes
from app.storage.database import Connection
from tests.actors.http import Reply, send
from tests.actors.relying_party import RelyingParty, basic, challenge_of
from tests.attacks.good_conduct import assert_json_error, nothing_changes
from tests.conftest import run_world
from tests.databases import on_sqlite
from tests.deployments import Account
from tests.patience import wait_until
from tests.server import ServerProcess, free_port
from tests.world import World

PARALLEL_TRIES = 50


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user()


def assert_invalid_grant(reply: Reply) -> None:
    assert_json_error(reply, "invalid_grant")
    assert "access_token" not in reply.text


# ----- Case 63: once -----


@pytest.mark.requirement(
    "RFC 6749", "4.1.2", "If an authorization code is used more than once, the authorization server MUST deny"
)
@pytest.mark.parametrize("pause_s", [0, 1, 30, 3600])
def test_63_a_code_that_comes_back_is_refused_and_ends_the_tokens_that_it_gave(
    world: World, account: Account, pause_s: int
) -> None:
    party = world.relying_party()
    code, pending = world.get_code(party, account)
    tokens = party.exchange(code, pending, tokenhouse_expires_in="300")
    world.clock.move(seconds=min(pause_s, 200))
    assert party.userinfo(tokens.access_token).status == 200
    world.clock.move(seconds=max(0, pause_s - 200))
    assert_invalid_grant(party.try_exchange(code, pending))
    refused = party.userinfo(tokens.access_token)
    assert refused.status == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    events = list_audit(world.operator.deployment, event_type="code.replayed", client_id=party.client_id)
    assert len(events) == 1
    assert list_grants(world.operator.deployment, user=account.sub) == ()


def test_63_a_replay_ends_only_the_tokens_of_that_code(world: World, account: Account) -> None:
    party = world.relying_party()
    other = world.get_tokens(party, account)
    code, pending = world.get_code(party, account)
    party.exchange(code, pending)
    assert_invalid_grant(party.try_exchange(code, pending))
    assert party.userinfo(other.access_token).status == 200


def test_63_an_expired_code_is_refused_and_was_good_for_a_minute(world: World, account: Account) -> None:
    party = world.relying_party()
    (early, early_pending), (late, late_pending) = world.get_code(party, account), world.get_code(party, account)
    world.clock.move(seconds=50)
    assert party.exchange(early, early_pending)
    world.clock.move(seconds=11)
    assert_invalid_grant(party.try_exchange(late, late_pending))


# ----- Case 64: at the same moment -----


@pytest.fixture
def second_node(world: World) -> Iterator[ServerProcess]:
    """Another server process on the same database."""
    node = ServerProcess(environment=world.environment, port=free_port(), clock_path=world.clock.path)
    try:
        yield node.start()
    finally:
        node.stop()


def test_64_of_50_parallel_exchanges_on_two_nodes_exactly_one_succeeds(
    world: World, account: Account, second_node: ServerProcess
) -> None:
    party = world.relying_party()
    code, pending = world.get_code(party, account)
    elsewhere = RelyingParty(world.issuer, _registration(party), server_url=second_node.url)
    elsewhere.client_secret = party.client_secret

    def try_once(number: int) -> Reply:
        return (party if number % 2 else elsewhere).try_exchange(code, pending)

    with ThreadPoolExecutor(PARALLEL_TRIES) as pool:
        replies = list(pool.map(try_once, range(PARALLEL_TRIES)))
    winners = [reply for reply in replies if reply.status == 200]
    assert len(winners) == 1, [reply.status for reply in replies]
    for reply in replies:
        if reply.status != 200:
            assert_invalid_grant(reply)
    # The losers are replays: what the winner got has ended, at both nodes.
    access_token = winners[0].json()["access_token"]
    assert [who.userinfo(access_token).status for who in (party, elsewhere)] == [401, 401]
    issued = list_audit(world.operator.deployment, event_type="token.issued", client_id=party.client_id)
    assert len(issued) == 1


def _registration(party: RelyingParty) -> Any:
    class Registered:
        client_id = party.client_id
        client_secret = party.client_secret
        metadata = {"redirect_uris": [party.redirect_uri], "token_endpoint_auth_method": party.method}

    return Registered()


# ----- Case 65: whose code it is -----


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_65_another_client_cannot_redeem_a_code_nor_burn_it(world: World, account: Account, method: str) -> None:
    party = world.relying_party()
    thief = world.relying_party(
        token_endpoint_auth_method=method, redirect_uris=[party.redirect_uri], client_name="Thief"
    )
    world.get_tokens(thief, account)
    code, pending = world.get_code(party, account)
    with nothing_changes(world):
        stolen = thief.try_exchange(code, pending)
        unknown = thief.try_exchange("th_ac_" + "0" * 49, pending)
    assert_invalid_grant(stolen)
    # Another's code looks like one that never existed.
    first, second = (reply.json()["error_description"].partition(" [")[0] for reply in (stolen, unknown))
    assert first == second
    tokens = party.exchange(code, pending)
    assert tokens.claims["client_id"] == party.client_id


# ----- Case 66: where it was sent -----


def _upper_case_host(uri: str) -> str:
    return uri.replace("https://app", "https://APP")


@pytest.mark.requirement("RFC 6749", "4.1.3", "ensure that the redirect_uri parameter is present and identical")
@pytest.mark.parametrize(
    "change",
    [
        lambda _: None,
        lambda _: "https://evil.example/callback",
        _upper_case_host,
        lambda uri: uri + "/",
        lambda uri: uri + "?",
        lambda uri: uri.replace(".example/", ".example:443/"),
        lambda uri: uri.replace("/callback", "/./callback"),
        lambda uri: uri.replace("callback", "%63allback"),
    ],
    ids=["missing", "different", "host's case", "slash", "empty query", "default port", "dot segment", "percent"],
)
@on_sqlite
def test_66_a_redirect_uri_that_is_not_identical_is_refused_and_spends_nothing(
    world: World, account: Account, change: Callable[[str], str | None]
) -> None:
    party = world.relying_party()
    code, pending = world.get_code(party, account)
    with nothing_changes(world):
        assert_invalid_grant(party.try_exchange(code, pending, redirect_uri=change(party.redirect_uri)))
    assert party.exchange(code, pending)


def test_66_another_registered_redirect_uri_is_refused_too(world: World, account: Account) -> None:
    uris = [f"https://app-{secrets.token_hex(4)}.example/{name}" for name in ("one", "two")]
    party = world.relying_party(redirect_uris=uris)
    code, pending = world.get_code(party, account)
    assert_invalid_grant(party.try_exchange(code, pending, redirect_uri=uris[1]))


def test_66_none_is_needed_where_none_was_sent(world: World, account: Account) -> None:
    resource, party = world.operator.add_resource(), world.relying_party()
    request: dict[str, Any] = {"scope": "photos.read", "resource": resource, "redirect_uri": None}
    code, pending = world.get_code(party, account, **request)
    assert party.exchange(code, pending, redirect_uri=None)
    code, pending = world.get_code(party, account, **request)
    assert_invalid_grant(party.try_exchange(code, pending, redirect_uri="https://evil.example/"))


# ----- Cases 67 and 68: PKCE -----


@pytest.fixture
def lax_world(sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    """A server with the profile `openid`, where a confidential client may do without PKCE."""
    yield from run_world(tmp_path, sqlite_url, profile="openid")


def test_67_a_verifier_for_a_code_without_a_challenge_is_refused_and_spends_the_code(lax_world: World) -> None:
    world, account = lax_world, lax_world.operator.add_user()
    party = world.relying_party(policy={"security_profile": "openid"})
    without: dict[str, Any] = {"code_challenge": None, "code_challenge_method": None}
    code, pending = world.get_code(party, account, **without)
    assert party.exchange(code, pending, code_verifier=None), "this client needs no PKCE"
    code, pending = world.get_code(party, account, **without)
    assert_invalid_grant(party.try_exchange(code, pending))
    assert_invalid_grant(party.try_exchange(code, pending, code_verifier=None))


def test_67_a_client_that_sent_a_challenge_cannot_be_downgraded_at_the_token_endpoint(lax_world: World) -> None:
    world, account = lax_world, lax_world.operator.add_user()
    party = world.relying_party(policy={"security_profile": "openid"})
    code, pending = world.get_code(party, account)
    assert_invalid_grant(party.try_exchange(code, pending, code_verifier=None))


@pytest.mark.parametrize("profile_of_client", ["oauth21", None])
def test_67_a_client_stays_strict_on_a_lax_server_unless_told_otherwise(
    lax_world: World, profile_of_client: str | None
) -> None:
    world = lax_world
    policy = {} if profile_of_client is None else {"security_profile": profile_of_client}
    party = world.relying_party(policy=policy)
    pending = party.begin(code_challenge=None, code_challenge_method=None)
    answer = party.read_answer(world.browser().get(pending.url))
    assert answer["error"] == "invalid_request"
    assert answer["state"] == pending.state


@pytest.mark.requirement("RFC 7636", "4.6", "If the values are not equal, an error response [...] MUST be returned")
@pytest.mark.parametrize(
    "code_verifier",
    [None, "", "short", "A" * 43, "A" * 129, "ü" * 43],
    ids=["missing", "empty", "too short", "another one", "too long", "not ASCII"],
)
def test_a_wrong_verifier_spends_the_code(world: World, account: Account, code_verifier: str | None) -> None:
    party = world.relying_party()
    code, pending = world.get_code(party, account)
    assert_invalid_grant(party.try_exchange(code, pending, code_verifier=code_verifier))
    assert_invalid_grant(party.try_exchange(code, pending))


def test_the_challenge_itself_is_not_a_verifier(world: World, account: Account) -> None:
    party = world.relying_party()
    code, pending = world.get_code(party, account)
    assert_invalid_grant(party.try_exchange(code, pending, code_verifier=challenge_of(pending.code_verifier)))


def test_68_a_victims_code_in_the_attackers_own_session_is_refused(world: World, account: Account) -> None:
    attacker, party = world.operator.add_user(), world.relying_party()
    stolen_code, _ = world.get_code(party, account)
    own_code, own_pending = world.get_code(party, attacker)
    assert_invalid_grant(party.try_exchange(stolen_code, own_pending))
    assert party.exchange(own_code, own_pending).claims["sub"] == attacker.sub


# ----- Cases 69 and 70: what ended between authorize and exchange -----


def _disable(world: World, account: Account) -> None:
    disable_user(world.operator.deployment, account.username)


def _reset_password(world: World, account: Account) -> None:
    set_password(world.operator.deployment, account.username, "another long password")


def _revoke(world: World, account: Account) -> None:
    (grant,) = list_grants(world.operator.deployment, user=account.sub)
    revoke_grant(world.operator.deployment, grant.grant_id)


@pytest.mark.parametrize("end", [_disable, _reset_password, _revoke])
def test_69_nothing_is_issued_for_whoever_ended_meanwhile(
    world: World, account: Account, end: Callable[[World, Account], None]
) -> None:
    party = world.relying_party()
    code, pending = world.get_code(party, account)
    end(world, account)
    assert_invalid_grant(party.try_exchange(code, pending))


@pytest.mark.parametrize("end", [_disable, _reset_password, _revoke])
def test_69_what_was_issued_before_ends_too(
    world: World, account: Account, end: Callable[[World, Account], None]
) -> None:
    party = world.relying_party()
    tokens = world.get_tokens(party, account)
    end(world, account)
    assert party.userinfo(tokens.access_token).status == 401


@pytest.mark.parametrize("method", ["client_secret_basic", "none"])
def test_70_a_client_that_was_disabled_meanwhile_gets_nothing(world: World, account: Account, method: str) -> None:
    party = world.relying_party(token_endpoint_auth_method=method)
    code, pending = world.get_code(party, account)
    disable_client(world.operator.deployment, party.client_id)
    # At once the grant has ended; within a second the server knows the client's state too.
    first = party.try_exchange(code, pending)
    assert first.status == 400
    assert first.json()["error"] in {"unauthorized_client", "invalid_grant"}
    wait_until(lambda: party.try_exchange(code, pending).json()["error"] == "unauthorized_client")


def test_70_a_code_sent_to_a_redirect_uri_that_was_deregistered_meanwhile_is_refused(
    world: World, account: Account
) -> None:
    party = world.relying_party()
    code, pending = world.get_code(party, account)
    _change_metadata(world, party, redirect_uris=["https://elsewhere.example/callback"])
    # The server has noticed once it no longer sends anybody there.
    wait_until(lambda: world.browser().get(party.begin().url).status == 400)
    assert_invalid_grant(party.try_exchange(code, pending))


def _change_metadata(world: World, party: RelyingParty, **members: Any) -> None:
    """No command changes a registered client yet, so the row is changed as a later one will."""

    def work(connection: Connection) -> None:
        query = text("SELECT metadata FROM clients WHERE client_id = :client_id")
        metadata = json.loads(connection.execute(query, {"client_id": party.client_id}).scalar_one())
        connection.execute(
            text("UPDATE clients SET metadata = :metadata WHERE client_id = :client_id"),
            {"metadata": json.dumps({**metadata, **members}), "client_id": party.client_id},
        )
        changes.bump(connection, "clients")

    world.operator.deployment.database.transact(work)


# ----- The request itself -----


@pytest.mark.parametrize(
    ("changes_", "error"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password", "username": "a", "password": "b"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unauthorized_client"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "unauthorized_client"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}, "unsupported_grant_type"),
        ({"code": None}, "invalid_request"),
        ({"code": ""}, "invalid_request"),
    ],
)
@on_sqlite
def test_a_request_that_is_not_a_code_exchange_spends_nothing(
    world: World, account: Account, changes_: dict[str, Any], error: str
) -> None:
    party = world.relying_party()
    code, pending = world.get_code(party, account)
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": pending.code_verifier, **changes_}
    headers = {"Authorization": basic(party.client_id, party.client_secret or "")}
    with nothing_changes(world):
        reply = send(
            f"{world.url}/token",
            method="POST",
            headers=headers,
            form={name: value for name, value in form.items() if value is not None},
        )
        assert_json_error(reply, error)
    assert party.exchange(code, pending)


@pytest.mark.parametrize("tamper", [lambda code: code[:-1], lambda code: code + "A", str.swapcase, lambda _: "x"])
@on_sqlite
def test_a_guessed_code_is_refused_without_being_looked_up(
    world: World, account: Account, tamper: Callable[[str], str]
) -> None:
    party = world.relying_party()
    code, pending = world.get_code(party, account)
    with nothing_changes(world):
        assert_invalid_grant(party.try_exchange(tamper(code), pending))
    assert party.exchange(code, pending)
