"""PostgreSQL ends, crashes, freezes, is full of others or holds a lock: 503 within 5 s, and it comes back by itself."""

import functools
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.actors.http import Reply
from tests.actors.relying_party import Pending, RelyingParty
from tests.deployments import Account
from tests.faults.fault_world import FaultWorld
from tests.faults.invariants import check_error_is_readable, check_invariants
from tests.faults.patience import Stopwatch, eventually
from tests.postgresql_cluster import PostgresqlCluster

ANSWERS_WITHIN_S = 5.0
RECOVERS_WITHIN_S = 5.0
# The machine may be busy with other tests.
SLACK_S = 1.5
# As many requests as the server has threads.
THREADS = 8


@pytest.fixture
def world(postgresql: FaultWorld) -> FaultWorld:
    return postgresql


@pytest.fixture
def database(postgresql: FaultWorld) -> str:
    """The database's name in its cluster."""
    return make_url(postgresql.environment["TOKENHOUSE_DATABASE_URL"]).database or ""


@pytest.fixture
def party(world: FaultWorld) -> RelyingParty:
    return world.relying_party()


@pytest.fixture
def account(world: FaultWorld) -> Account:
    return world.operator.add_user()


def exchange_in_time(world: FaultWorld, party: RelyingParty, code: str, pending: Pending) -> Reply:
    """Present a code; there is an answer, and soon."""
    with Stopwatch() as stopwatch:
        reply = world.witness.exchange(party, code, pending)
    assert reply is not None, "no answer at all"
    assert stopwatch.elapsed_s < ANSWERS_WITHIN_S + SLACK_S, f"{stopwatch.elapsed_s:.1f} s for {reply.status}"
    return reply


def check_what_needs_no_database(world: FaultWorld) -> None:
    """Keys, metadata, status lists and liveness come from memory; readiness tells the truth (I8)."""
    lists = [uri.removeprefix(world.issuer) for uri in world.try_get("/status-lists").json()["status_lists"]]
    assert lists
    for path in ("/jwks", "/.well-known/openid-configuration", "/livez", *lists):
        with Stopwatch() as stopwatch:
            assert world.try_get(path).status == 200
        assert stopwatch.elapsed_s < ANSWERS_WITHIN_S + SLACK_S, path
    assert world.try_get("/readyz").status == 503


def test_sessions_that_the_database_ended_are_replaced_without_anybody_noticing(
    world: FaultWorld, cluster: PostgresqlCluster, party: RelyingParty, account: Account
) -> None:
    code, pending = world.get_code(party, account)
    assert cluster.terminate_backends() > 0
    reply = exchange_in_time(world, party, code, pending)
    assert reply.status == 200, reply.text
    check_invariants(world)


