"""Refresh under faults (fault 2) and in races: before the commit the old token works, after it the retry does."""

import functools
import itertools
from collections import Counter

import pytest
from sqlalchemy import func, select

from app.services.housekeeping import Housekeeper
from app.services.manage_grants import list_grants
from app.storage.tables import grants, refresh_tokens, users
from tests.actors.browser import Browser
from tests.actors.http import Reply, send
from tests.actors.refreshing import OFFLINE, refreshing_party
from tests.actors.relying_party import RelyingParty, basic
from tests.deployments import Account
from tests.faults.fault_world import FaultWorld
from tests.faults.invariants import check_invariants
from tests.faults.patience import eventually
from tests.faults.test_kill_exchange import is_dead
from tests.faults.test_races import all_at_once, count_deadlocks, errors_of


def begin_family(
    world: FaultWorld, party: RelyingParty, account: Account, browser: Browser | None = None
) -> tuple[str, str]:
    """(access token, refresh token) of a new offline grant."""
    code, pending = world.get_code(party, account, browser=browser, scope=OFFLINE)
    reply = world.witness.exchange(party, code, pending)
    assert reply is not None
    assert reply.status == 200, reply.text
    return reply.json()["access_token"], reply.json()["refresh_token"]


def good(reply: Reply | None) -> dict[str, str]:
    assert reply is not None
    assert reply.status == 200, reply.text
    answer: dict[str, str] = reply.json()
    return answer


def test_72_housekeeping_erases_the_sealed_copy_that_nobody_asked_for_again(time_machine: FaultWorld) -> None:
    party, account = refreshing_party(time_machine), time_machine.operator.add_user()
    housekeeper = Housekeeper(time_machine.operator.deployment)
    _, token = begin_family(time_machine, party, account)
    good(time_machine.witness.refresh(party, token))
    housekeeper.purge()
    assert count_sealed_copies(time_machine, account) == 1, "inside the window"
    time_machine.clock.move(seconds=11)
    housekeeper.purge()
    assert count_sealed_copies(time_machine, account) == 0


def count_sealed_copies(world: FaultWorld, account: Account) -> int:
    query = (
        select(func.count(refresh_tokens.c.sealed_successor))
        .join(grants, grants.c.grant_id == refresh_tokens.c.grant_id)
        .join(users, users.c.id == grants.c.user_id)
        .where(users.c.sub == account.sub)
    )
    with world.operator.deployment.database.reading() as connection:
        return int(connection.execute(query).scalar_one())


@pytest.mark.parametrize("failpoint", ["issue.before_redeem", "issue.before_commit", "issue.after_commit"])
def test_a_refresh_that_was_killed_is_simply_sent_again(faulty: FaultWorld, failpoint: str) -> None:
    party, account = refreshing_party(faulty), faulty.operator.add_user()
    _, token = begin_family(faulty, party, account)
    faulty.faults.kill_at(failpoint)
    assert faulty.witness.refresh(party, token) is None
    eventually(lambda: is_dead(faulty), within_s=30, what="the server was killed")
    faulty.restart()

    answer = good(faulty.witness.refresh(party, token))
    # After the commit that was a retry, before it the rotation: either way a client that lost an answer goes on.
    again = good(faulty.witness.refresh(party, token))
    assert again["refresh_token"] == answer["refresh_token"]
    last = good(faulty.witness.refresh(party, answer["refresh_token"]))
    for access_token in (answer["access_token"], again["access_token"], last["access_token"]):
        assert party.userinfo(access_token).status == 200
    check_invariants(faulty)


@pytest.mark.requirement("RFC 6749", "6", "a refresh that could not be stored has not happened")
@pytest.mark.parametrize("failpoint", ["issue.before_redeem", "issue.before_commit"])
def test_78_a_refresh_that_cannot_be_stored_is_a_503_and_the_token_is_as_good_as_before(
    faulty: FaultWorld, failpoint: str
) -> None:
    party, account = refreshing_party(faulty), faulty.operator.add_user()
    _, token = begin_family(faulty, party, account)
    faulty.faults.fail_at(failpoint)
    for _ in range(3):
        reply = faulty.witness.refresh(party, token)
        assert reply is not None
        assert (reply.status, reply.json()["error"]) == (503, "temporarily_unavailable")
        assert int(reply.headers["retry-after"]) >= 1
    faulty.faults.clear()
    answer = good(faulty.witness.refresh(party, token))
    assert good(faulty.witness.refresh(party, answer["refresh_token"]))
    check_invariants(faulty)


# ----- Races, over two processes -----


