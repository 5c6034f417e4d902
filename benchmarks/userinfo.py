"""Signed userinfo and the discovery document, beside node-oidc-provider.

    .venv/bin/python benchmarks/userinfo.py [--json] [--seconds 5]

Either server is one process pinned to one core, with the same load from the other core: eight keep-alive connections.
The client registered `userinfo_signed_response_alg` RS256 with both, and asks again and again with one living access
token for `openid profile email`. Ours checks the token's own signature (a JWT), and looks up in SQLite that nothing
that it hangs on has ended, and what is known of the person; node-oidc-provider looks its opaque token up in memory.
Measured in turns. Printed are rates, the median and the 99th percentile of the time of one request, and the CPU time
that the server spent per request, which unlike the rates hardly feels what else the machine does.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.flows import Endpoints, SignedInBrowsers, discover
from benchmarks.load_generator import LoadError, Operation, Repeat, get_request, pin_generator, run_load, server_cores
from benchmarks.measured import Measured, results_and_notes
from benchmarks.node_peer import running_node_peer
from benchmarks.report import Result, parse_arguments, print_results, progress
from benchmarks.scenario import Scenario
from benchmarks.tokenhouse_server import Deployment

CONNECTIONS = 8
ROUNDS = 4
# Node compiles what it has run often: until then it is several times slower.
WARM_UP_OPERATIONS = 2500
LONGEST_WARM_UP_S = 15.0
CLIENT = {"userinfo_signed_response_alg": "RS256"}


class Server:
    """A running server, and the request of each measurement."""

    def __init__(self, issuer: str, pid: int, scenario: Scenario) -> None:
        endpoints = discover(issuer)
        self.origin = endpoints.origin
        self.pid = pid
        self.requests = {
            "signed userinfo": signed_userinfo(endpoints, scenario),
            "discovery": get_request(endpoints.metadata),
        }

    def measure(self, name: str, measured: Measured, *, seconds: float, most_operations: int | None = None) -> None:
        """One measurement, for a time or a count, whichever is reached first."""
        load = Repeat(self.requests[name])
        measured.time(
            self.pid,
            lambda: run_load(
                self.origin, load, connections=CONNECTIONS, seconds=seconds, most_operations=most_operations
            ),
        )


def signed_userinfo(endpoints: Endpoints, scenario: Scenario) -> bytes:
    """The request with a living token, which has been answered with a JWT once."""
    browsers = SignedInBrowsers(endpoints, scenario, count=1, openid=True, for_userinfo=True)
    run_load(endpoints.origin, browsers.authorize_and_exchange(), connections=1, seconds=30, most_operations=1)
    token = browsers.token_response()["access_token"]
    if endpoints.userinfo is None:
        raise LoadError(f"{endpoints.issuer} publishes no userinfo endpoint")
    request = get_request(endpoints.userinfo, headers=f"Authorization: Bearer {token}\r\n")

    def once(_connection: int) -> Operation:
        response = yield request
        media_type = response.header("content-type") or ""
        if response.status != 200 or not media_type.startswith("application/jwt") or response.body.count(b".") != 2:
            raise LoadError(f"{response.status} and no JWT from userinfo: {response.body[:400]!r}")

    run_load(endpoints.origin, once, connections=1, seconds=30, most_operations=1)
    return request


@contextlib.contextmanager
def our_server(folder: Path, scenario: Scenario) -> Iterator[Server]:
    """Tokenhouse, set up and logged into."""
    deployment = Deployment(folder)
    deployment.set_up(scenario, client_metadata=CLIENT)
    with deployment.serving(cores=server_cores()) as running:
        yield Server(running.issuer, running.pid, scenario)


@contextlib.contextmanager
def node_server(folder: Path, scenario: Scenario) -> Iterator[Server]:
    """node-oidc-provider."""
    with running_node_peer(scenario, folder=folder, cores=server_cores(), client_metadata=CLIENT) as running:
        yield Server(running.issuer, running.pid, scenario)


def main() -> None:
    arguments = parse_arguments(__doc__ or "", seconds=5.0)
    scenario = Scenario()
    results: list[Result] = []
    notes: list[str] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        progress("setting up Tokenhouse and node-oidc-provider")
        ours = stack.enter_context(our_server(folder / "ours", scenario))
        peer = stack.enter_context(node_server(folder, scenario))
        pin_generator()
        for name in ours.requests:
            progress(f"measuring {name}")
            took = {ours: Measured(), peer: Measured()}
            for server in took:
                server.measure(name, Measured(), seconds=LONGEST_WARM_UP_S, most_operations=WARM_UP_OPERATIONS)
            for _ in range(ROUNDS):
                for server, measured in took.items():
                    server.measure(name, measured, seconds=arguments.seconds / ROUNDS)
            more_results, more_notes = results_and_notes(name, "requests/s", took[ours], took[peer])
            results += more_results
            notes += more_notes
    print_results("Userinfo and discovery beside node-oidc-provider", results, as_json=arguments.json, notes=notes)


if __name__ == "__main__":
    main()
