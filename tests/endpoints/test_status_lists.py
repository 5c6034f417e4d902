"""Revocation that reaches whoever checks offline: real verifiers, which ask the server for its status lists."""

import copy
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from app.services.manage_clients import disable_client, enable_client, remove_client
from app.services.manage_grants import list_grants, revoke_grant
from app.services.manage_keys import list_keys, revoke_signing_key, rotate_keys_now
from app.services.manage_users import disable_user, enable_user, set_password
from app.specs.rfc7515_jose import parse_unverified_header
from app.specs.token_status_list import check_status_list_claims
from app.storage.status_lists import list_status_lists
from app.verifier import AccessTokenVerifier, InvalidToken
from tests.actors.http import Reply, send
from tests.actors.machine import Machine
from tests.actors.relying_party import Tokens, read_jwt
from tests.actors.token_exchange import exchange, make_chain
from tests.conftest import run_world
from tests.databases import BACKENDS, migrated_database_url
from tests.deployments import Account
from tests.patience import wait_until
from tests.server import free_port
from tests.world import World

MEDIA_TYPE = "application/statuslist+jwt"


def verifier_at(world: World, audience: str) -> AccessTokenVerifier:
    """An API's own verifier. It refuses a token without a status, and asks for its list every half second."""
    return AccessTokenVerifier(
        issuer=world.issuer,
        audience=audience,
        require_status=True,
        status_interval_s=1,
        clock=lambda: world.clock() / 1000,
    )


def is_refused(verifier: AccessTokenVerifier, token: str) -> bool:
    try:
        verifier.verify(token)
    except InvalidToken as error:
        if "revoked" not in error.description:
            raise
        return True
    return False


def list_of(token: str) -> tuple[str, int]:
    reference = read_jwt(token)["status"]["status_list"]
    return reference["uri"], reference["idx"]


def fetch(world: World, uri: str, **headers: str) -> Reply:
    """From the server, whatever it calls itself."""
    return send(world.url + uri.removeprefix(world.issuer), headers=headers)


def is_set(world: World, token: str) -> bool:
    uri, index = list_of(token)
    claims = read_jwt(fetch(world, uri).text)
    return check_status_list_claims(claims, uri=uri, now_s=world.clock() / 1000).is_set(index)


def etag_at(node: World, token: str) -> str:
    return fetch(node, list_of(token)[0]).headers["etag"]


def machine_for(world: World, resource: str) -> Machine:
    return world.machine(scope="photos.read", policy={"resources": [resource]})


def reached_at(node: World, machine: Machine) -> Machine:
    """The same client, asking that process."""
    there = copy.copy(machine)
    there.server_url = node.url
    return there


# ----- What ends a token ends it at every API -----


def test_whatever_ends_a_token_ends_it_offline_and_no_other(world: World) -> None:
    operator = world.operator
    deployment, resource = operator.deployment, operator.add_resource()
    machine = machine_for(world, resource)

    def of_person(account: Account | None = None) -> tuple[Account, Tokens, str]:
        account, party = account or operator.add_user(), world.relying_party()
        return account, world.get_tokens(party, account, scope="photos.read", resource=resource), party.client_id

    bystander, sibling = of_person(), machine_for(world, resource).get_token()
    by_grant, by_user, by_session, by_client, by_removal = (of_person() for _ in range(5))
    other_grant_of_the_same_person = of_person(by_grant[0])
    of_machine = [machine.get_token() for _ in range(20)]
    (grant,) = [grant for grant in list_grants(deployment, user=by_grant[0].sub) if grant.client_id == by_grant[2]]
    endings: list[tuple[Callable[[], object], list[Tokens]]] = [
        (lambda: revoke_grant(deployment, grant.grant_id), [by_grant[1]]),
        (lambda: disable_user(deployment, by_user[0].username), [by_user[1]]),
        (lambda: set_password(deployment, by_session[0].username, "another correct horse battery"), [by_session[1]]),
        (lambda: disable_client(deployment, by_client[2]), [by_client[1]]),
        (lambda: remove_client(deployment, by_removal[2]), [by_removal[1]]),
        (lambda: disable_client(deployment, machine.client_id), of_machine),
    ]
    alive = [
        bystander[1],
        other_grant_of_the_same_person[1],
        sibling,
        *(token for _, ended in endings for token in ended),
    ]
    verifier = verifier_at(world, resource)
    for end, ended in endings:
        assert [tokens for tokens in alive if is_refused(verifier, tokens.access_token)] == []
        end()
        for tokens in ended:
            wait_until(lambda token=tokens.access_token: is_refused(verifier, token))  # type: ignore[misc]
        alive = [tokens for tokens in alive if tokens not in ended]
    assert len(alive) == 3
    assert [tokens for tokens in alive if is_refused(verifier, tokens.access_token)] == []
    # Whoever may come back comes back with new tokens; no bit is ever taken back.
    enable_user(deployment, by_user[0].username)
    enable_client(deployment, machine.client_id)
    wait_until(lambda: machine.try_get_token().status == 200)
    wait_until(lambda: not is_set(world, machine.get_token().access_token))
    assert all(is_set(world, tokens.access_token) for _, ended in endings for tokens in ended)
    assert not is_refused(verifier, machine.get_token().access_token)


