"""The token endpoint's other grants and introspection, beside node-oidc-provider and django-oauth-toolkit.

    .venv/bin/python benchmarks/token_endpoint.py [--json] [--seconds 5] [--database-url postgresql://…]

Every server is one process pinned to one core, with the same load from the other core: eight keep-alive connections.
- rotating refresh: each connection has a refresh token and trades it for the next one. Ours commits each step to disk
  (SQLite with synchronous=FULL unless --database-url says otherwise); node-oidc-provider keeps everything in memory;
  django-oauth-toolkit writes to a database of the same kind, as durable as ours.
- client_credentials: an ES256 JWT from ours and from node-oidc-provider, an opaque token from django-oauth-toolkit.
  Ours is measured twice: with an audit row on disk per token (the default), and with rows written in batches.
- introspection by a client with a secret, of one living access token: at ours a JWT, whose signature is checked, and an
  opaque one, which is looked up; an opaque one at the peers (node-oidc-provider does not introspect JWTs).

django-oauth-toolkit hashes client secrets like people's passwords, with PBKDF2: measured with that default and with
the cheapest hasher that Django has. It and ours run in the same WSGI host (Granian). Measured in turns, so that a slow
moment of the machine meets all of them. Printed are rates, the median and the 99th percentile of the time of one
request, and the CPU time that the server spent per request, which unlike the rates hardly feels what else the machine
does.
"""