def test_sessions_ended_again_and_again_in_the_middle_of_work_cost_503_at_most(
    world: FaultWorld, cluster: PostgresqlCluster, party: RelyingParty, account: Account
) -> None:
    browser = world.browser()
    codes = [world.get_code(party, account, browser=browser) for _ in range(24)]
    with ThreadPoolExecutor(THREADS) as pool:
        exchanges = [pool.submit(exchange_in_time, world, party, code, pending) for code, pending in codes]
        for finished in as_completed(exchanges):
            cluster.terminate_backends()
            finished.result()
    for exchange, (code, pending) in zip(exchanges, codes, strict=True):
        if exchange.result().status == 503:
            # A commit may have happened although its confirmation was lost: then the code is used, and says so.
            assert exchange_in_time(world, party, code, pending).status in (200, 400)
    assert {exchange.result().status for exchange in exchanges} <= {200, 503}
    check_invariants(world)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_of_the_database_costs_503_and_nothing_else(
    world: FaultWorld, cluster: PostgresqlCluster, party: RelyingParty, account: Account, mode: str
) -> None:
    code, pending = world.get_code(party, account)
    cluster.stop(mode)
    try:
        assert exchange_in_time(world, party, code, pending).status == 503
        page = world.browser().get(party.begin().url)
        assert (page.status, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
        assert 'data-error="temporarily_unavailable"' in page.text
        assert int(page.headers["retry-after"]) >= 1
        check_what_needs_no_database(world)
    finally:
        cluster.start()
    with Stopwatch() as stopwatch:
        world.recovers(party, account, within_s=RECOVERS_WITHIN_S + SLACK_S)
    assert stopwatch.elapsed_s < RECOVERS_WITHIN_S + SLACK_S
    # The code was never spent by the failures.
    assert exchange_in_time(world, party, code, pending).status == 200
    assert world.try_get("/readyz").status == 200
    check_invariants(world)


def test_a_status_list_outlives_the_database_until_its_exp_and_then_nobody_vouches_for_it(
    world: FaultWorld, cluster: PostgresqlCluster, party: RelyingParty, account: Account
) -> None:
    token = world.get_tokens(party, account).claims
    path = token["status"]["status_list"]["uri"].removeprefix(world.issuer)
    assert world.try_get(path).status == 200
    cluster.stop("fast")
    try:
        world.clock.move(seconds=100)
        assert world.try_get(path).status == 200
        world.clock.move(seconds=501)
        reply = world.try_get(path)
        assert (reply.status, reply.json()["error"]) == (503, "temporarily_unavailable")
        assert int(reply.headers["retry-after"]) >= 1
    finally:
        cluster.start()
        world.clock.reset()
    world.recovers(party, account, within_s=RECOVERS_WITHIN_S + SLACK_S)
    eventually(lambda: world.try_get(path).status == 200, within_s=RECOVERS_WITHIN_S, what="the list is served again")


def test_a_frozen_database_costs_503_in_time_and_requests_do_not_pile_up(
    world: FaultWorld, cluster: PostgresqlCluster, party: RelyingParty, account: Account
) -> None:
    freeze(world, cluster, party, account, rounds=1)


@pytest.mark.long
def test_a_database_that_stays_frozen_costs_every_request_the_same(
    world: FaultWorld, cluster: PostgresqlCluster, party: RelyingParty, account: Account
) -> None:
    freeze(world, cluster, party, account, rounds=6)


def freeze(
    world: FaultWorld, cluster: PostgresqlCluster, party: RelyingParty, account: Account, *, rounds: int
) -> None:
    # A list of statuses is there once a token was issued.
    assert world.serves(party, account)
    browser = world.browser()
    codes = [world.get_code(party, account, browser=browser) for _ in range(THREADS - 2)]
    with cluster.frozen(), ThreadPoolExecutor(THREADS) as pool:
        for _ in range(rounds):
            from_memory = pool.submit(check_what_needs_no_database, world)
            tries = [pool.submit(exchange_in_time, world, party, code, pending) for code, pending in codes]
            assert [attempt.result().status for attempt in tries] == [503] * len(codes)
            from_memory.result()
    world.recovers(party, account, within_s=RECOVERS_WITHIN_S + SLACK_S)
    for code, pending in codes:
        assert exchange_in_time(world, party, code, pending).status == 200
    check_invariants(world)


def test_a_database_frozen_in_the_middle_of_a_transaction_costs_503_in_time(
    world: FaultWorld, cluster: PostgresqlCluster, party: RelyingParty, account: Account, database: str
) -> None:
    code, pending = world.get_code(party, account)
    with cluster.connect(database) as holder, ThreadPoolExecutor(1) as pool:
        holder.autocommit = False
        holder.execute("SELECT * FROM authorization_codes FOR UPDATE")
        attempt = pool.submit(exchange_in_time, world, party, code, pending)
        eventually(lambda: waiting_for_a_lock(cluster) == 1, within_s=2.5, what="the exchange waits for the row")
        with cluster.frozen():
            assert attempt.result().status == 503
    world.recovers(party, account)
    assert exchange_in_time(world, party, code, pending).status == 200
    check_invariants(world)


def test_locks_that_another_transaction_holds_cost_503_and_other_routes_live(
    world: FaultWorld, cluster: PostgresqlCluster, party: RelyingParty, account: Account, database: str
) -> None:
    other_party, browser = world.relying_party(), world.browser()
    code, pending = world.get_code(party, account, browser=browser)
    other_code, other_pending = world.get_code(other_party, world.operator.add_user())
    with cluster.connect(database) as holder, ThreadPoolExecutor(2) as pool:
        holder.autocommit = False
        # One row, and one table as a change of schema would hold it.
        holder.execute("SELECT * FROM clients WHERE client_id = %s FOR UPDATE", [party.client_id])
        holder.execute("LOCK TABLE consents IN ACCESS EXCLUSIVE MODE")
        blocked = pool.submit(exchange_in_time, world, party, code, pending)
        page = pool.submit(browser.get, party.begin().url)
        eventually(lambda: waiting_for_a_lock(cluster) == 2, within_s=2.5, what="both wait")
        # Another client's exchange, the keys and readiness do not wait with them.
        assert exchange_in_time(world, other_party, other_code, other_pending).status == 200
        assert world.try_get("/jwks").status == world.try_get("/readyz").status == 200
        assert (blocked.result().status, page.result().status) == (503, 503)
        holder.rollback()
    assert exchange_in_time(world, party, code, pending).status == 200
    check_invariants(world)


def test_whoever_waits_behind_a_change_of_schema_that_waits_itself_is_answered_in_time(
    world: FaultWorld, cluster: PostgresqlCluster, party: RelyingParty, account: Account, database: str
) -> None:
    queue_behind_maintenance(world, cluster, party, account, database, rounds=1)


@pytest.mark.long
def test_a_transaction_that_idles_for_a_minute_costs_every_request_the_same(
    world: FaultWorld, cluster: PostgresqlCluster, party: RelyingParty, account: Account, database: str
) -> None:
    queue_behind_maintenance(world, cluster, party, account, database, rounds=15)


def queue_behind_maintenance(
    world: FaultWorld, cluster: PostgresqlCluster, party: RelyingParty, account: Account, database: str, *, rounds: int
) -> None:
    """Somebody has read the codes and idles in the transaction; VACUUM FULL waits for them, and everybody for it."""
    # A list of statuses is there once a token was issued.
    assert world.serves(party, account)
    browser = world.browser()
    codes = [world.get_code(party, account, browser=browser) for _ in range(THREADS - 2)]
    tokens = world.get_tokens(party, account)
    # In this order: where something fails, VACUUM must come to its end before the pool waits for it.
    with (
        ThreadPoolExecutor(THREADS) as pool,
        cluster.connect(database) as maintenance,
        cluster.connect(database) as idle,
    ):
        idle.autocommit = False
        idle.execute("SELECT count(*) FROM authorization_codes")
        # What runs every night holds nobody up.
        maintenance.execute("VACUUM (ANALYZE) authorization_codes")
        code, pending = codes.pop()
        assert exchange_in_time(world, party, code, pending).status == 200
        vacuum = pool.submit(maintenance.execute, "VACUUM FULL authorization_codes")
        eventually(lambda: waiting_for_a_lock(cluster, role="postgres") == 1, within_s=30, what="VACUUM FULL waits")
        for _ in range(rounds):
            tries = [pool.submit(exchange_in_time, world, party, code, pending) for code, pending in codes]
            eventually(lambda: waiting_for_a_lock(cluster) > 0, within_s=2.5, what="exchanges wait behind it")
            # Who needs another table, or none, does not wait with them.
            assert party.userinfo(tokens.access_token).status == 200
            assert world.try_get("/jwks").status == world.try_get("/readyz").status == 200
            for reply in [attempt.result() for attempt in tries]:
                assert reply.status == 503
                check_error_is_readable(reply)
            # The database hears of it by the cancelling of the statement, which it may see a moment later.
            eventually(lambda: waiting_for_a_lock(cluster) == 0, within_s=2, what="nobody who was answered waits")
        idle.rollback()
        vacuum.result(timeout=30)
    for code, pending in codes:
        assert exchange_in_time(world, party, code, pending).status == 200
    check_invariants(world)


def test_a_database_without_a_free_connection_costs_503(
    world: FaultWorld, cluster: PostgresqlCluster, party: RelyingParty, account: Account, database: str
) -> None:
    code, pending = world.get_code(party, account)
    others: list[psycopg.Connection[object]] = []
    try:
        eventually(functools.partial(take_a_place, cluster, database, others), within_s=30, what="every place is taken")
        # What the server has open it could keep; ended, it finds no place, unless its housekeeping was quicker.
        with cluster.connect() as superuser:
            eventually(
                functools.partial(squeeze_out, superuser, cluster, database, others),
                within_s=20,
                what="the server has no connection left",
            )
            # In here: where the superuser's connection ends, a place becomes free.
            assert exchange_in_time(world, party, code, pending).status == 503
            check_what_needs_no_database(world)
    finally:
        for connection in others:
            connection.close()
    world.recovers(party, account)
    assert exchange_in_time(world, party, code, pending).status == 200
    check_invariants(world)


def test_a_refusal_of_ours_is_readable_and_never_blames_the_caller(
    world: FaultWorld, cluster: PostgresqlCluster, party: RelyingParty, account: Account
) -> None:
    tokens = world.get_tokens(party, account)
    code, pending = world.get_code(party, account)
    cluster.stop("immediate")
    try:
        replies = [
            exchange_in_time(world, party, code, pending),
            # A client that nobody has asked for yet: nothing is known of it, so nothing is said about it.
            party.try_exchange(code, pending, headers={}, client_id="never-seen"),
            party.userinfo(tokens.access_token),
        ]
    finally:
        cluster.start()
    for reply in replies:
        assert (reply.status, reply.json()["error"]) == (503, "temporarily_unavailable"), reply.text
        check_error_is_readable(reply)
    world.recovers(party, account)
    assert party.userinfo(tokens.access_token).status == 200


def waiting_for_a_lock(cluster: PostgresqlCluster, *, role: str = "tokenhouse") -> int:
    with cluster.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND wait_event_type = 'Lock'"
        row = connection.execute(query, [role]).fetchone()
    assert row is not None
    return int(row[0])


def squeeze_out(
    superuser: psycopg.Connection[Any], cluster: PostgresqlCluster, database: str, others: list[Any]
) -> bool:
    """End what the server has open and take its places; whether it had none left."""
    mine = [connection.info.backend_pid for connection in others]
    ended = superuser.execute(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'tokenhouse' AND pid <> ALL(%s)",
        [mine],
    ).fetchone()
    eventually(functools.partial(take_a_place, cluster, database, others), within_s=30, what="every place is taken")
    return ended is not None and ended[0] == 0


def take_a_place(cluster: PostgresqlCluster, database: str, others: list[psycopg.Connection[object]]) -> bool:
    """Take what became free; whether there was nothing left to take."""
    try:
        others.append(cluster.connect(database, role="tokenhouse"))
    except psycopg.OperationalError:
        return True
    return False