@pytest.mark.parametrize("is_grant", [False, True], ids=["the token", "its grant"])
def test_what_ends_a_token_ends_offline_what_was_exchanged_for_it_too(world: World, is_grant: bool) -> None:
    chain, untouched = make_chain(world), make_chain(world)
    token, other = chain.get_token(), untouched.get_token()
    exchanged = exchange(chain.library, token, resource=chain.prints)
    of_other = exchange(untouched.library, other, resource=untouched.prints)
    verifier, verifier_of_other = verifier_at(world, chain.prints), verifier_at(world, untouched.prints)
    assert not is_refused(verifier, exchanged)
    if is_grant:
        (grant,) = [
            grant
            for grant in list_grants(world.operator.deployment, user=chain.account.sub)
            if grant.client_id == chain.shop.client_id
        ]
        revoke_grant(world.operator.deployment, grant.grant_id)
    else:
        assert Machine.of(chain.shop).revoke(token).status == 200
    wait_until(lambda: is_refused(verifier, exchanged))
    assert not is_refused(verifier_of_other, of_other)


# ----- Several processes -----


@pytest.fixture
def other_node(world: World, tmp_path: Path) -> Iterator[World]:
    """A second process on the same database, started now; it has seen nothing of what was before."""
    server = replace(world.server, port=free_port(), log_path=tmp_path / "other.log", process=None)
    try:
        yield replace(world, server=server.start())
    finally:
        server.stop()


def test_two_processes_and_their_threads_never_give_a_place_twice_and_serve_the_same_revocations(
    world: World, other_node: World
) -> None:
    operator = world.operator
    resource = operator.add_resource()
    machine = machine_for(world, resource)
    another, same_client_there = machine_for(other_node, resource), reached_at(other_node, machine)
    with ThreadPoolExecutor(6) as pool:
        tokens = list(pool.map(lambda each: each.get_token().access_token, [machine, another, same_client_there] * 60))
    places = [list_of(token) for token in tokens]
    assert len(set(places)) == len(places) == 180
    disable_client(operator.deployment, machine.client_id)
    gone = [token for number, token in enumerate(tokens) if number % 3 != 1]
    kept = [token for number, token in enumerate(tokens) if number % 3 == 1]
    for node in (world, other_node):
        wait_until(lambda node=node: is_set(node, gone[0]))  # type: ignore[misc]
        assert all(is_set(node, token) for token in gone)
        assert not any(is_set(node, token) for token in kept)
    # They say the same in the same words, so that a verifier may ask one and then the other.
    wait_until(lambda: etag_at(world, gone[0]) == etag_at(other_node, gone[0]))
    assert read_jwt(fetch(world, list_of(gone[0])[0]).text) == read_jwt(fetch(other_node, list_of(gone[0])[0]).text)