import contextlib
import copy
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from benchmarks.django_peer import running_django_peer
from benchmarks.flows import SignedInBrowsers, basic_header, discover
from benchmarks.load_generator import (
    LoadError,
    Operation,
    OperationFactory,
    Repeat,
    form_request,
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
# Node compiles what it has run often: until then it is several times slower.
WARM_UP_OPERATIONS = 2500
LONGEST_WARM_UP_S = 15.0
# At a third of a second of CPU per request, more rounds would only be longer.
SLOW_ROUNDS = 1


class TokenEndpoint:
    """A running server, what its clients send, and the refresh tokens that they have."""

    def __init__(
        self,
        *,
        origin: str,
        pid: int,
        scenario: Scenario,
        token_url: str,
        introspection_url: str,
        refresh_tokens: list[str],
        machine_request: dict[str, str],
        introspected: dict[str, str],
    ) -> None:
        self.origin = origin
        self.pid = pid
        self._token_url = token_url
        self._introspection_url = introspection_url
        self._refresh_tokens = refresh_tokens
        self._party = basic_header(scenario.client_id, scenario.client_secret)
        self._machine = basic_header(scenario.machine_id, scenario.machine_secret)
        self._machine_request = machine_request
        self._introspected = introspected

    def refresh(self, measured: Measured, *, seconds: float, most_operations: int | None = None) -> None:
        """Each connection's refresh token for the next one, again and again."""
        self._timed(self._rotation(), measured, seconds=seconds, most_operations=most_operations)

    def client_credentials(self, measured: Measured, *, seconds: float, most_operations: int | None = None) -> None:
        """A machine's token, again and again."""
        request = form_request(self._token_url, self._form(self._machine_request), headers=self._machine)
        self._timed(Repeat(request), measured, seconds=seconds, most_operations=most_operations)

    def introspection(self, measured: Measured, *, seconds: float, most_operations: int | None = None) -> None:
        """What one living token is good for, again and again."""
        token = self._answer(self._token_url, self._form(self._introspected), self._machine)["access_token"]
        body = urlencode({"token": token})
        assert self._answer(self._introspection_url, body, self._machine)["active"] is True
        request = form_request(self._introspection_url, body, headers=self._machine)
        self._timed(Repeat(request), measured, seconds=seconds, most_operations=most_operations)

    def introspecting(self, introspected: dict[str, str]) -> "TokenEndpoint":
        """The same server, to be asked about the token that a machine gets for this request."""
        other = copy.copy(self)
        other._introspected = introspected
        return other

    def _form(self, more: dict[str, str]) -> str:
        return urlencode({"grant_type": "client_credentials", **more})

    def _rotation(self) -> OperationFactory:
        tokens = self._refresh_tokens

        def operation(connection: int) -> Operation:
            body = f"grant_type=refresh_token&refresh_token={tokens[connection]}"
            response = yield form_request(self._token_url, body, headers=self._party)
            if response.status != 200:
                raise LoadError(f"{response.status} to a refresh: {response.body[:400]!r}")
            following = json.loads(response.body)["refresh_token"]
            if following == tokens[connection]:
                raise LoadError("the refresh token was not rotated")
            tokens[connection] = following

        return operation

    def _answer(self, url: str, body: str, headers: str) -> dict[str, object]:
        answers = []

        def operation(_connection: int) -> Operation:
            response = yield form_request(url, body, headers=headers)
            answers.append(response)

        run_load(self.origin, operation, connections=1, seconds=30, most_operations=1)
        if answers[0].status != 200:
            raise LoadError(f"{answers[0].status} from {url}: {answers[0].body[:400]!r}")
        document: dict[str, object] = json.loads(answers[0].body)
        return document

    def _timed(
        self,
        operation: OperationFactory | Repeat,
        measured: Measured,
        *,
        seconds: float,
        most_operations: int | None = None,
    ) -> None:
        measured.time(
            self.pid,
            lambda: run_load(
                self.origin, operation, connections=CONNECTIONS, seconds=seconds, most_operations=most_operations
            ),
        )


class Measurement(Protocol):
    """One of `TokenEndpoint`'s loads, for a time or a count, whichever is reached first."""

    def __call__(
        self, server: TokenEndpoint, measured: Measured, /, *, seconds: float, most_operations: int | None = None
    ) -> None: ...


MEASUREMENTS: dict[str, tuple[str, Measurement]] = {
    "rotating refresh": ("refreshes/s", TokenEndpoint.refresh),
    "client_credentials": ("tokens/s", TokenEndpoint.client_credentials),
    "introspection": ("requests/s", TokenEndpoint.introspection),
}


@contextlib.contextmanager
def our_server(folder: Path, scenario: Scenario, database_url: str | None, **settings: str) -> Iterator[TokenEndpoint]:
    """Tokenhouse, set up and logged into."""
    deployment = Deployment(folder, database_url=database_url, **settings)
    deployment.set_up(scenario, more_grants=True)
    with deployment.serving(cores=server_cores()) as running:
        yield with_code_flow(running.issuer, running.pid, scenario, introspected=machine_request(scenario))


@contextlib.contextmanager
def node_server(folder: Path, scenario: Scenario) -> Iterator[TokenEndpoint]:
    """node-oidc-provider."""
    with running_node_peer(scenario, folder=folder, cores=server_cores(), more_grants=True) as running:
        # Without a resource its token is opaque, and so one that it introspects.
        yield with_code_flow(running.issuer, running.pid, scenario, introspected={})


@contextlib.contextmanager
def django_server(
    folder: Path, scenario: Scenario, database_url: str | None, *, cheap_hasher: bool
) -> Iterator[TokenEndpoint]:
    """django-oauth-toolkit, with its default hasher of client secrets or a cheap one."""
    with running_django_peer(
        scenario,
        folder=folder,
        cheap_hasher=cheap_hasher,
        refresh_tokens=CONNECTIONS,
        cores=server_cores(),
        database_url=database_url,
    ) as running:
        yield TokenEndpoint(
            origin=running.origin,
            pid=running.pid,
            scenario=scenario,
            token_url=f"{running.origin}/o/token/",
            introspection_url=f"{running.origin}/o/introspect/",
            refresh_tokens=list(running.refresh_tokens),
            machine_request={"scope": "read"},
            introspected={"scope": "read"},
        )


def with_code_flow(issuer: str, pid: int, scenario: Scenario, *, introspected: dict[str, str]) -> TokenEndpoint:
    """A server that people log in to, which is how its clients come by refresh tokens."""
    endpoints = discover(issuer)
    browsers = SignedInBrowsers(endpoints, scenario, count=CONNECTIONS, openid=False)
    if endpoints.introspection is None:
        raise LoadError(f"{issuer} publishes no introspection endpoint")
    return TokenEndpoint(
        origin=endpoints.origin,
        pid=pid,
        scenario=scenario,
        token_url=endpoints.token,
        introspection_url=endpoints.introspection,
        refresh_tokens=browsers.refresh_tokens(),
        machine_request=machine_request(scenario),
        introspected=introspected,
    )


def machine_request(scenario: Scenario) -> dict[str, str]:
    """What a machine asks for to get a JWT for one API."""
    return {"resource": scenario.resource, "scope": scenario.scope.split(" ")[0]}


def main() -> None:
    arguments = parse_arguments(
        __doc__ or "",
        seconds=5.0,
        database_url="a PostgreSQL server's database, which must be empty: Tokenhouse uses it, and three more are made "
        "beside it for the others",
    )
    scenario = Scenario()
    results: list[Result] = []
    notes: list[str] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        more = stack.enter_context(more_databases(arguments.database_url, ["batched", "cheap", "shipped"]))
        progress("setting up Tokenhouse twice, node-oidc-provider, and django-oauth-toolkit twice")
        ours = stack.enter_context(our_server(folder / "ours", scenario, arguments.database_url))
        batched = stack.enter_context(
            our_server(folder / "batched", scenario, more["batched"], machine_token_audit="batched")
        )
        node = stack.enter_context(node_server(folder, scenario))
        cheap = stack.enter_context(django_server(folder / "cheap", scenario, more["cheap"], cheap_hasher=True))
        shipped = stack.enter_context(django_server(folder / "shipped", scenario, more["shipped"], cheap_hasher=False))
        pin_generator()
        for name, (unit, measure) in MEASUREMENTS.items():
            progress(f"measuring {name}")
            servers = {"ours": ours, "node": node, "cheap": cheap}
            if name == "client_credentials":
                servers["batched"] = batched
            if name == "introspection":
                servers["opaque"] = ours.introspecting(
                    {**machine_request(scenario), "resource": scenario.opaque_resource}
                )
            took = {each: Measured() for each in (*servers, "shipped")}
            for server in servers.values():
                measure(server, Measured(), seconds=LONGEST_WARM_UP_S, most_operations=WARM_UP_OPERATIONS)
            for _ in range(ROUNDS):
                for each, server in servers.items():
                    measure(server, took[each], seconds=arguments.seconds / ROUNDS)
            for _ in range(SLOW_ROUNDS):
                measure(shipped, took["shipped"], seconds=arguments.seconds / ROUNDS)
            for title, mine, peer in comparisons(name, took):
                more_results, more_notes = results_and_notes(title, unit, mine, peer)
                results += more_results
                notes += more_notes
    title = "The token endpoint beside node-oidc-provider and django-oauth-toolkit"
    print_results(title, results, as_json=arguments.json, notes=notes)


def comparisons(name: str, took: dict[str, Measured]) -> Iterator[tuple[str, Measured, Measured]]:
    """The title, ours and the peer's, of each pair that is printed."""
    yield f"{name}, beside node-oidc-provider", took["ours"], took["node"]
    if "opaque" in took:
        yield f"{name} of an opaque token, beside node-oidc-provider", took["opaque"], took["node"]
    if "batched" in took:
        yield f"{name} with batched audit, beside node-oidc-provider", took["batched"], took["node"]
    yield f"{name}, beside django-oauth-toolkit as shipped", took["ours"], took["shipped"]
    yield f"{name}, beside django-oauth-toolkit with a cheap hasher", took["ours"], took["cheap"]


@contextlib.contextmanager
def more_databases(database_url: str | None, names: list[str]) -> Iterator[dict[str, str | None]]:
    """The URL of an empty database for each name, beside the given one, gone afterwards; None where that is None."""
    if database_url is None:
        yield dict.fromkeys(names)
        return
    given = make_url(database_url)
    urls = {name: given.set(database=f"{given.database}_{name}") for name in names}
    with psycopg.connect(database_url, autocommit=True) as connection:
        try:
            for url in urls.values():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(url.database or "")))
            yield {name: url.render_as_string(hide_password=False) for name, url in urls.items()}
        finally:
            for url in urls.values():
                name = sql.Identifier(url.database or "")
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


if __name__ == "__main__":
    main()
