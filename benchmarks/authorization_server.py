"""The authorization server's endpoints, beside node-oidc-provider.

    .venv/bin/python benchmarks/authorization_server.py [--json] [--seconds 5] [--database-url postgresql://…]

Both servers are one process pinned to one core, with the same client (client_secret_basic, PKCE S256), the same API
(ES256 JWT access tokens by resource indicators) and the load of the same generator on the other core. Ours is durable
(SQLite with synchronous=FULL unless --database-url says otherwise); the peer keeps everything in memory. Measured, in
turns so that a slow moment of the machine meets both:
- GET of the OpenID metadata and of the key set;
- the code exchange at `/token`, with codes that were obtained before the clock ran;
- single sign-on: a browser that is logged in and has consented asks for a code (with all redirects up to the client's)
  and the client exchanges it; one such flow counts once, however many requests it takes;
- both of the latter with `openid` too, which adds an RS256 ID token.

Printed are rates (more is better), the median and the 99th percentile of the time of one operation under that load, and
the CPU time that the server spent per operation, which unlike the rates hardly feels what else the machine does.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.flows import Endpoints, SignedInBrowsers, discover
from benchmarks.load_generator import (
    LoadReport,
    Repeat,
    get_request,
    pin_generator,
    run_load,
    server_cores,
)
from benchmarks.measured import Measured, results_and_notes
from benchmarks.node_peer import running_node_peer
from benchmarks.report import Result, parse_arguments, print_results, progress
from benchmarks.scenario import Scenario
from benchmarks.tokenhouse_server import Deployment

CONNECTIONS = 8
ROUNDS = 4
CODES_PER_BATCH = 200  # exchanged within a second or two: codes live for 60 s
WARM_UP_S = 1.0


class Server:
    """A running server with its logged-in browsers."""

    def __init__(self, issuer: str, pid: int, scenario: Scenario) -> None:
        self.pid = pid
        self.endpoints: Endpoints = discover(issuer)
        self._browsers = {
            openid: SignedInBrowsers(self.endpoints, scenario, count=CONNECTIONS, openid=openid)
            for openid in (False, True)
        }

    def get(self, url: str, measured: Measured, *, seconds: float) -> None:
        self._timed(
            lambda: run_load(
                self.endpoints.origin,
                Repeat(get_request(url)),
                connections=CONNECTIONS,
                seconds=seconds,
            ),
            measured,
        )

    def sign_on(self, measured: Measured, *, openid: bool, seconds: float) -> None:
        browsers = self._browsers[openid]
        self._timed(
            lambda: run_load(
                self.endpoints.origin,
                browsers.authorize_and_exchange(),
                connections=CONNECTIONS,
                seconds=seconds,
            ),
            measured,
        )

    def exchange(self, measured: Measured, *, openid: bool, seconds: float) -> None:
        """Batches of codes are obtained and exchanged in turn until `seconds` were spent on exchanging."""
        browsers = self._browsers[openid]
        spent = 0.0
        while spent < seconds:
            run_load(
                self.endpoints.origin,
                browsers.authorize(),
                connections=CONNECTIONS,
                seconds=30,
                most_operations=CODES_PER_BATCH,
            )
            spent += self._timed(
                lambda: run_load(
                    self.endpoints.origin,
                    browsers.exchange(),
                    connections=CONNECTIONS,
                    seconds=30,
                    most_operations=CODES_PER_BATCH,
                ),
                measured,
            )

    def warm_up(self) -> None:
        """Both compile or fill caches in their first moments; what is measured is the state after that."""
        run_load(
            self.endpoints.origin,
            self._browsers[True].authorize_and_exchange(),
            connections=CONNECTIONS,
            seconds=WARM_UP_S,
        )

    def _timed(self, load: Callable[[], LoadReport], measured: Measured) -> float:
        return measured.time(self.pid, load)


def measurements(seconds: float) -> dict[str, tuple[str, Callable[[Server, Measured], None]]]:
    """Name → unit and how to measure it on a server."""
    each = seconds / ROUNDS
    return {
        "metadata": ("requests/s", lambda server, into: server.get(server.endpoints.metadata, into, seconds=each)),
        "jwks": ("requests/s", lambda server, into: server.get(server.endpoints.jwks, into, seconds=each)),
        "code exchange": (
            "exchanges/s",
            lambda server, into: server.exchange(into, openid=False, seconds=each),
        ),
        "code exchange with ID token": (
            "exchanges/s",
            lambda server, into: server.exchange(into, openid=True, seconds=each),
        ),
        "SSO authorize + exchange": (
            "flows/s",
            lambda server, into: server.sign_on(into, openid=False, seconds=each),
        ),
        "SSO authorize + exchange with ID token": (
            "flows/s",
            lambda server, into: server.sign_on(into, openid=True, seconds=each),
        ),
    }


@contextlib.contextmanager
def both_servers(folder: Path, database_url: str | None) -> Iterator[tuple[Server, Server]]:
    """Ours and the peer, each pinned to the server's core, warm."""
    scenario = Scenario()
    deployment = Deployment(folder / "ours", database_url=database_url)
    progress("setting up Tokenhouse and node-oidc-provider")
    deployment.set_up(scenario)
    with (
        deployment.serving(cores=server_cores()) as tokenhouse,
        running_node_peer(scenario, folder=folder, cores=server_cores()) as node,
    ):
        pin_generator()
        ours = Server(tokenhouse.issuer, tokenhouse.pid, scenario)
        peer = Server(node.issuer, node.pid, scenario)
        for server in (ours, peer):
            server.warm_up()
        yield ours, peer


def main() -> None:
    arguments = parse_arguments(
        __doc__ or "", seconds=5.0, database_url="let Tokenhouse use this (empty) PostgreSQL database"
    )
    results: list[Result] = []
    notes: list[str] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        both_servers(Path(folder), arguments.database_url) as (ours, peer),
    ):
        for name, (unit, measure) in measurements(arguments.seconds).items():
            progress(f"measuring {name}")
            of_ours, of_peer = Measured(), Measured()
            for _ in range(ROUNDS):
                measure(peer, of_peer)
                measure(ours, of_ours)
            more_results, more_notes = results_and_notes(name, unit, of_ours, of_peer)
            results += more_results
            notes += more_notes
    print_results("Tokenhouse beside node-oidc-provider", results, as_json=arguments.json, notes=notes)


if __name__ == "__main__":
    main()
