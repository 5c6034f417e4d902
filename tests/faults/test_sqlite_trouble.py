"""The SQLite file is locked, full, damaged or copied in mid-write: 503 at worst, and what was told stays true."""

import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.services.deployment import open_deployment
from app.services.housekeeping import Housekeeper
from app.settings import load_settings
from app.storage.database import Connection, Database, DatabaseUnavailable
from tests.actors.http import Reply
from tests.actors.relying_party import Pending, RelyingParty
from tests.cli.processes import CommandLine
from tests.deployments import Account
from tests.faults import invariants
from tests.faults.fault_world import FaultWorld, Witness, fault_world
from tests.faults.invariants import check_invariants
from tests.faults.patience import Stopwatch, eventually
from tests.server import free_port

PAGE_BYTES = 4096


def file_of(world: FaultWorld) -> Path:
    return Path(world.environment["TOKENHOUSE_DATABASE_URL"].removeprefix("sqlite:///"))


@pytest.fixture
def party(sqlite: FaultWorld) -> RelyingParty:
    return sqlite.relying_party()


@pytest.fixture
def account(sqlite: FaultWorld) -> Account:
    return sqlite.operator.add_user()


def exchange(world: FaultWorld, party: RelyingParty, code: str, pending: Pending) -> Reply:
    reply = world.witness.exchange(party, code, pending)
    assert reply is not None
    return reply


# ----- Locked -----


def test_a_file_that_another_process_locks_for_long_costs_writers_503_and_readers_nothing(
    sqlite: FaultWorld, party: RelyingParty, account: Account
) -> None:
    browser = sqlite.browser()
    codes = [sqlite.get_code(party, account, browser=browser) for _ in range(3)]
    good = exchange(sqlite, party, *codes.pop()).json()["access_token"]
    other = sqlite3.connect(file_of(sqlite), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(exchange, sqlite, party, code, pending) for code, pending in codes]
        page = pool.submit(browser.get, party.begin().url)
        with Stopwatch() as stopwatch:
            while not all(writer.done() for writer in writers):
                assert party.userinfo(good).status == 200
                assert sqlite.try_get("/jwks").status == sqlite.try_get("/readyz").status == 200
        # Readers went on the whole time, and the writers were not kept for as long as the lock was.
        assert 2 < stopwatch.elapsed_s < 8
        assert [writer.result().status for writer in writers] == [503, 503]
        assert page.result().status == 503
        assert 'data-error="temporarily_unavailable"' in page.result().text
    other.rollback()
    other.close()
    assert [exchange(sqlite, party, code, pending).status for code, pending in codes] == [200, 200]
    check_invariants(sqlite)


