"""How soon APIs that check offline refuse a revoked token, and what knowing it costs.

    .venv/bin/python benchmarks/revocation.py [--json] [--tokens 100000] [--database-url URL]

A server with 100,000 living tokens, each on a grant of its own, and three verifiers (`AccessTokenVerifier`), each in
a process of its own, without a database and with the default intervals. One grant is revoked while each of them
verifies its token fifty times a second. Printed:
- the time from the start of the revocation until all three refuse the token (aim: under 5 s);
- how many of the other tokens were refused afterwards, over all three (aim: none);
- the bytes of the signed list on the wire, as it was, with one token revoked and with a thousand;
- what looking into the list adds to a check, in one of these verifiers (aim: under 1 us);
- what the database holds per living token of a person, indices included; a machine's token is no row.

The tokens are made without HTTP, by the services: places from `StatusAllocator`, rows by `app/storage`, the issuer's
own key. `--database-url` names an empty PostgreSQL database; the default is SQLite in a temporary folder.
"""

import json
import multiprocessing
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import orjson

from app.services.account_names import username_key
from app.services.allocate_status import TokenStatus
from app.services.deployment import Deployment as Services
from app.services.deployment import open_deployment
from app.services.grant_snapshot import GrantSnapshot
from app.services.identifiers import new_grant_id, random_bytes
from app.services.issue_tokens import encode_jti
from app.services.manage_grants import revoke_grant
from app.settings import load_settings
from app.specs.rfc4648_base64url import decode_base64url
from app.specs.rfc7515_jose import sign_jws
from app.specs.rfc9068_access_token import TYP, build_claims
from app.specs.token_status_list import parse_status_claim, status_claim
from app.storage.database import Connection
from app.storage.grants import GrantRow, insert_access_token, insert_grant
from app.storage.users import find_user_by_name
from app.verifier import AccessTokenVerifier, InvalidToken
from benchmarks.report import Result, parse_arguments, print_results, progress
from benchmarks.scenario import Scenario
from benchmarks.timing import time_calls_us
from benchmarks.tokenhouse_server import Deployment

