"""The question that the project answers: what does it cost an API to know who is calling?

    .venv/bin/python benchmarks/why_tokens.py [--json] [--seconds 2] [--database-url postgresql://…]

One call is authenticated in each of the ways that an API has, on one core:
- by a password sent with every request: Argon2id at OWASP's least (19 MiB, t=2, p=1), and at the setting that
  `tokenhouse init` would choose on this machine;
- by an opaque token that is looked up in a database: HMAC-SHA-256 of the token, one row by primary key among 100,000
  (client, subject, scope, expiry, revoked), and the same judgements as below. SQLite through the bare driver with a
  prepared statement, which is the cheapest that a lookup can be; PostgreSQL with `--database-url`, where the time is
  that of the whole round trip, since the API waits for it;
- by a JWT verified offline: `AccessTokenVerifier.verify`, complete.

"ours" is the JWT verified offline in every row. Times are of the fastest of many batches. The lookup in a local file
can be faster than a signature check; what it cannot do is work on a second machine, or while the database is away.
"""

import hashlib
import hmac
import os
import secrets
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from argon2 import PasswordHasher

from app.services.hash_password import Argon2Parameters, calibrate, hash_password
from benchmarks.load_generator import server_cores
from benchmarks.report import Result, parse_arguments, print_results, progress
from benchmarks.signed_token import SCOPE, make_token
from benchmarks.timing import time_calls_us
from benchmarks.verification import our_check

TOKENS = 100_000
REQUIRED_SCOPE = SCOPE.split(" ")[0]
DIGEST_KEY = secrets.token_bytes(32)
PASSWORD = "correct horse battery staple"

Check = Callable[[], object]
Row = tuple[bytes, str, str, str, int, int | None]


def password_check(parameters: Argon2Parameters) -> Check:
    stored = hash_password(parameters, PASSWORD)
    hasher = PasswordHasher()  # verification takes its cost from the stored hash
    return lambda: hasher.verify(stored, PASSWORD)


def sqlite_check(folder: Path, tokens: list[str]) -> Check:
    database = sqlite3.connect(folder / "tokens.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(
        "CREATE TABLE token (digest BLOB PRIMARY KEY, client_id TEXT, subject TEXT, scope TEXT, expires_at INTEGER,"
        " revoked_at INTEGER) WITHOUT ROWID"
    )
    database.execute("BEGIN")
    database.executemany("INSERT INTO token VALUES (?, ?, ?, ?, ?, ?)", (_row(token) for token in tokens))
    database.execute("COMMIT")
    statement = "SELECT client_id, subject, scope, expires_at, revoked_at FROM token WHERE digest = ?"
    presented = _in_turn(tokens)
    return lambda: _judge(database.execute(statement, (_digest(presented()),)).fetchone())


def postgresql_check(url: str, tokens: list[str]) -> Check:
    connection = psycopg.connect(url, autocommit=True, prepare_threshold=0)
    connection.execute(
        "CREATE TEMPORARY TABLE token (digest BYTEA PRIMARY KEY, client_id TEXT, subject TEXT, scope TEXT,"
        " expires_at BIGINT, revoked_at BIGINT)"
    )
    with connection.cursor().copy("COPY token FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["bytea", "text", "text", "text", "int8", "int8"])
        for token in tokens:
            copy.write_row(_row(token))
    connection.execute("ANALYZE token")
    statement = "SELECT client_id, subject, scope, expires_at, revoked_at FROM token WHERE digest = %s"
    presented = _in_turn(tokens)
    return lambda: _judge(connection.execute(statement, (_digest(presented()),)).fetchone())


def _judge(row: tuple[str, str, str, int, int | None] | None) -> tuple[str, str]:
    """What an API has to know of a row: that it is there, lives, and has the scope."""
    if row is None or row[4] is not None or row[3] <= time.time() or REQUIRED_SCOPE not in row[2].split(" "):
        raise PermissionError("the token is not valid")
    return row[0], row[1]


def _row(token: str) -> Row:
    subject = "u" + secrets.token_hex(13)
    return _digest(token), "photo-printing-service", subject, SCOPE, int(time.time()) + 3600, None


def _digest(token: str) -> bytes:
    return hmac.digest(DIGEST_KEY, token.encode("ascii"), hashlib.sha256)


def _in_turn(tokens: list[str]) -> Callable[[], str]:
    """A different token at each call, so that no cache below us answers for one row only."""
    at = 0

    def present() -> str:
        nonlocal at
        at = (at + 7919) % len(tokens)
        return tokens[at]

    return present


def main() -> None:
    arguments = parse_arguments(
        __doc__ or "", seconds=2.0, database_url="also look opaque tokens up in this PostgreSQL database"
    )
    os.sched_setaffinity(0, server_cores())
    progress("calibrating Argon2id as `tokenhouse init` does")
    chosen = calibrate()
    tokens = [f"th_at_{secrets.token_urlsafe(36)}" for _ in range(TOKENS)]
    with tempfile.TemporaryDirectory() as folder:
        contestants: dict[str, Check] = {
            "password, Argon2id m=19 MiB t=2 p=1": password_check(Argon2Parameters()),
            f"password, Argon2id of `init` (m={chosen.memory_kib // 1024} MiB t={chosen.time_cost} p=1)": (
                password_check(chosen)
            ),
            "opaque token looked up in SQLite": sqlite_check(Path(folder), tokens),
        }
        if arguments.database_url:
            contestants["opaque token looked up in PostgreSQL"] = postgresql_check(arguments.database_url, tokens)
        offline = "JWT (ES256) verified offline"
        progress(f"timing {len(contestants) + 1} ways, {arguments.seconds:g} s each")
        spent_us = time_calls_us(
            {offline: our_check(make_token("ES256")), **contestants},
            seconds=arguments.seconds,
            clock=time.perf_counter,
        )
    ours_us = spent_us.pop(offline)
    results = [
        Result(name=f"time per call, beside {name}", ours=ours_us, peer=peer_us, unit="us")
        for name, peer_us in spent_us.items()
    ]
    results += [
        Result(name=f"calls on one core, beside {name}", ours=1e6 / ours_us, peer=1e6 / peer_us, unit="calls/s")
        for name, peer_us in spent_us.items()
    ]
    print_results("Knowing who calls an API; ours: a JWT (ES256) verified offline", results, as_json=arguments.json)


if __name__ == "__main__":
    main()
