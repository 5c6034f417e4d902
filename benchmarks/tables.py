"""Rows and bytes of each table after many tokens, on SQLite and on PostgreSQL, and what a living token costs.

    .venv/bin/python benchmarks/tables.py [--json] [--full] [--refreshes 1500] [--access-tokens 6000]

Tokens come from a running server, over HTTP: first so many rotating refreshes, each of which issues an access token
of a person too, then as many client_credentials tokens as are missing. After each of the two the tables are counted,
while the tokens live, so what they grew by is what a living token costs. `--full` is a million access tokens, 100,000
of them by refresh: about half an hour per database on a machine that has nothing else to do. Tokens live for five
minutes, so most of a million have expired by the end and leave while it runs; what is printed last is what such a
server holds.

`ours` is what the title of the line says, `peer` is empty. The audit trail is counted apart: it is kept for 400 days,
not for a token's life, and says of every token to whom it went. PostgreSQL is the local cluster, or what
TOKENHOUSE_TEST_POSTGRESQL_URL names; without one only SQLite is counted.
"""

import contextlib
import secrets
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from app.storage.tables import metadata
from benchmarks.load_generator import LONGEST_RUN_S, pin_generator
from benchmarks.measured import Measured
from benchmarks.report import Result, make_parser, print_results, progress
from benchmarks.scenario import Scenario
from benchmarks.token_endpoint import TokenEndpoint, machine_request, with_code_flow
from benchmarks.tokenhouse_server import Deployment
from tests.databases import find_postgresql

FULL_ACCESS_TOKENS, FULL_REFRESHES = 1_000_000, 100_000
AUDIT = "audit_events"
FEW_ROWS = 100


@dataclass(frozen=True, slots=True)
class Size:
    """Of one table, its indexes included."""

    rows: int
    size_bytes: int

    def __sub__(self, earlier: "Size") -> "Size":
        return Size(self.rows - earlier.rows, self.size_bytes - earlier.size_bytes)


Sizes = Mapping[str, Size]


def measure_sqlite(path: Path) -> Sizes:
    """Every table, from SQLite's own account of its pages."""
    owners = {name: name for name in metadata.tables}
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for index, table in connection.execute("SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index'"):
            owners[index] = table
        size_bytes = dict.fromkeys(metadata.tables, 0)
        for name, taken in connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"):
            if owners.get(name) in size_bytes:
                size_bytes[owners[name]] += taken
        return {
            name: Size(connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0], size_bytes[name])  # noqa: S608
            for name in metadata.tables
        }


def measure_postgresql(url: str) -> Sizes:
    """Every table with its indexes, after a VACUUM, which gives back nothing but makes the free space known."""
    sizes = {}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
        for name in metadata.tables:
            query = sql.SQL("SELECT count(*), pg_total_relation_size({}::regclass) FROM {}")
            row = connection.execute(query.format(sql.Literal(name), sql.Identifier(name))).fetchone()
            assert row is not None
            sizes[name] = Size(*row)
    return sizes


def issue(server: TokenEndpoint, kind: str, count: int) -> None:
    """So many refreshes, or tokens by client_credentials."""
    run = server.refresh if kind == "refreshes" else server.client_credentials
    done = 0
    while done < count:
        measured = Measured()
        run(measured, seconds=LONGEST_RUN_S, most_operations=min(count - done, 20_000))
        done += sum(report.operations for report in measured.reports)
        progress(f"  {done} of {count} {kind}")


def count_tables(
    title: str, folder: Path, database_url: str | None, *, refreshes: int, machine_tokens: int
) -> list[Result]:
    """The lines for one database."""
    progress(f"{title}: {refreshes} refreshes, {machine_tokens} machine tokens")
    scenario = Scenario()
    deployment = Deployment(folder, database_url=database_url)
    deployment.set_up(scenario, more_grants=True)

    def measure() -> Sizes:
        return measure_postgresql(database_url) if database_url else measure_sqlite(folder / "tokenhouse.db")

    with deployment.serving() as running:
        server = with_code_flow(running.issuer, running.pid, scenario, introspected=machine_request(scenario))
        before = measure()
        issue(server, "refreshes", refreshes)
        refreshed = measure()
        issue(server, "client_credentials", machine_tokens)
        after = measure()
    return [
        *per_token(f"{title}: a refresh", before, refreshed, refreshes),
        *per_token(f"{title}: a machine's token", refreshed, after, machine_tokens),
        *every_table(title, after),
    ]


def per_token(title: str, before: Sizes, after: Sizes, count: int) -> Iterator[Result]:
    """What grew, divided by how many were issued."""
    for name, size in after.items():
        grown = size - before[name]
        if grown.rows > count // 100:
            yield Result(name=f"{title}, {name}, rows", ours=grown.rows / count, unit="rows")
            yield Result(name=f"{title}, {name}", ours=grown.size_bytes / count, unit="bytes")
    living = sum((after[name] - before[name]).size_bytes for name in after if name != AUDIT)
    yield Result(name=f"{title}, all tables but the audit trail", ours=living / count, unit="bytes")


def every_table(title: str, sizes: Sizes) -> Iterator[Result]:
    """Those with more rows than a deployment begins with, the largest first, and all others together."""
    large = {name: size for name, size in sizes.items() if size.rows > FEW_ROWS}
    for name, size in sorted(large.items(), key=lambda item: -item[1].size_bytes):
        yield Result(name=f"{title}: {name} in the end, rows", ours=size.rows, unit="rows")
        yield Result(name=f"{title}: {name} in the end", ours=size.size_bytes / 1e3, unit="kB")
    others = [size for name, size in sizes.items() if name not in large]
    yield Result(name=f"{title}: {len(others)} other tables, rows", ours=sum(size.rows for size in others), unit="rows")
    yield Result(
        name=f"{title}: {len(others)} other tables", ours=sum(size.size_bytes for size in others) / 1e3, unit="kB"
    )


@contextlib.contextmanager
def postgresql_database() -> Iterator[str | None]:
    """The URL of an empty database, gone afterwards; None where there is no PostgreSQL."""
    server = find_postgresql()
    if server is None:
        yield None
        return
    name = f"tokenhouse_bench_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield make_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def main() -> None:
    parser = make_parser(__doc__ or "")
    parser.add_argument("--full", action="store_true", help="a million access tokens, 100,000 of them by refresh")
    parser.add_argument("--access-tokens", type=int, default=6000, help="how many (default %(default)s)")
    parser.add_argument("--refreshes", type=int, default=1500, help="how many of them by refresh (default %(default)s)")
    arguments = parser.parse_args()
    if arguments.full:
        arguments.access_tokens, arguments.refreshes = FULL_ACCESS_TOKENS, FULL_REFRESHES
    counts = {
        "refreshes": arguments.refreshes,
        "machine_tokens": max(1, arguments.access_tokens - arguments.refreshes),
    }
    pin_generator()
    results = []
    notes = []
    with tempfile.TemporaryDirectory() as name, postgresql_database() as postgresql:
        results += count_tables("SQLite", Path(name) / "sqlite", None, **counts)
        if postgresql is not None:
            results += count_tables("PostgreSQL", Path(name) / "postgresql", postgresql, **counts)
        else:
            notes.append("no PostgreSQL here: run `make services`, or set TOKENHOUSE_TEST_POSTGRESQL_URL")
    print_results("Rows and bytes", results, as_json=arguments.json, notes=notes)


if __name__ == "__main__":
    main()