VERIFIERS = 3
LOOKS_PER_S = 50
LONGEST_WAIT_S = 60.0
TOKEN_LIFETIME_S = 3600
ROWS_PER_TRANSACTION = 2000
MANY = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Living tokens, each on a grant of its own, and what their rows take."""

    tokens: list[str]
    grant_ids: list[str]
    bytes_per_token: float


def issue_crowd(services: Services, scenario: Scenario, count: int) -> Crowd:
    """`count` tokens of one person, as `issue_tokens` makes them; their grants are not counted."""
    with services.database.reading() as connection:
        user = find_user_by_name(connection, username_key(scenario.username))
    client = services.registry.find_client(scenario.client_id)
    if user is None or client is None:
        raise RuntimeError("the scenario was not set up")
    grant_ids = [new_grant_id() for _ in range(count)]
    snapshot = GrantSnapshot(scope={scenario.resource: tuple(scenario.scope.split(" "))}).to_document()
    now = services.clock()

    def add_grant(connection: Connection, number: int) -> None:
        row = GrantRow(
            grant_id=grant_ids[number],
            user_id=user.id,
            client_pk=client.pk,
            session_id=None,
            parent_grant_id=None,
            snapshot=snapshot,
            duration="until_revoked",
            policy_version=1,
            created_at=now,
            expires_at=now + 86_400_000,
            revoked_at=None,
        )
        insert_grant(connection, row)

    progress(f"signing {count:,} tokens")
    made = [make_token(services, scenario, sub=user.sub, client_id=client.client_id, now=now) for _ in range(count)]

    def add_token(connection: Connection, number: int) -> None:
        _, jti, status = made[number]
        insert_access_token(
            connection,
            jti=jti,
            grant_id=grant_ids[number],
            expires_at=now + TOKEN_LIFETIME_S * 1000,
            status_list_pk=status.status_list_pk,
            status_index=status.index,
        )

    progress("storing them")
    in_transactions(services, count, add_grant)
    before = stored_bytes(services)
    in_transactions(services, count, add_token)
    per_token = (stored_bytes(services) - before) / count
    return Crowd(tokens=[token for token, _, _ in made], grant_ids=grant_ids, bytes_per_token=per_token)


def make_token(
    services: Services, scenario: Scenario, *, sub: str, client_id: str, now: int
) -> tuple[str, bytes, TokenStatus]:
    jti, status = random_bytes(16), services.status_allocator.allocate(client_pk=None)
    claims = build_claims(
        issuer=services.issuer,
        subject=sub,
        audience=scenario.resource,
        client_id=client_id,
        scope=scenario.scope,
        issued_at_s=now // 1000,
        expires_at_s=now // 1000 + TOKEN_LIFETIME_S,
        jti=encode_jti(jti),
        extra={"status": status_claim(status.uri, status.index)},
    )
    token = sign_jws({"typ": TYP}, orjson.dumps(claims), services.get_signing_key("ES256"), "ES256")
    return token, jti, status


def in_transactions(services: Services, count: int, add: Callable[[Connection, int], None]) -> None:
    for first in range(0, count, ROWS_PER_TRANSACTION):
        numbers = range(first, min(first + ROWS_PER_TRANSACTION, count))
        services.database.transact(lambda connection, numbers=numbers: [add(connection, n) for n in numbers])


def stored_bytes(services: Services) -> int:
    """Of the whole database: between two looks nothing grows but what is measured."""
    with services.database.reading() as connection:
        if services.database.is_sqlite:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            return int(pages * connection.exec_driver_sql("PRAGMA page_size").scalar_one())
        return int(connection.exec_driver_sql("SELECT pg_total_relation_size('access_tokens')").scalar_one())


# ----- A verifier in a process of its own -----


def run_verifier(pipe: Pipe, issuer: str, audience: str, path: Path, victim: int) -> None:
    """Check everything, then wait until the victim is refused, then check everything again."""
    tokens: list[str] = json.loads(path.read_text())
    verifier = AccessTokenVerifier(issuer=issuer, audience=audience, require_status=True)
    pipe.send(count_refused(verifier, tokens))
    pipe.recv()
    pause, refused_at = threading.Event(), None
    deadline = time.monotonic() + LONGEST_WAIT_S
    while refused_at is None and time.monotonic() < deadline:
        if count_refused(verifier, [tokens[victim]]):
            refused_at = time.monotonic()
        pause.wait(1 / LOOKS_PER_S)
    pipe.send(refused_at)
    pipe.recv()
    pipe.send(count_refused(verifier, tokens[:victim] + tokens[victim + 1 :]))
    pipe.send(status_check_us(verifier, tokens[0]))


def count_refused(verifier: AccessTokenVerifier, tokens: Sequence[str]) -> int:
    refused = 0
    for token in tokens:
        try:
            verifier.verify(token)
        except InvalidToken:
            refused += 1
    return refused


def status_check_us(verifier: AccessTokenVerifier, token: str) -> float:
    claims = verifier.verify(token)
    lists, reference = verifier._status_lists, parse_status_claim(claims.claims)
    if lists is None or reference is None:
        raise RuntimeError("the token has no status")
    now_s, expires_at_s = time.time(), claims.expires_at_s
    calls: dict[str, Callable[[], object]] = {
        "status": lambda: lists.check(reference, token_expires_at_s=expires_at_s, now_s=now_s, wait=True)
    }
    return time_calls_us(calls, seconds=5, clock=time.process_time)["status"]


# ----- The measurement -----


def measure(services: Services, crowd: Crowd, scenario: Scenario, folder: Path) -> list[Result]:
    tokens_file, victim = folder / "tokens.json", len(crowd.tokens) // 2
    tokens_file.write_text(json.dumps(crowd.tokens))
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(VERIFIERS):
        here, there = context.Pipe()
        arguments = (there, services.issuer, scenario.resource, tokens_file, victim)
        processes.append(context.Process(target=run_verifier, args=arguments, daemon=True))
        pipes.append(here)
    for process in processes:
        process.start()
    progress(f"{VERIFIERS} verifiers check every token")
    refused_before = sum(pipe.recv() for pipe in pipes)
    bytes_before = list_bytes(crowd.tokens[victim])
    for pipe in pipes:
        pipe.send("look")
    progress("revoking one grant")
    started = time.monotonic()
    revoke_grant(services, crowd.grant_ids[victim])
    refused_at = [pipe.recv() for pipe in pipes]
    if None in refused_at:
        raise RuntimeError(f"not refused within {LONGEST_WAIT_S} s")
    bytes_after = list_bytes(crowd.tokens[victim])
    for pipe in pipes:
        pipe.send("check the others")
    refused_after, cost_us = [], []
    for pipe in pipes:
        refused_after.append(pipe.recv())
        cost_us.append(pipe.recv())
    for process in processes:
        process.join()
    progress(f"revoking {MANY:,} more")
    for grant_id in crowd.grant_ids[: min(MANY, victim)]:
        revoke_grant(services, grant_id)
    bytes_many = wait_for_other_bytes(crowd.tokens[0], than=bytes_after)
    others = f"{len(crowd.tokens) - 1:,} others"
    return [
        Result(name=f"until all {VERIFIERS} verifiers refuse the token", ours=max(refused_at) - started, unit="s"),
        Result(name="until the first of them does", ours=min(refused_at) - started, unit="s"),
        Result(name="refused before, of all tokens", ours=refused_before, unit="tokens"),
        Result(name=f"refused afterwards, of the {others}", ours=sum(refused_after), unit="tokens"),
        Result(name="the signed list, none revoked", ours=bytes_before, unit="bytes"),
        Result(name="the signed list, one revoked", ours=bytes_after, unit="bytes"),
        Result(name=f"the signed list, {MANY:,} revoked", ours=bytes_many, unit="bytes"),
        Result(name="looking into the list, per check", ours=min(cost_us), unit="us"),
        Result(name="stored per living token of a person", ours=crowd.bytes_per_token, unit="bytes"),
    ]


def list_bytes(token: str) -> int:
    uri = json.loads(decode_base64url(token.split(".")[1].encode()))["status"]["status_list"]["uri"]
    with urllib.request.urlopen(uri, timeout=10) as answer:
        return len(answer.read())


def wait_for_other_bytes(token: str, *, than: int) -> int:
    """The list's size once what was revoked last is on it too."""
    pause, seen = threading.Event(), than
    for _ in range(20):
        pause.wait(1)
        size = list_bytes(token)
        if size != than and size == seen:
            return size
        seen = size
    raise RuntimeError("the list does not change")


def main() -> None:
    arguments = parse_arguments(
        __doc__ or "", tokens=100_000, database_url="an empty PostgreSQL database instead of SQLite in a folder"
    )
    scenario = Scenario()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        deployment = Deployment(folder / "ours", database_url=arguments.database_url)
        progress("setting up Tokenhouse")
        deployment.set_up(scenario)
        services = open_deployment(load_settings(deployment.environment))
        try:
            with deployment.serving():
                crowd = issue_crowd(services, scenario, arguments.tokens)
                results = measure(services, crowd, scenario, folder)
        finally:
            services.close()
    notes = ["A machine's token is stored nowhere; its client's blocks of 16 to 4,096 take one row each."]
    print_results("Revocation that reaches offline verifiers", results, as_json=arguments.json, notes=notes)


if __name__ == "__main__":
    main()
