"""Clients that authenticate themselves by a key (`private_key_jwt`), beside node-oidc-provider.

    .venv/bin/python benchmarks/client_assertions.py [--json] [--seconds 5] [--database-url postgresql://…]

Each server is one process pinned to one core, with the same load from the other core: eight keep-alive connections ask
for a machine's token (client_credentials, an ES256 JWT for one API), each request with an assertion of its own that was
signed beforehand, by ES256 and by RS256. Ours commits the use of the assertion and the audit row of the token to disk,
in one transaction; node-oidc-provider remembers used assertions in memory. Measured in turns, so that a slow moment of
the machine meets both. Printed are rates, the median and the 99th percentile of the time of one request, and the CPU
time that the server spent per request, which unlike the rates hardly feels what else the machine does.
"""

import contextlib
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from app.specs.rfc7515_jose import (
    PrivateKey,
    generate_private_jwk,
    import_private_jwk,
    public_members,
    sign_jws,
)
from app.specs.rfc7523_client_assertion import ASSERTION_TYPE
from benchmarks.flows import discover
from benchmarks.load_generator import LoadError, Operation, form_request, pin_generator, run_load, server_cores
from benchmarks.measured import Measured, results_and_notes
from benchmarks.node_peer import running_node_peer
from benchmarks.report import Result, parse_arguments, print_results, progress
from benchmarks.scenario import Scenario
from benchmarks.tokenhouse_server import Deployment

ALGORITHMS = ("ES256", "RS256")
CONNECTIONS = 8
ROUNDS = 4
# Node compiles what it has run often: until then it is several times slower.
WARM_UP_OPERATIONS = 2500
LONGEST_WARM_UP_S = 15.0
# More than any server here answers; what was signed and not sent is thrown away.
MOST_PER_S = 2500


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMachine:
    """A program that acts for itself, and its key."""

    client_id: str
    alg: str
    key: PrivateKey
    jwks: dict[str, Any]

    @classmethod
    def make(cls, alg: str) -> "KeyMachine":
        jwk = generate_private_jwk(alg)
        return cls(
            client_id=f"hourly-report-{alg.lower()}",
            alg=alg,
            key=import_private_jwk(jwk, is_our_own=True),
            jwks={"keys": [public_members(jwk)]},
        )

    def registration(self, scenario: Scenario) -> dict[str, Any]:
        return {
            "client_id": self.client_id,
            "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": self.alg,
            "jwks": self.jwks,
            "scope": scenario.scope,
            "policy": {"resources": [scenario.resource]},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server."""

    issuer: str
    origin: str
    token_url: str
    pid: int

    def measure(
        self, machine: KeyMachine, scenario: Scenario, measured: Measured, *, seconds: float, operations: int
    ) -> None:
        """Tokens for as many fresh assertions, for at most that long."""
        requests = iter([self._request(machine, scenario, number) for number in range(operations + CONNECTIONS)])

        def operation(_connection: int) -> Operation:
            response = yield next(requests)
            if response.status != 200:
                raise LoadError(f"{response.status} to an assertion: {response.body[:400]!r}")

        measured.time(
            self.pid,
            lambda: run_load(
                self.origin, operation, connections=CONNECTIONS, seconds=seconds, most_operations=operations
            ),
        )

    def _request(self, machine: KeyMachine, scenario: Scenario, number: int) -> bytes:
        now_s = int(time.time())
        claims = {
            "iss": machine.client_id,
            "sub": machine.client_id,
            "aud": self.issuer,
            "jti": f"{time.perf_counter_ns()}-{number}",
            "iat": now_s,
            "exp": now_s + 240,
        }
        form = {
            "grant_type": "client_credentials",
            "scope": scenario.scope.split(" ")[0],
            "resource": scenario.resource,
            "client_id": machine.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": sign_jws({"typ": "JWT"}, json.dumps(claims).encode(), machine.key, machine.alg),
        }
        return form_request(self.token_url, urlencode(form))


@contextlib.contextmanager
def our_server(
    folder: Path, scenario: Scenario, machines: list[KeyMachine], database_url: str | None
) -> Iterator[Server]:
    """Tokenhouse."""
    deployment = Deployment(folder, database_url=database_url)
    deployment.set_up(scenario)
    for machine in machines:
        deployment.command("client", "add", "--from", "-", stdin=json.dumps(machine.registration(scenario)))
    with deployment.serving(cores=server_cores()) as running:
        yield make_server(running.issuer, running.pid)


@contextlib.contextmanager
def node_server(folder: Path, scenario: Scenario, machines: list[KeyMachine]) -> Iterator[Server]:
    """node-oidc-provider."""
    known = [{"client_id": each.client_id, "alg": each.alg, "jwks": each.jwks} for each in machines]
    with running_node_peer(
        scenario, folder=folder, cores=server_cores(), more_grants=True, key_machines=known
    ) as running:
        yield make_server(running.issuer, running.pid)


def make_server(issuer: str, pid: int) -> Server:
    endpoints = discover(issuer)
    return Server(issuer=issuer, origin=endpoints.origin, token_url=endpoints.token, pid=pid)


def main() -> None:
    arguments = parse_arguments(__doc__ or "", seconds=5.0, database_url="an empty PostgreSQL database")
    scenario = Scenario()
    machines = [KeyMachine.make(alg) for alg in ALGORITHMS]
    results: list[Result] = []
    notes: list[str] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        progress("setting up Tokenhouse and node-oidc-provider")
        ours = stack.enter_context(our_server(folder / "ours", scenario, machines, arguments.database_url))
        node = stack.enter_context(node_server(folder, scenario, machines))
        pin_generator()
        for machine in machines:
            progress(f"measuring {machine.alg}")
            took = {ours: Measured(), node: Measured()}
            for server in took:
                server.measure(machine, scenario, Measured(), seconds=LONGEST_WARM_UP_S, operations=WARM_UP_OPERATIONS)
            seconds = arguments.seconds / ROUNDS
            for _, (server, measured) in itertools.product(range(ROUNDS), took.items()):
                server.measure(machine, scenario, measured, seconds=seconds, operations=int(MOST_PER_S * seconds))
            more_results, more_notes = results_and_notes(
                f"client_credentials by private_key_jwt ({machine.alg}), beside node-oidc-provider",
                "tokens/s",
                took[ours],
                took[node],
            )
            results += more_results
            notes += more_notes
    print_results("Client assertions beside node-oidc-provider", results, as_json=arguments.json, notes=notes)


if __name__ == "__main__":
    main()