def test_a_process_that_starts_later_serves_what_was_revoked_before_and_gives_no_place_again(
    world: World, tmp_path: Path
) -> None:
    resource = world.operator.add_resource()
    machine = machine_for(world, resource)
    account, party = world.operator.add_user(), world.relying_party()
    revoked = world.get_tokens(party, account, scope="photos.read", resource=resource).access_token
    before = [machine.get_token().access_token for _ in range(5)]
    disable_user(world.operator.deployment, account.username)
    server = replace(world.server, port=free_port(), log_path=tmp_path / "later.log", process=None)
    try:
        later = replace(world, server=server.start())
        assert is_set(later, revoked)
        assert not any(is_set(later, token) for token in before)
        after = [reached_at(later, machine).get_token().access_token for _ in range(5)]
        assert len({list_of(token) for token in before + after}) == 10
    finally:
        server.kill()


def test_an_index_tells_nothing_about_what_was_issued_before_it(world: World) -> None:
    machine = machine_for(world, world.operator.add_resource())
    indices = [list_of(machine.get_token().access_token)[1] for _ in range(40)]
    gaps = [abs(later - earlier) for earlier, later in itertools.pairwise(indices)]
    # Of 39 random gaps in a million places three are under 64 about once in ten million times.
    assert sorted(gaps)[2] > 64
    assert max(indices) - min(indices) > 2**18
    assert indices != sorted(indices)


# ----- What is served -----


def test_a_list_is_a_signed_document_for_everybody(world: World) -> None:
    machine = machine_for(world, world.operator.add_resource())
    uri, _ = list_of(machine.get_token().access_token)
    reply = fetch(world, uri, Origin="https://app.example")
    assert (reply.status, reply.headers["content-type"]) == (200, MEDIA_TYPE)
    assert reply.headers["cache-control"] == "public, max-age=1"
    assert reply.headers["access-control-allow-origin"] == "*"
    claims = read_jwt(reply.text)
    assert claims["sub"] == uri
    assert (claims["ttl"], claims["exp"] - claims["iat"]) == (5, 600)
    assert abs(claims["iat"] - world.clock() / 1000) < 300
    header = parse_unverified_header(reply.text)
    assert (header.typ, header.alg) == ("statuslist+jwt", "ES256")
    assert header.kid in {key["kid"] for key in send(world.url + "/jwks").json()["keys"]}
    # 2^20 tokens, none or few of them revoked, are a kilobyte.
    assert len(reply.body) < 4000
    assert check_status_list_claims(claims, uri=uri, now_s=world.clock() / 1000).size == 2**20
    same = fetch(world, uri, **{"If-None-Match": reply.headers["etag"]})
    assert same.status in (200, 304)
    if same.status == 304:
        assert same.body == b""
    head = send(world.url + uri.removeprefix(world.issuer), method="HEAD")
    assert (head.status, head.body, head.headers["content-type"]) == (200, b"", MEDIA_TYPE)


def test_what_is_no_list_is_answered_in_json_and_costs_the_asker_nothing(world: World) -> None:
    for path in ("/status-lists/0123456789abcdef", "/status-lists/", "/status-lists/%2e%2e", "/status-lists/a%00b"):
        reply = send(world.url + path, headers={"Origin": "https://app.example"})
        assert (reply.status, reply.headers["content-type"]) == (404, "application/json"), path
        assert reply.headers["access-control-allow-origin"] == "*"
    assert send(world.url + "/status-lists/a/b").status == 404
    assert send(world.url + "/status-lists/0123456789abcdef", method="POST", form={}).status == 405


def test_the_metadata_names_where_every_list_stands(world: World) -> None:
    uri, _ = list_of(machine_for(world, world.operator.add_resource()).get_token().access_token)
    endpoint = send(world.url + "/.well-known/oauth-authorization-server").json()["status_list_aggregation_endpoint"]
    assert endpoint == world.issuer + "/status-lists"
    wait_until(lambda: uri in fetch(world, endpoint).json()["status_lists"])
    reply = fetch(world, endpoint)
    assert reply.headers["content-type"] == "application/json"
    for each in reply.json()["status_lists"]:
        assert fetch(world, each).status == 200


