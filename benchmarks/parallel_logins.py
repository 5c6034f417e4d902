"""Two hundred people sign in at once: what memory it takes, whom it keeps waiting, and what machines notice of it.

    .venv/bin/python benchmarks/parallel_logins.py [--json] [--seconds 6]

The server is one process with the settings that it is shipped with. First a machine asks for tokens at a steady pace
(`client_credentials`, 100 a second) while nobody signs in; then it goes on while 200 people post a right password at
the same moment and, where they are told to come back, do so when they are told, as long as that lasts. The people's
side of it runs niced, so that what is measured is the server. Printed are the 99th percentile of the token requests
without and with the people, the memory of the server before and at its peak, and how soon those were told who were
sent away. The program ends with an error where a promise is not kept.
"""

import http.client
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psutil  # type: ignore[import-untyped]

from app.services.deployment import open_deployment
from app.settings import load_settings
from benchmarks.flows import basic_header
from benchmarks.load_generator import server_cores
from benchmarks.login_page import PASSWORD, SETTINGS, Answer, LoginPage, add_people, addresses
from benchmarks.login_timing import authorization_url
from benchmarks.report import Result, make_parser, print_results, progress
from benchmarks.scenario import Scenario
from benchmarks.tokenhouse_server import Deployment

PEOPLE = 200
ACCOUNTS = 40
TOKENS_PER_S = 100
# Beside the hashes themselves: threads, answers, what the allocator keeps.
MEMORY_BESIDE_HASHES_MIB = 64


def ask_for_tokens(origin: str, body: str, headers: dict[str, str], seconds: float) -> list[float]:
    """The time of each token request, at a steady pace: one that comes late is counted from when it was due."""
    connection = http.client.HTTPConnection(urlsplit(origin).netloc, timeout=30)
    took: list[float] = []
    began = time.perf_counter()
    for number in range(int(seconds * TOKENS_PER_S)):
        due = began + number / TOKENS_PER_S
        time.sleep(max(0.0, due - time.perf_counter()))
        connection.request("POST", "/token", body=body, headers=headers)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise SystemExit(f"{response.status} from the token endpoint")
        took.append(time.perf_counter() - due)
    return took


class Memory:
    """The resident memory of a server's processes, looked at all the time."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self.peak_mib = self.now_mib()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def now_mib(self) -> float:
        """At this moment."""
        processes = [self._process, *self._process.children(recursive=True)]
        return float(sum(process.memory_info().rss for process in processes)) / 2**20

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self.peak_mib = max(self.peak_mib, self.now_mib())


def sign_in(page: LoginPage, name: str, address: str, start: threading.Barrier, until: float) -> list[Answer]:
    """One person's tries until they are in, or the time is over."""
    start.wait()
    answers = [page.post(name, PASSWORD, address=address)]
    while answers[-1].status == 503 and time.perf_counter() < until:
        time.sleep(answers[-1].retry_after_s or 1)
        answers.append(page.post(name, PASSWORD, address=address))
    return answers


def with_people(pages: list[LoginPage], names: list[str], seconds: float) -> list[list[Answer]]:
    """All of them at once, for so long at most."""
    address, start, until = addresses(), threading.Barrier(PEOPLE), time.perf_counter() + seconds
    with ThreadPoolExecutor(PEOPLE) as pool:
        waiting = [
            pool.submit(sign_in, page, names[number % len(names)], next(address), start, until)
            for number, page in enumerate(pages)
        ]
        return [future.result() for future in waiting]


def percentile_ms(took: list[float], share: float) -> float:
    """Such that so great a share took no longer."""
    return sorted(took)[min(len(took) - 1, int(len(took) * share))] * 1000


