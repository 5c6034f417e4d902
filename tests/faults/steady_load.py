"""A crowd that sends a mixture of requests at a given pace, and an eye on what the server uses meanwhile."""

import http.client
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import psutil

from tests.actors.browser import Browser
from tests.actors.http import Reply
from tests.actors.machine import Machine
from tests.actors.refreshing import GRANT_TYPES, refresh_token_of
from tests.actors.relying_party import RelyingParty
from tests.deployments import Account
from tests.faults.fault_world import FaultWorld

# One login, three codes, four refreshes and two introspections of every ten, in an order that mixes them.
MIXTURE = ("refresh", "code", "introspect", "refresh", "code", "refresh", "login", "introspect", "code", "refresh")
# Well before an access token ends.
RENEW_AFTER_S = 120
# Each costs a hash.
MOST_ACCOUNTS = 8


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that did not do what it was for; without an answer where the connection broke."""

    kind: str
    reply: Reply | None
    broken_by: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.reply.status if self.reply else self.broken_by}"


class Unanswered(Exception):
    """What came was no success; it carries the answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass
class LoadResult:
    """What came of one run."""

    seconds: float = 0.0
    by_kind: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    @property
    def done(self) -> int:
        """How many did what they were for."""
        return self.by_kind.total()

    @property
    def per_s(self) -> float:
        """How many of them a second."""
        return self.done / self.seconds


@dataclass
class Person:
    """Somebody who is logged in, with an application that has their refresh token."""

    world: FaultWorld
    party: RelyingParty
    api_server: Machine
    account: Account
    browser: Browser
    refresh_token: str = field(repr=False)
    access_token: str = field(repr=False)
    renew_at: float = field(default_factory=lambda: time.monotonic() + RENEW_AFTER_S)

    def do(self, kind: str) -> None:
        """One thing of that kind. Raises `Unanswered`, or what broke the connection."""
        doings: dict[str, Callable[[], None]] = {
            "login": lambda: self._get_code(self._new_browser()),
            "code": lambda: self._get_code(self.browser),
            "refresh": self._refresh,
            "introspect": self._introspect,
        }
        doings[kind]()

    def _new_browser(self) -> Browser:
        browser = self.world.browser()
        browser.headers.update(self.browser.headers)
        return browser

    def _get_code(self, browser: Browser) -> None:
        pending = self.party.begin()
        page = _expect(browser.get(pending.url), 200, 303)
        if 'id="login-form"' in page.text:
            page = _expect(browser.log_in(page, self.account.username, self.account.password), 200, 303)
        if 'id="consent-form"' in page.text:
            page = browser.consent(page)
        code = self.party.read_callback(_expect(page, 303), pending)
        _expect(self.party.try_exchange(code, pending), 200)

    def _refresh(self) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": self.refresh_token}
        answer = _expect(self.party.ask_for_tokens(form), 200).json()
        self.refresh_token, self.access_token = answer["refresh_token"], answer["access_token"]
        self.renew_at = time.monotonic() + RENEW_AFTER_S

    def _introspect(self) -> None:
        # Whoever did nothing for a while has a token that has expired.
        if time.monotonic() > self.renew_at:
            self._refresh()
        reply = _expect(self.api_server.introspect(self.access_token), 200)
        assert reply.json()["active"] is True, "a token that was given a moment ago is not good"


