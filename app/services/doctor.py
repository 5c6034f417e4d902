"""`tokenhouse doctor`: everything that can be judged from the settings, the keys' directory and the database.

Each check stands alone: one that fails hides none of the others, except where nothing can be seen any more.
"""

import stat
from collections.abc import Iterator
from urllib.parse import urlsplit

from app.services.deployment import DeploymentError, check_identity
from app.services.doctor_client_keys import examine_key_addresses
from app.services.doctor_clients import examine_clients
from app.services.doctor_keys import examine_seals
from app.services.doctor_mail import examine_mail
from app.services.findings import Finding, error, ok, warning
from app.services.hash_password import MINIMUM_MEMORY_KIB
from app.services.seals import Kek, KekError, kek_path, read_kek
from app.settings import Settings
from app.specs.issuer_identifier import is_loopback_host
from app.storage import migrate, schema
from app.storage.database import Connection, Database, DatabaseUnavailable
from app.storage.deployment import DeploymentRow, find_deployment
from app.storage.examine import read_durability
from app.storage.outbox import count_messages

_CLOCK_ERROR_MS = 5_000
_CLOCK_WARNING_MS = 1_000


def examine(settings: Settings, *, now: int) -> tuple[Finding, ...]:
    """Every finding, in the order in which an operator would mend them."""
    return (
        *_examine_issuer(settings),
        *_examine_keys_dir(settings),
        *_examine_database(settings, now=now),
        *examine_key_addresses(settings),
        *examine_mail(settings),
    )


# ----- Settings -----


def _examine_issuer(settings: Settings) -> Iterator[Finding]:
    parts = urlsplit(settings.issuer)
    if settings.is_https:
        yield ok("issuer", f"{settings.issuer} is reached over TLS")
    else:
        yield warning("issuer", f"{settings.issuer} is plain http: only programs on this machine can use it")
    if settings.is_https and not settings.trusted_proxies and not is_loopback_host(parts.hostname or ""):
        yield warning(
            "trusted proxies",
            "none are configured: behind a proxy that ends TLS every request would count as the proxy's, and one "
            "caller's refusals would slow down all; set TOKENHOUSE_TRUSTED_PROXIES, unless the server ends TLS itself",
        )
    if "passkeys" in settings.feature_names and not settings.offers_passkeys:
        yield warning(
            "passkeys",
            f"browsers make none for an address such as {settings.rp_id}, so nobody is offered one here: give the "
            "issuer a host name, or localhost",
        )
    if settings.rate_limits == "off":
        yield warning("rate limits", "they are off: nothing slows down who guesses client secrets")
    if any(network.prefixlen == 0 for network in settings.trusted_proxies):
        yield error("trusted proxies", "the whole internet is trusted to say who is calling")
    if any(network.prefixlen == 0 for network in settings.metrics_networks):
        yield warning("metrics", "the whole internet may read /metrics")


# ----- The keys' directory -----


def _examine_keys_dir(settings: Settings) -> Iterator[Finding]:
    directory, file = settings.keys_dir, kek_path(settings.keys_dir)
    try:
        directory_mode, file_mode = directory.stat().st_mode, file.stat().st_mode
    except OSError as problem:
        yield error("key-encryption key", f"{problem.filename}: {problem.strerror}")
        return
    if stat.S_IMODE(directory_mode) & 0o022:
        yield error("keys directory", f"{directory} can be written by others: run `chmod go-w {directory}`")
    elif stat.S_IMODE(directory_mode) & 0o055:
        yield warning("keys directory", f"{directory} can be listed by others: run `chmod 700 {directory}`")
    else:
        yield ok("keys directory", f"{directory} is the server's alone")
    if stat.S_IMODE(file_mode) & 0o077:
        yield error("key file", f"{file} can be read by others: run `chmod 400 {file}`")


# ----- The database -----


def _examine_database(settings: Settings, *, now: int) -> Iterator[Finding]:
    try:
        database = Database(settings.database_url.get_secret_value(), pool_size=1)
    except DatabaseUnavailable as problem:
        yield error("database", str(problem))
        return
    try:
        with database.reading() as connection:
            yield from _examine_connection(settings, connection, now=now)
    except DatabaseUnavailable as problem:
        yield error("database", f"{database!r} does not answer: {_first_line(problem)}")
    finally:
        database.dispose()