def test_a_list_is_signed_by_the_key_of_the_hour(world: World) -> None:
    deployment = world.operator.deployment
    uri, _ = list_of(machine_for(world, world.operator.add_resource()).get_token().access_token)

    def kid() -> str:
        return parse_unverified_header(fetch(world, uri).text).kid or ""

    def active_kid() -> str:
        (active,) = [key.kid for key in list_keys(deployment) if (key.alg, key.state) == ("ES256", "active")]
        return active

    first = active_kid()
    wait_until(lambda: kid() == first)
    rotate_keys_now(deployment)
    second = active_kid()
    assert second != first
    wait_until(lambda: kid() == second)
    revoke_signing_key(deployment, second)
    wait_until(lambda: kid() == active_kid() != second)


@pytest.mark.parametrize("query", ["time=1", "time=abc"])
def test_nobody_who_asks_about_the_past_is_told_about_now(world: World, query: str) -> None:
    uri, _ = list_of(machine_for(world, world.operator.add_resource()).get_token().access_token)
    reply = fetch(world, f"{uri}?{query}")
    assert (reply.status, reply.headers["content-type"]) == (501, "application/json")
    assert reply.json()["error"] == "not_implemented"


# ----- The life of a list -----


@pytest.fixture(params=BACKENDS)
def own_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A deployment whose lists no other test has aged."""
    with migrated_database_url(request.param, tmp_path) as database_url:
        yield from run_world(tmp_path, database_url, rate_limits="off")


def lists_of(world: World) -> list[str]:
    uris: list[str] = fetch(world, world.issuer + "/status-lists").json()["status_lists"]
    return uris


def is_closed(world: World, uri: str) -> bool:
    with world.operator.deployment.database.reading() as connection:
        rows = {row.list_id: row for row in list_status_lists(connection)}
    return rows[uri.rpartition("/")[2]].closed_at is not None


def test_a_list_closes_after_an_hour_is_served_for_its_tokens_and_then_leaves(own_world: World) -> None:
    world = own_world
    resource = world.operator.add_resource()
    machine = machine_for(world, resource)
    first, _ = list_of(machine.get_token().access_token)
    wait_until(lambda: lists_of(world) == [first])
    world.clock.move(seconds=3601)
    # The successor is published before it has its first token.
    wait_until(lambda: len(lists_of(world)) == 2, within_s=30)
    _, second = lists_of(world)
    wait_until(lambda: list_of(machine_for(world, resource).get_token().access_token)[0] == second, within_s=30)
    disable_client(world.operator.deployment, machine.client_id)
    assert fetch(world, first).status == 200
    # Its time to leave counts from then.
    wait_until(lambda: is_closed(world, first))
    # Ten minutes for who had leased a block, an hour for the longest token, a minute for clocks.
    world.clock.move(seconds=600 + 3600 + 60 + 10)
    wait_until(lambda: first not in lists_of(world), within_s=30)
    assert fetch(world, first).status == 404
    assert second in lists_of(world)
    with world.operator.deployment.database.reading() as connection:
        left = {uri.rpartition("/")[2] for uri in lists_of(world)}
        assert {row.list_id for row in list_status_lists(connection)} == left


def test_a_list_is_signed_anew_before_half_of_its_life_is_over(own_world: World) -> None:
    uri, _ = list_of(machine_for(own_world, own_world.operator.add_resource()).get_token().access_token)
    for _ in range(3):
        first = read_jwt(fetch(own_world, uri).text)
        own_world.clock.move(seconds=299)
        wait_until(lambda first=first: read_jwt(fetch(own_world, uri).text)["iat"] > first["iat"])  # type: ignore[misc]
        assert own_world.clock() / 1000 - read_jwt(fetch(own_world, uri).text)["iat"] < 300
