"""A deployment to do harm to: its servers, its faults, and the witness of what the clients were told."""

import copy
import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.actors.http import Reply, send
from tests.actors.relying_party import Pending, RelyingParty
from tests.clock import MovableClock
from tests.deployments import REAL_HASH, Account, Operator, make_deployment, make_environment
from tests.faults.faulty_server import Faults
from tests.faults.patience import eventually
from tests.server import ServerProcess, free_port
from tests.world import World

RECOVERS_WITHIN_S = 30


@dataclass(frozen=True, slots=True)
class Exchange:
    """A code that was presented, and the answer; None where the connection broke first."""

    code: str = field(repr=False)
    reply: Reply | None


@dataclass(frozen=True, slots=True)
class Renewal:
    """A refresh token that was presented, and the answer; None where the connection broke first."""

    refresh_token: str = field(repr=False)
    reply: Reply | None


@dataclass
class Witness:
    """What the clients of a test saw."""

    exchanges: list[Exchange] = field(default_factory=list)
    renewals: list[Renewal] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def exchange(self, party: RelyingParty, code: str, pending: Pending) -> Reply | None:
        """Present a code, and remember what came of it."""
        try:
            reply = party.try_exchange(code, pending)
        except (OSError, http.client.HTTPException):
            reply = None
        with self._lock:
            self.exchanges.append(Exchange(code, reply))
        return reply

    def refresh(self, party: RelyingParty, refresh_token: str, **changes: str) -> Reply | None:
        """Present a refresh token, and remember what came of it."""
        try:
            reply = party.try_refresh(refresh_token, **changes)
        except (OSError, http.client.HTTPException):
            reply = None
        with self._lock:
            self.renewals.append(Renewal(refresh_token, reply))
        return reply

    @property
    def replies(self) -> list[Reply]:
        """Every answer of the token endpoint."""
        answers = [exchange.reply for exchange in self.exchanges] + [renewal.reply for renewal in self.renewals]
        return [reply for reply in answers if reply is not None]


@dataclass
class FaultWorld(World):
    """A world whose server can be made to fail."""

    faults: Faults
    witness: Witness

    def another_node(self) -> "FaultWorld":
        """The same deployment, to be served by a second process of its own; not started yet."""
        server = replace(self.server, port=free_port(), log_path=self.server.log_path.with_suffix(".2"), process=None)
        return replace(self, server=server)

    def reached_by(self, party: RelyingParty) -> RelyingParty:
        """The same client, sending its requests to this node."""
        here = copy.copy(party)
        here.server_url = self.url
        return here

    def restart(self) -> None:
        """Start anew what was killed, without the fault that killed it."""
        self.faults.clear()
        self.server.kill()
        self.server.start()

    def try_get(self, path: str) -> Reply:
        """GET from this node."""
        return send(self.url + path)

    def serves(self, party: RelyingParty, account: Account) -> bool:
        """Whether a whole new flow works right now, and its token is good here."""
        try:
            code, pending = self.get_code(party, account)
        except (AssertionError, OSError, http.client.HTTPException):
            return False
        reply = self.witness.exchange(party, code, pending)
        return reply is not None and reply.status == 200

    def recovers(self, party: RelyingParty, account: Account, *, within_s: float = RECOVERS_WITHIN_S) -> None:
        """I7: recovers without hand work once the cause has ended."""
        eventually(lambda: self.serves(party, account), within_s=within_s, what="a whole flow works again")


@contextmanager
def fault_world(
    directory: Path, database_url: str, *, threads: int = 8, has_housekeeping: bool = True, **settings: str
) -> Iterator[FaultWorld]:
    """A new deployment with one running server, ended afterwards."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    environment = make_environment(
        issuer=issuer, database_url=database_url, directory=directory, rate_limits="off", **settings
    )
    faults = Faults(directory / "faults")
    faults.directory.mkdir()
    if not has_housekeeping:
        faults.stop_housekeeping()
    clock = MovableClock(directory / "clock")
    operator = Operator(make_deployment(environment, argon2=REAL_HASH), clock=clock)
    server = ServerProcess(
        environment=environment | faults.variables,
        port=port,
        clock_path=clock.path,
        threads=threads,
        log_path=directory / "server.log",
    )
    try:
        server.start()
        yield FaultWorld(
            issuer=issuer,
            server=server,
            operator=operator,
            clock=clock,
            environment=environment,
            faults=faults,
            witness=Witness(),
        )
    finally:
        server.stop()
        operator.close()