@dataclass
class Crowd:
    """The people; one thread for each."""

    people: list[Person]

    @classmethod
    def gather(cls, world: FaultWorld, *, people: int) -> "Crowd":
        """A login for everybody. Each comes from elsewhere; in a large crowd some share an account."""
        party = world.relying_party(grant_types=GRANT_TYPES)
        accounts = [world.operator.add_user() for _ in range(MOST_ACCOUNTS)]
        # An application may ask about its own tokens.
        api_server = Machine.of(party)

        def gather_one(number: int) -> Person:
            browser, account = world.browser(), accounts[number % len(accounts)]
            browser.headers["X-Forwarded-For"] = f"10.0.{number}.1"
            code, pending = world.get_code(party, account, browser=browser)
            tokens = party.exchange(code, pending)
            return Person(world, party, api_server, account, browser, refresh_token_of(tokens), tokens.access_token)

        return cls([gather_one(number) for number in range(people)])

    def sign_in_together(self, people: int) -> LoadResult:
        """A login of each at the same moment, so that every thread that hashes passwords has done so once."""
        together, result = threading.Barrier(people), LoadResult()

        def sign_in(person: Person) -> None:
            together.wait()
            failure = _try(person, "login")
            if failure is None:
                result.by_kind["login"] += 1
            else:
                result.failures.append(failure)

        with ThreadPoolExecutor(people) as pool:
            list(pool.map(sign_in, self.people[:people]))
        return result

    def run(self, *, seconds: float, per_s: float | None, people: int) -> LoadResult:
        """So many a second, by so many people; as fast as they get answers where that is None.

        Whoever is late because the server is slow catches up as fast as it lets them.
        """
        result, numbers, lock = LoadResult(), count(), threading.Lock()
        began = time.monotonic()

        def take_part(person: Person) -> None:
            pause = threading.Event()
            while True:
                number = next(numbers)
                due = began + number / per_s if per_s else time.monotonic()
                if max(due, time.monotonic()) > began + seconds:
                    return
                pause.wait(max(0.0, due - time.monotonic()))
                kind = MIXTURE[number % len(MIXTURE)]
                failure = _try(person, kind)
                with lock:
                    if failure is None:
                        result.by_kind[kind] += 1
                    else:
                        result.failures.append(failure)

        with ThreadPoolExecutor(people) as pool:
            list(pool.map(take_part, self.people[:people]))
        result.seconds = time.monotonic() - began
        return result


def _try(person: Person, kind: str) -> Failure | None:
    try:
        person.do(kind)
    except Unanswered as error:
        return Failure(kind, error.reply)
    except (OSError, http.client.HTTPException) as error:
        return Failure(kind, None, repr(error))
    return None


def _expect(reply: Reply, *statuses: int) -> Reply:
    if reply.status not in statuses:
        raise Unanswered(reply)
    return reply


@dataclass
class Resources:
    """What the server used, look by look."""

    resident_bytes: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)

    def grown_bytes(self) -> int:
        """How much more memory it has in the last third of the time than in the first."""
        first, last = _thirds(self.resident_bytes)
        return int(statistics.median(last) - statistics.median(first))

    def grown_descriptors(self) -> int:
        """How many more descriptors it needs at least; requests that are under way come and go."""
        first, last = _thirds(self.descriptors)
        return min(last) - max(first)

    def grown_connections(self) -> int:
        """The same, of the connections to the database; on SQLite those are descriptors."""
        first, last = _thirds(self.connections)
        return min(last) - max(first)


@contextmanager
def watched(world: FaultWorld) -> Iterator[Resources]:
    """Looks at the world's server and its children five times a second."""
    assert world.server.process is not None
    supervisor = psutil.Process(world.server.process.pid)
    processes = [supervisor, *supervisor.children(recursive=True)]
    resources, ended = Resources(), threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            resources.resident_bytes.append(sum(process.memory_info().rss for process in processes))
            resources.descriptors.append(sum(process.num_fds() for process in processes))
            resources.connections.append(_database_connections(world))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield resources
    finally:
        ended.set()
        thread.join(timeout=10)


def _database_connections(world: FaultWorld) -> int:
    database = world.operator.deployment.database
    if database.is_sqlite:
        return 0
    with database.reading() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        return int(connection.exec_driver_sql(query).scalar_one())


def _thirds(looks: list[int]) -> tuple[list[int], list[int]]:
    assert len(looks) >= 6, "hardly looked at"
    third = len(looks) // 3
    return looks[:third], looks[-third:]