def race_for_one_token(nodes: list[FaultWorld], *, at_once: int) -> None:
    """Many refreshes of one token: one successor, told to whoever was among the first; and the family lives."""
    world = nodes[0]
    party, account = refreshing_party(world), world.operator.add_user()
    _, token = begin_family(world, party, account)
    parties = [nodes[number % len(nodes)].reached_by(party) for number in range(at_once)]
    replies = all_at_once([functools.partial(world.witness.refresh, party, token) for party in parties])
    outcome = errors_of(replies)
    # The one that rotates, and five retries.
    assert outcome["tokens"] == 6, outcome
    assert outcome["invalid_grant"] == at_once - 6, outcome
    (successor,) = {reply.json()["refresh_token"] for reply in replies if reply is not None and reply.status == 200}
    last = good(world.witness.refresh(party, successor))
    assert len(list_grants(world.operator.deployment, user=account.sub)) == 1

    assert revoke(party, last["refresh_token"]).status == 200
    for reply in replies:
        if reply is not None and reply.status == 200:
            assert party.userinfo(reply.json()["access_token"]).status == 401
    assert party.userinfo(last["access_token"]).status == 401


def revoke(party: RelyingParty, token: str) -> Reply:
    """RFC 7009."""
    headers = {"Authorization": basic(party.client_id, party.client_secret or "")}
    return send(f"{party.server_url}/revoke", method="POST", headers=headers, form={"token": token})


def test_of_forty_refreshes_of_one_token_on_two_nodes_all_get_one_successor_or_nothing(
    faulty: FaultWorld, other_node: FaultWorld
) -> None:
    race_for_one_token([faulty, other_node], at_once=40)
    assert count_deadlocks(faulty) == 0
    check_invariants(faulty, other_node)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_of_two_hundred_refreshes_of_one_token_on_two_nodes_all_get_one_successor_or_nothing(
    faulty: FaultWorld, other_node: FaultWorld
) -> None:
    race_for_one_token([faulty, other_node], at_once=200)
    check_invariants(faulty, other_node)


def race_refresh_against_revocation(world: FaultWorld, node: FaultWorld, *, times: int) -> Counter[str]:
    """After /revoke answered 200, nothing that the refresh beside it got is active; how the refreshes ended."""
    outcome: Counter[str] = Counter()
    party, account, browser = refreshing_party(world), world.operator.add_user(), world.browser()
    for number in range(times):
        first, token = begin_family(world, party, account, browser)
        here, there = (world, node) if number % 2 else (node, world)
        refreshed, revoked = all_at_once(
            [
                functools.partial(world.witness.refresh, here.reached_by(party), token),
                functools.partial(revoke, there.reached_by(party), token),
            ]
        )
        assert revoked is not None
        assert revoked.status == 200, revoked.text
        assert refreshed is not None
        outcome[refreshed.json().get("error", "tokens")] += 1
        access_tokens, refresh_tokens = [first], [token]
        if refreshed.status == 200:
            access_tokens.append(refreshed.json()["access_token"])
            refresh_tokens.append(refreshed.json()["refresh_token"])
        for place, access_token in itertools.product((here, there), access_tokens):
            assert place.reached_by(party).userinfo(access_token).status == 401, number
        for refresh_token in refresh_tokens:
            reply = world.witness.refresh(there.reached_by(party), refresh_token)
            assert reply is not None
            assert reply.json()["error"] == "invalid_grant", number
    return outcome


def test_nothing_that_is_minted_beside_a_revocation_outlives_it(faulty: FaultWorld, other_node: FaultWorld) -> None:
    outcome = race_refresh_against_revocation(faulty, other_node, times=15)
    assert set(outcome) <= {"tokens", "invalid_grant"}, outcome
    assert count_deadlocks(faulty) == 0
    check_invariants(faulty, other_node)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_nothing_that_is_minted_beside_a_revocation_outlives_it_ten_thousand_times_over(
    faulty: FaultWorld, other_node: FaultWorld
) -> None:
    outcome = race_refresh_against_revocation(faulty, other_node, times=10_000)
    # Both ends of the race were seen.
    assert outcome["tokens"] > 0
    assert outcome["invalid_grant"] > 0
    assert sum(outcome.values()) == 10_000
    assert count_deadlocks(faulty) == 0


def test_parallel_families_of_one_session_do_not_get_in_each_others_way(
    faulty: FaultWorld, other_node: FaultWorld
) -> None:
    """The session is touched by each, once a minute, and held by all of them."""
    party, account, browser = refreshing_party(faulty), faulty.operator.add_user(), faulty.browser()
    tokens = []
    for _ in range(8):
        code, pending = faulty.get_code(party, account, browser=browser)
        tokens.append(good(faulty.witness.exchange(party, code, pending))["refresh_token"])
    faulty.clock.move(seconds=120)
    parties = [(faulty, other_node)[number % 2].reached_by(party) for number in range(8)]
    replies = all_at_once(
        [functools.partial(faulty.witness.refresh, party, token) for party, token in zip(parties, tokens, strict=True)]
    )
    assert errors_of(replies) == {"tokens": 8}
    assert count_deadlocks(faulty) == 0
    check_invariants(faulty, other_node)
