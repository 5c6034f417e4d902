"""Many at once, over two processes on one database: exactly one wins, and nothing is left half done."""

import functools
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from sqlalchemy import func, select, text

from app.services.manage_users import disable_user
from app.storage.tables import audit_events
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply
from tests.faults.fault_world import FaultWorld
from tests.faults.invariants import check_invariants

T = TypeVar("T")
EXCHANGES_AT_ONCE = 50


def all_at_once(tries: Sequence[Callable[[], T]]) -> list[T]:
    """Let everybody wait at the line, and go together."""
    line = threading.Barrier(len(tries))

    def go(attempt: Callable[[], T]) -> T:
        line.wait(timeout=30)
        return attempt()

    with ThreadPoolExecutor(len(tries)) as pool:
        return list(pool.map(go, tries))


def race_for_one_code(nodes: Sequence[FaultWorld]) -> list[Reply | None]:
    world = nodes[0]
    party, account = world.relying_party(), world.operator.add_user()
    code, pending = world.get_code(party, account)
    parties = [nodes[number % len(nodes)].reached_by(party) for number in range(EXCHANGES_AT_ONCE)]
    return all_at_once([functools.partial(world.witness.exchange, party, code, pending) for party in parties])


def errors_of(replies: Sequence[Reply | None]) -> Counter[str]:
    return Counter("broken" if reply is None else reply.json().get("error", "tokens") for reply in replies)


def count_deadlocks(world: FaultWorld) -> int:
    with world.operator.deployment.database.reading() as connection:
        if connection.dialect.name != "postgresql":
            return 0
        query = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(connection.execute(query).scalar_one())


@pytest.mark.requirement("RFC 6749", "4.1.2", "a code is used once")
def test_of_fifty_exchanges_of_one_code_on_two_nodes_exactly_one_succeeds(
    faulty: FaultWorld, other_node: FaultWorld
) -> None:
    outcome = errors_of(race_for_one_code([faulty, other_node]))
    assert outcome == {"tokens": 1, "invalid_grant": EXCHANGES_AT_ONCE - 1}
    check_invariants(faulty, other_node)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_of_fifty_exchanges_of_one_code_exactly_one_succeeds_twenty_times_over(
    faulty: FaultWorld, other_node: FaultWorld
) -> None:
    for _ in range(20):
        outcome = errors_of(race_for_one_code([faulty, other_node]))
        assert outcome == {"tokens": 1, "invalid_grant": EXCHANGES_AT_ONCE - 1}
    check_invariants(faulty, other_node)


def test_two_exchanges_of_different_codes_do_not_get_in_each_others_way(
    faulty: FaultWorld, other_node: FaultWorld
) -> None:
    party, account, browser = faulty.relying_party(), faulty.operator.add_user(), faulty.browser()
    codes = [faulty.get_code(party, account, browser=browser) for _ in range(8)]
    parties = [(faulty, other_node)[number % 2].reached_by(party) for number in range(8)]
    replies = all_at_once(
        [
            functools.partial(faulty.witness.exchange, party, code, pending)
            for party, (code, pending) in zip(parties, codes, strict=True)
        ]
    )
    assert errors_of(replies) == {"tokens": 8}
    check_invariants(faulty, other_node)


def test_of_two_decisions_of_one_consent_one_is_obeyed(faulty: FaultWorld, other_node: FaultWorld) -> None:
    party, account, browser = faulty.relying_party(), faulty.operator.add_user(), faulty.browser()
    pending = party.begin()
    page = browser.log_in(browser.get(pending.url), account.username, account.password)
    form = find_form(page, "consent-form")
    origin = {"Origin": browser.origin}

    def decide(node: FaultWorld, decision: str) -> Reply:
        here = Browser(browser.issuer, node.url)
        here.cookies = dict(browser.cookies)
        return here.send_once(f"{faulty.issuer}/consent", fields=form.with_values(decision=decision), headers=origin)

    decisions = [("allow", faulty), ("allow", other_node), ("deny", faulty), ("deny", other_node)]
    replies = all_at_once([functools.partial(decide, node, decision) for decision, node in decisions])
    sent_back = [reply for reply in replies if reply.status == 303]
    refused = [reply for reply in replies if reply.status != 303]
    assert len(sent_back) == 1, [reply.status for reply in replies]
    assert [reply.status for reply in refused] == [400, 400, 400]
    assert all('id="error-page"' in reply.text for reply in refused)

    answer = party.read_answer(sent_back[0])
    if "code" in answer:
        reply = faulty.witness.exchange(party, answer["code"], pending)
        assert reply is not None
        assert reply.status == 200
    else:
        assert answer["error"] == "access_denied"
    with faulty.operator.deployment.database.reading() as connection:
        ended = select(func.count()).where(
            audit_events.c.client_id == party.client_id, audit_events.c.type.in_(["grant.created", "consent.denied"])
        )
        assert connection.execute(ended).scalar_one() == 1
    check_invariants(faulty, other_node)


def test_a_person_disabled_while_their_codes_are_exchanged_keeps_no_living_token(
    faulty: FaultWorld, other_node: FaultWorld
) -> None:
    party, account, browser = faulty.relying_party(), faulty.operator.add_user(), faulty.browser()
    codes = [faulty.get_code(party, account, browser=browser) for _ in range(6)]
    parties = [(faulty, other_node)[number % 2].reached_by(party) for number in range(6)]
    exchanges = [
        functools.partial(faulty.witness.exchange, party, code, pending)
        for party, (code, pending) in zip(parties, codes, strict=True)
    ]
    with ThreadPoolExecutor(1) as operator:
        disabling = operator.submit(disable_user, faulty.operator.deployment, account.username)
        replies = all_at_once(exchanges)
        disabling.result()
    # Whoever was first got tokens; they must be dead by now, and the rest was refused.
    assert set(errors_of(replies)) <= {"tokens", "invalid_grant"}
    for reply in replies:
        if reply is not None and reply.status == 200:
            assert party.userinfo(reply.json()["access_token"]).status == 401
    assert count_deadlocks(faulty) == 0, "issuing and revoking lock in different orders"
    check_invariants(faulty, other_node)