def test_a_lock_of_a_second_is_waited_for(sqlite: FaultWorld, party: RelyingParty, account: Account) -> None:
    code, pending = sqlite.get_code(party, account)
    other = sqlite3.connect(file_of(sqlite), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(1.0, other.rollback)
    release.start()
    with Stopwatch() as stopwatch:
        assert exchange(sqlite, party, code, pending).status == 200
    assert stopwatch.elapsed_s > 0.5
    release.join()
    other.close()
    check_invariants(sqlite)


# ----- Full -----


def fill_until_writes_fail(world: FaultWorld, party: RelyingParty, codes: list[tuple[str, Pending]]) -> int:
    """Let the file stop growing, and spend codes in the places that are left; how many still found one."""
    world.faults.fill_database()
    for number, (code, pending) in enumerate(codes):
        reply = exchange(world, party, code, pending)
        if reply.status != 200:
            assert (reply.status, reply.json()["error"]) == (503, "temporarily_unavailable")
            return number
    raise AssertionError("the file was never full")


def test_a_full_disk_stops_writes_with_503_and_nothing_else_until_there_is_room(
    sqlite: FaultWorld, party: RelyingParty, account: Account
) -> None:
    browser = sqlite.browser()
    codes = [sqlite.get_code(party, account, browser=browser) for _ in range(60)]
    good = exchange(sqlite, party, *codes.pop()).json()["access_token"]
    served = fill_until_writes_fail(sqlite, party, codes)
    for path in ("/jwks", "/.well-known/openid-configuration", "/livez"):
        assert sqlite.try_get(path).status == 200
    assert party.userinfo(good).status == 200
    sqlite.faults.clear()
    # The code whose exchange found no room was not consumed.
    assert exchange(sqlite, party, *codes[served]).status == 200
    check_invariants(sqlite)


def test_a_full_disk_can_still_be_purged(tmp_path: Path) -> None:
    with fault_world(tmp_path, f"sqlite:///{tmp_path}/tokenhouse.db") as world:
        party, account, browser = world.relying_party(), world.operator.add_user(), world.browser()
        codes = [world.get_code(party, account, browser=browser) for _ in range(60)]
        world.faults.limit_pages(world.operator.deployment.database)
        served = fill_until_writes_fail(world, party, codes)
        world.clock.move(seconds=3 * 86_400)
        assert Housekeeper(world.operator.deployment).purge() > 60
        # What left made room: the disk is as full as before, and a new flow works.
        world.recovers(party, account)
        assert exchange(world, party, *codes[served]).json()["error"] == "invalid_grant"


# ----- Damaged -----


def cut_in_half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // PAGE_BYTES // 2 * PAGE_BYTES)


def overwrite_the_head(file: Path) -> None:
    with file.open("r+b") as content:
        content.write(b"\0" * 100)


def overwrite_the_middle(file: Path) -> None:
    with file.open("r+b") as content:
        content.seek(file.stat().st_size // PAGE_BYTES // 2 * PAGE_BYTES)
        content.write(os.urandom(4 * PAGE_BYTES))


def empty(file: Path) -> None:
    os.truncate(file, 0)


def put_a_directory_there(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut_in_half, "malformed|damaged"),
        (overwrite_the_head, "not a database"),
        (overwrite_the_middle, "malformed|damaged"),
        (empty, "no tables yet"),
        (put_a_directory_there, "unable to open"),
    ],
)
def test_a_damaged_file_is_refused_at_the_start_with_its_path_and_the_reason(
    sqlite: FaultWorld, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    file = tmp_path / "damaged.db"
    with sqlite3.connect(file_of(sqlite)) as source, sqlite3.connect(file) as copy:
        source.backup(copy)
    copy.close()
    damage(file)
    serve = CommandLine(sqlite.environment | {"TOKENHOUSE_DATABASE_URL": f"sqlite:///{file}"})
    outcome = serve("serve", "--port", str(free_port()))
    assert outcome.exit_code == 1
    assert "Traceback" not in outcome.stderr
    (line,) = [line for line in outcome.stderr.splitlines() if line.startswith("tokenhouse: ")]
    assert any(part in line for part in reason.split("|")), line
    assert str(file) in line


# ----- Copied -----


@contextmanager
def held(world: FaultWorld) -> Iterator[None]:
    """Every process of the server stands still, wherever it is."""
    assert world.server.process is not None
    os.killpg(world.server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(world.server.process.pid, signal.SIGCONT)


def copy_while_busy(world: FaultWorld, directory: Path, *, copies: int) -> None:
    """Copy the files at moments that nobody chose, and look at each copy as a start after a crash would."""
    party, account, browser = world.relying_party(), world.operator.add_user(), world.browser()
    stopped = threading.Event()

    def keep_busy() -> None:
        while not stopped.is_set():
            code, pending = world.get_code(party, account, browser=browser)
            exchange(world, party, code, pending)

    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(keep_busy)
        try:
            for number in range(copies):
                enough = len(world.witness.exchanges) + 2
                eventually(
                    lambda enough=enough: len(world.witness.exchanges) >= enough,  # type: ignore[misc]
                    within_s=20,
                    what="there is traffic",
                )
                told = Witness(exchanges=list(world.witness.exchanges))
                place = directory / f"copy-{number}"
                place.mkdir()
                with held(world):
                    for suffix in ("", "-wal"):
                        shutil.copyfile(f"{file_of(world)}{suffix}", place / f"tokenhouse.db{suffix}")
                check_copy(replace(world, witness=told), place / "tokenhouse.db")
        finally:
            stopped.set()
        busy.result(timeout=30)


def check_copy(told: FaultWorld, file: Path) -> None:
    environment = told.environment | {"TOKENHOUSE_DATABASE_URL": f"sqlite:///{file}"}
    deployment = open_deployment(load_settings(environment), clock=told.clock, pool_size=2)
    try:
        with deployment.database.reading() as connection:
            invariants.check_files(connection)
            invariants.check_one_set_of_tokens_per_code(connection, told)
            invariants.check_answers_are_in_the_database(connection, told)
            invariants.check_nothing_is_granted_in_part(connection)
            invariants.check_audit_trail(connection, told)
            invariants.check_keys(connection)
    finally:
        deployment.close()


def test_a_copy_of_the_files_at_any_moment_holds_all_that_was_told(sqlite: FaultWorld, tmp_path: Path) -> None:
    copy_while_busy(sqlite, tmp_path, copies=5)
    check_invariants(sqlite)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_hundred_copies_of_the_files_hold_all_that_was_told(sqlite: FaultWorld, tmp_path: Path) -> None:
    copy_while_busy(sqlite, tmp_path, copies=100)
    check_invariants(sqlite)


# ----- The line of writers -----


class Refused(Exception):
    """What a rule says no with."""


def test_a_refusal_that_was_judged_by_a_write_that_was_not_kept_is_not_told(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/line.db")
    database.transact(lambda connection: connection.exec_driver_sql("CREATE TABLE spent (code INTEGER PRIMARY KEY)"))
    begun, go_on = threading.Event(), threading.Event()

    def hold_the_line(_connection: Connection) -> None:
        begun.set()
        assert go_on.wait(10)

    def spend(connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO spent VALUES (1)")

    def spend_again(connection: Connection) -> None:
        if connection.exec_driver_sql("SELECT count(*) FROM spent").scalar_one():
            raise Refused

    def find_the_disk_full(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        connection.exec_driver_sql("CREATE TABLE more (content)")
        connection.exec_driver_sql("INSERT INTO more VALUES (randomblob(100000))")

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(database.transact, hold_the_line)
        assert begun.wait(10)
        together = []
        for number, work in enumerate([spend, spend_again, find_the_disk_full], start=1):
            together.append(pool.submit(database.transact, work))
            eventually(lambda n=number: waiting_in_line(database) == n, within_s=5, what="they stand in this order")  # type: ignore[misc]
        go_on.set()
        first.result(timeout=10)
        # Nothing was spent, so nobody is told that it was spent before.
        for attempt in together:
            with pytest.raises(DatabaseUnavailable):
                attempt.result(timeout=10)
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM spent").scalar_one() == 0
    database.dispose()


def waiting_in_line(database: Database) -> int:
    assert database._group_commit is not None
    return len(database._group_commit._line)
