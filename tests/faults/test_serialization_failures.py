"""PostgreSQL refuses three in ten transactions as not serializable: they are repeated, and nothing happens twice."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import select, text

from app.storage.tables import audit_events
from tests.faults.fault_world import FaultWorld
from tests.faults.invariants import check_invariants, read_log
from tests.faults.patience import eventually

# A sequence is not rolled back, so it counts the failures that were.
_FUNCTION = """
CREATE SEQUENCE injected;
CREATE FUNCTION fail_sometimes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF random() < {share} THEN
    PERFORM nextval('injected');
    RAISE EXCEPTION 'injected' USING ERRCODE = (ARRAY['40001', '40P01'])[1 + floor(random() * 2)];
  END IF;
  RETURN NEW;
END $$;
"""
_IN_A_STATEMENT = "CREATE TRIGGER injected BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION fail_sometimes();"
_AT_THE_COMMIT = (
    "CREATE CONSTRAINT TRIGGER injected AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW EXECUTE FUNCTION fail_sometimes();"
)
_CLEAN_UP = "DROP FUNCTION fail_sometimes() CASCADE; DROP SEQUENCE injected;"


@contextmanager
def failing(world: FaultWorld, trigger: str, *, share: float) -> Iterator[None]:
    """Let the database itself fail a share of the transactions that write a grant, and of those that write a token."""
    database = world.operator.deployment.database
    statements = [
        _FUNCTION.format(share=share),
        *(trigger.format(table=table) for table in ("grants", "access_tokens")),
    ]
    database.transact(lambda connection: connection.execute(text("".join(statements).replace(":", r"\:"))))
    try:
        yield
    finally:
        database.transact(lambda connection: connection.execute(text(_CLEAN_UP)))


def count_failures(world: FaultWorld) -> int:
    with world.operator.deployment.database.reading() as connection:
        return int(connection.execute(text("SELECT last_value FROM injected")).scalar_one())


def flow(world: FaultWorld) -> int:
    """One authorization and its exchange, tried until they succeed as a client would; the number of 503s on the way."""
    party, account, browser = world.relying_party(), world.operator.add_user(), world.browser()
    pending = party.begin()
    page = browser.log_in(browser.get(pending.url), account.username, account.password)
    unavailable = 0
    reply = browser.consent(page)
    while reply.status == 503:
        unavailable += 1
        reply = browser.consent(page)
    code = party.read_callback(reply, pending)
    for _ in range(10):
        answer = world.witness.exchange(party, code, pending)
        assert answer is not None
        if answer.status == 200:
            return unavailable
        assert (answer.status, answer.json()["error"]) == (503, "temporarily_unavailable")
        unavailable += 1
    raise AssertionError("the code never gave its token")


def grants_with(world: FaultWorld, event_type: str) -> Counter[str]:
    """How often the audit trail says this of each grant."""
    with world.operator.deployment.database.reading() as connection:
        query = select(audit_events.c.grant_id).where(audit_events.c.type == event_type)
        return Counter(row[0] for row in connection.execute(query))


@contextmanager
def told_once(world: FaultWorld, *event_types: str) -> Iterator[None]:
    """What happens to a grant inside the block has exactly one audit row and one log line."""
    before = {event_type: grants_with(world, event_type) for event_type in event_types}
    yield
    for event_type, known in before.items():
        recorded = grants_with(world, event_type) - known
        assert set(recorded.values()) == {1}

        def told(event_type: str = event_type, recorded: Counter[str] = recorded) -> Counter[str]:
            lines = [line for line in read_log(world) if line["event"] == event_type]
            return Counter(line["grant_id"] for line in lines if line["grant_id"] in recorded)

        eventually(lambda told=told, recorded=recorded: set(told()) == set(recorded), within_s=30, what="every line")  # type: ignore[misc]
        assert told() == recorded


@pytest.mark.parametrize("trigger", [_IN_A_STATEMENT, _AT_THE_COMMIT], ids=["in a statement", "at the commit"])
def test_three_in_ten_transactions_fail_and_nothing_happens_twice(postgresql: FaultWorld, trigger: str) -> None:
    run_flows(postgresql, trigger, count=16)


@pytest.mark.long
@pytest.mark.parametrize("trigger", [_IN_A_STATEMENT, _AT_THE_COMMIT], ids=["in a statement", "at the commit"])
def test_three_in_ten_transactions_fail_four_hundred_times_over(postgresql: FaultWorld, trigger: str) -> None:
    run_flows(postgresql, trigger, count=400)


def run_flows(world: FaultWorld, trigger: str, *, count: int) -> None:
    with told_once(world, "grant.created", "token.issued"), failing(world, trigger, share=0.3):
        with ThreadPoolExecutor(4) as pool:
            unavailable = sum(pool.map(lambda _: flow(world), range(count)))
        assert count_failures(world) > 1, "nothing was injected"
    # Four attempts that all fail are rare: 0.3^4 of two transactions a flow.
    assert unavailable <= 2 + count * 0.05
    check_invariants(world)


def test_a_transaction_that_always_loses_is_a_503_and_leaves_no_trace(postgresql: FaultWorld) -> None:
    party, account, browser = postgresql.relying_party(), postgresql.operator.add_user(), postgresql.browser()
    code, pending = postgresql.get_code(party, account, browser=browser)
    with told_once(postgresql, "token.issued"):
        with failing(postgresql, _AT_THE_COMMIT, share=1.0):
            reply = postgresql.witness.exchange(party, code, pending)
            assert reply is not None
            assert (reply.status, reply.json()["error"]) == (503, "temporarily_unavailable")
            # The first try and three more.
            assert count_failures(postgresql) == 4
            assert browser.get(party.begin().url).status == 503
        reply = postgresql.witness.exchange(party, code, pending)
        assert reply is not None
        assert reply.status == 200
    check_invariants(postgresql)
