"""kill -9 of a supervisor and of a worker, and two hundred people who log in at once in little memory."""

import http.client
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.actors.browser import Browser
from tests.actors.http import Reply
from tests.actors.relying_party import Pending, RelyingParty
from tests.deployments import PASSWORD, REAL_HASH, Account
from tests.faults.fault_world import FaultWorld
from tests.faults.invariants import check_invariants
from tests.faults.patience import eventually
from tests.faults.supervised_server import supervised
from tests.memory_bound import bounded_memory, resident_bytes, watched_memory

LOGINS = 200
MIB = 1024 * 1024
# Threads, connections, pages and two hundred requests; one hash without a bound for them all would be 3.8 GB.
ROOM_FOR_REQUESTS = 64 * MIB
HASH_WORKERS = 2


def log_in_ready(node: FaultWorld, party: RelyingParty) -> tuple[Browser, Pending, Reply]:
    """A browser that shows the login page."""
    browser, pending = node.browser(), party.begin()
    return browser, pending, browser.get(pending.url)


def try_log_in(browser: Browser, page: Reply, username: str) -> Reply | None:
    """Press the button; None where the server was killed meanwhile."""
    try:
        return browser.log_in(page, username, PASSWORD)
    except (OSError, http.client.HTTPException):
        return None


def is_alive(process: psutil.Process) -> bool:
    """Whether it still does anything; what has ended may wait to be reaped by an init process that is in no hurry."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def check_answers(replies: list[Reply | None]) -> Counter[int]:
    """Each is in or is told when to come back; how many of each."""
    counted: Counter[int] = Counter()
    for reply in replies:
        if reply is None:
            continue
        counted[reply.status] += 1
        if reply.status == 503:
            assert int(reply.headers["retry-after"]) >= 1
            assert "Traceback" not in reply.text
    assert set(counted) <= {200, 303, 429, 503}, counted
    return counted


# What the pool of hashes holds has nothing to do with the database.
@pytest.mark.parametrize("faulty", ["sqlite"], indirect=True)
def test_two_hundred_logins_at_once_stay_within_the_memory_of_the_password_pool(faulty: FaultWorld) -> None:
    party, account = faulty.relying_party(), faulty.operator.add_user()
    # Everybody comes from elsewhere, and as somebody else: neither an address nor an account is what holds them up.
    with supervised(faulty, trusted_proxies="127.0.0.1") as (node, server):
        here = node.reached_by(party)
        code, pending = node.get_code(here, account)
        waiting = [log_in_ready(node, here) for _ in range(LOGINS)]
        for number, (browser, _, _) in enumerate(waiting):
            browser.headers["X-Forwarded-For"] = f"10.0.{number}.1"
        # Whoever is not known costs a hash, too.
        names = [account.username, *(f"nobody-{number}" for number in range(1, LOGINS))]
        assert server.process is not None
        processes = [psutil.Process(server.process.pid), *server.workers()]
        hashes = HASH_WORKERS * REAL_HASH.memory_kib * 1024
        before = resident_bytes(processes)
        most = before + hashes + ROOM_FOR_REQUESTS
        with bounded_memory(processes, most), watched_memory(processes) as memory, ThreadPoolExecutor(LOGINS) as pool:
            logins = [
                pool.submit(try_log_in, browser, page, name)
                for (browser, _, page), name in zip(waiting, names, strict=True)
            ]
            # Programs are served while people wait for their hashes.
            reply = node.witness.exchange(here, code, pending)
            answers = check_answers([login.result() for login in logins])
        assert reply is not None
        assert reply.status == 200, reply.text
        assert answers.total() == LOGINS, "a login without an answer"
        assert answers[200] + answers[303] > 0, answers
        assert answers[503] > 0, f"nobody was told to come back, so nothing was bounded: {answers}"
        assert memory.peak_bytes <= most, f"{memory.peak_bytes / MIB:.0f} MiB, {before / MIB:.0f} before"
        # The same processes as before: nobody was killed for what they wanted.
        assert [is_alive(process) for process in processes] == [True] * len(processes)
        assert node.serves(here, account)
        check_invariants(faulty, node)


def test_a_worker_killed_in_the_middle_of_logins_and_exchanges_is_replaced_and_nothing_is_half_done(
    faulty: FaultWorld,
) -> None:
    party, account = faulty.relying_party(), faulty.operator.add_user()
    with supervised(faulty) as (node, server):
        here = node.reached_by(party)
        at_work(node, here, account, lambda: [worker.kill() for worker in server.workers()])
        node.recovers(here, account)
        check_invariants(faulty, node)


def test_a_killed_supervisor_takes_its_workers_along_and_the_next_one_serves_what_was_promised(
    faulty: FaultWorld,
) -> None:
    party, account = faulty.relying_party(), faulty.operator.add_user()
    with supervised(faulty, workers=2) as (node, server):
        here = node.reached_by(party)
        orphans: list[psutil.Process] = []
        at_work(node, here, account, lambda: orphans.extend(server.kill_supervisor()))
        assert len(orphans) == 2
        server.start_again()
        assert not [orphan for orphan in orphans if is_alive(orphan)]
        node.recovers(here, account)
        check_invariants(faulty, node)


def at_work(node: FaultWorld, party: RelyingParty, account: Account, kill: Callable[[], object]) -> None:
    """Logins and exchanges from all sides, and in the middle of them `kill()`."""
    browser = node.browser()
    codes = [node.get_code(party, account, browser=browser) for _ in range(8)]
    waiting = [log_in_ready(node, party) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        exchanges = [pool.submit(node.witness.exchange, party, code, pending) for code, pending in codes]
        logins = [pool.submit(try_log_in, browser, page, account.username) for browser, _, page in waiting]
        eventually(lambda: any(exchange.done() for exchange in exchanges), within_s=30, what="one exchange is done")
        kill()
        check_answers([login.result() for login in logins])
        for exchange in exchanges:
            exchange.result()