def main() -> None:
    parser = make_parser(__doc__ or "")
    parser.add_argument("--seconds", type=float, default=6.0, help="of token requests, twice (default %(default)s)")
    arguments = parser.parse_args()
    scenario = Scenario()
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(Path(folder) / "ours", **SETTINGS)
        deployment.set_up(scenario, more_grants=True)
        progress(f"adding {ACCOUNTS} people")
        names = add_people(deployment, "person", ACCOUNTS)
        hash_mib = _memory_of_hashes_mib(deployment)
        with deployment.serving(cores=server_cores()) as running:
            results, promises = _measure(running.issuer, running.pid, scenario, names, hash_mib, arguments.seconds)
    notes = [f"{'kept' if kept else 'BROKEN'}: {promise}" for promise, kept in promises.items()]
    print_results("200 people sign in at once", results, as_json=arguments.json, notes=notes)
    if not all(promises.values()):
        raise SystemExit(1)


def _measure(
    issuer: str, pid: int, scenario: Scenario, names: list[str], hash_mib: float, seconds: float
) -> tuple[list[Result], dict[str, bool]]:
    pages = [LoginPage(issuer, authorization_url(issuer, scenario)) for _ in range(PEOPLE)]
    body = urlencode({"grant_type": "client_credentials", "scope": scenario.scope, "resource": scenario.resource})
    name, _, value = basic_header(scenario.machine_id, scenario.machine_secret).strip().partition(": ")
    headers = {"Content-Type": "application/x-www-form-urlencoded", name: value}
    # A process of its own, with nothing else to do: two hundred threads beside it would be measured as the server's.
    with multiprocessing.get_context("spawn").Pool(1) as machine:

        def tokens(how_long_s: float) -> Callable[[], list[float]]:
            return machine.apply_async(ask_for_tokens, (issuer, body, headers, how_long_s)).get

        tokens(1.0)()
        progress("tokens alone")
        idle = tokens(seconds)()
        os.nice(10)
        memory = Memory(pid)
        before_mib = memory.peak_mib
        progress(f"tokens while {PEOPLE} people sign in")
        with memory:
            meanwhile = tokens(seconds)
            time.sleep(0.5)
            people = with_people(pages, names, seconds)
            busy = meanwhile()
    sent_away = [answer for answers in people for answer in answers if answer.status == 503]
    statuses = Counter(answer.status for answers in people for answer in answers)
    idle_ms, busy_ms = percentile_ms(idle, 0.99), percentile_ms(busy, 0.99)
    told = [answer.seconds for answer in sent_away] or [0.0]
    results = [
        Result(name="token request, p99, nobody signs in", ours=idle_ms, unit="ms"),
        Result(name="token request, p99, 200 people sign in", ours=busy_ms, unit="ms"),
        Result(name="token request, median, 200 people sign in", ours=statistics.median(busy) * 1000, unit="ms"),
        Result(name="memory before", ours=before_mib, unit="MiB"),
        Result(name="memory at its peak", ours=memory.peak_mib, unit="MiB"),
        Result(name="memory of the hashes at work", ours=hash_mib, unit="MiB"),
        Result(
            name="sent away, p99 of the time until told",
            ours=percentile_ms(told, 0.99),
            unit="ms",
        ),
    ]
    bound_mib = before_mib + hash_mib + MEMORY_BESIDE_HASHES_MIB
    promises = {
        f"everybody got in or was told to come back: {dict(statuses)}": set(statuses) <= {303, 503},
        "who is sent away is told within a second, and when to come back": all(
            answer.seconds < 1 and answer.retry_after_s for answer in sent_away
        ),
        f"token p99 {busy_ms:.1f} ms is at most the larger of twice {idle_ms:.1f} ms and 20 ms above it": busy_ms
        <= max(2 * idle_ms, idle_ms + 20),
        f"memory {memory.peak_mib:.0f} MiB stays under {bound_mib:.0f} MiB": memory.peak_mib <= bound_mib,
    }
    return results, promises


def _memory_of_hashes_mib(deployment: Deployment) -> float:
    environment = {name: value for name, value in deployment.environment.items() if name.startswith("TOKENHOUSE_")}
    settings = load_settings(environment)
    opened = open_deployment(settings, pool_size=1)
    try:
        return opened.passwords.parameters.memory_kib * settings.password_hash_workers / 1024
    finally:
        opened.close()


if __name__ == "__main__":
    main()