def _examine_connection(settings: Settings, connection: Connection, *, now: int) -> Iterator[Finding]:
    yield _examine_clock(connection, now=now)
    yield from _examine_durability(connection)
    state = schema.read_state(connection)
    if not state.is_served:
        yield error("schema", state.explain())
        return
    differences = migrate.find_differences(connection) if state.state == "current" else ()
    if differences:
        yield error("schema", f"the tables differ from the migrations in {len(differences)} places: {differences[0]}")
    else:
        yield ok("schema", state.explain())
    try:
        schema.check_integrity(connection)
    except schema.SchemaError as problem:
        yield error("database", str(problem))
    row = find_deployment(connection)
    if row is None:
        yield error("deployment", "this database has not been initialised: run `tokenhouse init`")
        return
    yield from _examine_deployment(settings, connection, row, now=now)


def _examine_clock(connection: Connection, *, now: int) -> Finding:
    skew_ms = schema.database_time(connection) - now
    if abs(skew_ms) > _CLOCK_ERROR_MS:
        return error("clock", f"it differs from the database's by {skew_ms / 1000:.1f} s: /readyz is red")
    if abs(skew_ms) > _CLOCK_WARNING_MS:
        return warning("clock", f"it differs from the database's by {skew_ms / 1000:.1f} s")
    return ok("clock", "it agrees with the database's")


def _examine_durability(connection: Connection) -> Iterator[Finding]:
    found = read_durability(connection)
    wanted = {
        # SQLite numbers the levels of `synchronous`: 2 is FULL, 3 is EXTRA.
        "journal_mode": {"wal"},
        "synchronous": {"2", "3"},
        "foreign_keys": {"1"},
        "fsync": {"on"},
        "synchronous_commit": {"on", "local", "remote_write", "remote_apply"},
        "full_page_writes": {"on"},
        "server_encoding": {"UTF8"},
    }
    wrong = {name: value for name, value in found.items() if value not in wanted[name]}
    for name, value in wrong.items():
        yield error("durability", f"the database's {name} is {value}: a commit may be lost, or a name be mangled")
    if not wrong:
        yield ok("durability", ", ".join(f"{name}={value}" for name, value in found.items()))


def _examine_deployment(
    settings: Settings, connection: Connection, row: DeploymentRow, *, now: int
) -> Iterator[Finding]:
    try:
        check_identity(settings, row)
        yield ok("deployment", f"the database belongs to {row.issuer}")
    except DeploymentError as problem:
        yield error("deployment", str(problem))
    if row.argon2_memory_kib < MINIMUM_MEMORY_KIB or row.argon2_time_cost < 2:
        yield error(
            "password hashes", f"m={row.argon2_memory_kib} KiB, t={row.argon2_time_cost} is less than the least"
        )
    kek = _read_kek(settings, row)
    if isinstance(kek, Finding):
        yield kek
    else:
        yield ok("key-encryption key", f"{kek_path(settings.keys_dir)} is this database's ({kek.fingerprint})")
        yield from examine_seals(settings, connection, kek, now=now)
    yield from examine_clients(settings, connection, now=now)
    yield _examine_outbox(connection)


def _examine_outbox(connection: Connection) -> Finding:
    waiting, dead = count_messages(connection)
    if dead:
        return warning(
            "outbox", f"{dead} messages did not arrive and are not tried any more: `tokenhouse outbox list --dead`"
        )
    return ok("outbox", f"{waiting} messages wait to be delivered")


def _read_kek(settings: Settings, row: DeploymentRow) -> Kek | Finding:
    try:
        return read_kek(settings.keys_dir, expected_fingerprint=row.kek_fingerprint)
    except KekError as problem:
        return error("key-encryption key", str(problem))


def _first_line(problem: DatabaseUnavailable) -> str:
    # What the driver said; its class name alone helps nobody.
    cause = getattr(problem.__cause__, "orig", problem.__cause__)
    return (str(cause or problem).strip().splitlines() or [""])[0]
