"""Fixtures that most tests use: a running server on each database, shared by the tests of one process."""

import gc
import hashlib
import ssl
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple
from pathlib import Path

import pytest
from sqlalchemy import delete

from app.services.hash_password import Argon2Parameters
from app.storage.database import Database
from app.storage.tables import login_throttle
from tests.actors.logout_receiver import LogoutReceiver
from tests.actors.mail_server import MailServer
from tests.actors.statement_issuer import statement_issuers_setting
from tests.clock import MovableClock
from tests.databases import BACKENDS, close_databases, migrated_database_url
from tests.deployments import CHEAP_HASH, Operator, make_deployment, make_environment
from tests.requirements.catalogue import Matrix, Requirement, requirements_of
from tests.scratch import keep_files_in_memory
from tests.server import ServerProcess, free_port
from tests.services.other_host import CertificateAuthority
from tests.world import MailWorld, World

keep_files_in_memory()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Ten thousand tests stay until the end: looking for garbage among them, again and again, takes seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """The end of a run, or of a process that takes part in it; whatever fixtures opened is closed by now."""
    close_databases()


@pytest.fixture(scope="session", params=BACKENDS)
def shared_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One server per database and test process. Its rate limits are off: hundreds of tests misbehave at it."""
    directory = tmp_path_factory.mktemp("world")
    with migrated_database_url(request.param, directory) as database_url:
        yield from run_world(directory, database_url, rate_limits="off")


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """The shared server, with the clock set right afterwards."""
    yield shared_world
    shared_world.clock.reset()
    # Every test comes from one address: what one of them did wrong must not keep the next one from logging in.
    forget_failed_logins(shared_world.operator.deployment.database)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """Whoever vouches for the applications' own servers."""
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session", params=BACKENDS)
def shared_reaching_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority
) -> Iterator[World]:
    """One server per database and test process that may go to applications on this machine.

    It knows every way in which a client can authenticate itself, and clients as lax as OpenID Connect allows.
    """
    directory = tmp_path_factory.mktemp("reaching")
    with migrated_database_url(request.param, directory) as database_url:
        yield from run_world(
            directory,
            database_url,
            rate_limits="off",
            outbound_allowed_networks="127.0.0.1/32",
            outbound_ca_bundle=str(authority.bundle),
            profile="openid",
            sealed_client_secrets="on",
        )


@pytest.fixture
def reaching_world(shared_reaching_world: World) -> Iterator[World]:
    """That server, with the clock set right afterwards."""
    yield shared_reaching_world
    shared_reaching_world.clock.reset()
    forget_failed_logins(shared_reaching_world.operator.deployment.database)


@pytest.fixture(scope="session")
def receiver_tls(authority: CertificateAuthority) -> ssl.SSLContext:
    """The TLS of the applications' servers."""
    return authority.serve("127.0.0.1")


@pytest.fixture
def receiver(receiver_tls: ssl.SSLContext) -> Iterator[LogoutReceiver]:
    """The applications' own servers, which nobody has told anything yet."""
    with LogoutReceiver(receiver_tls) as running:
        yield running


@pytest.fixture(scope="session", params=BACKENDS)
def shared_registration_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority
) -> Iterator[World]:
    """A server that is open to clients that register themselves, under the profile that such clients know."""
    directory = tmp_path_factory.mktemp("registration")
    with migrated_database_url(request.param, directory) as database_url:
        yield from run_world(
            directory,
            database_url,
            registration="open",
            software_statement_issuers=statement_issuers_setting(),
            profile="openid",
            rate_limits="off",
            outbound_allowed_networks="127.0.0.1/32",
            outbound_ca_bundle=str(authority.bundle),
        )


@pytest.fixture
def registration_world(shared_registration_world: World) -> Iterator[World]:
    """The shared server where registration is open, with the clock set right afterwards."""
    yield shared_registration_world
    shared_registration_world.clock.reset()
    forget_failed_logins(shared_registration_world.operator.deployment.database)


@pytest.fixture(scope="session")
def breached_passwords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of the passwords that attackers know, of which two are good ones otherwise."""
    path = tmp_path_factory.mktemp("breached") / "passwords.txt"
    known = ["violet harbour umbrella nine", "maybe gravel otter lantern", *(f"junk number {n}" for n in range(500))]
    digests = sorted(hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest() for password in known)
    path.write_text("".join(f"{digest.upper()}:{len(digest)}\r\n" for digest in digests))
    return path


@pytest.fixture(scope="session")
def shared_mail_server() -> Iterator[MailServer]:
    """Whoever takes the mail of the servers that send any."""
    with MailServer() as server:
        yield server


@pytest.fixture(scope="session")
def shared_mail_worlds(
    tmp_path_factory: pytest.TempPathFactory, shared_mail_server: MailServer, breached_passwords: Path
) -> Iterator[Callable[[str], MailWorld]]:
    """By database: a server that sends mail, where people may make accounts, and which knows attackers' passwords."""
    worlds: dict[str, MailWorld] = {}
    with ExitStack() as stack:

        def get(backend: str) -> MailWorld:
            if backend not in worlds:
                directory = tmp_path_factory.mktemp("mail")
                running = run_world(
                    directory,
                    stack.enter_context(migrated_database_url(backend, directory)),
                    rate_limits="off",
                    smtp_url=f"smtp://127.0.0.1:{shared_mail_server.port}",
                    mail_from="Meadow <door@meadow.example>",
                    signup="on",
                    breached_passwords=str(breached_passwords),
                )
                world = stack.enter_context(contextmanager(lambda: running)())
                worlds[backend] = MailWorld(**vars(world), mail=shared_mail_server)
            return worlds[backend]

        yield get


@pytest.fixture
def mail_world(shared_mail_worlds: Callable[[str], MailWorld]) -> Iterator[MailWorld]:
    """That server on SQLite, with the clock set right afterwards."""
    yield from _lend_mail_world(shared_mail_worlds("sqlite"))


@pytest.fixture(params=BACKENDS)
def each_mail_world(
    request: pytest.FixtureRequest, shared_mail_worlds: Callable[[str], MailWorld]
) -> Iterator[MailWorld]:
    """That server on each database: for what a database decides."""
    yield from _lend_mail_world(shared_mail_worlds(request.param))


def _lend_mail_world(world: MailWorld) -> Iterator[MailWorld]:
    yield world
    world.clock.reset()
    forget_failed_logins(world.operator.deployment.database)


def forget_failed_logins(database: Database) -> None:
    """As if the window of throttling had passed."""
    database.transact(lambda connection: connection.execute(delete(login_throttle)))


def run_world(
    directory: Path,
    database_url: str,
    *,
    failpoint: str = "",
    origin: str | None = None,
    issuer_path: str = "",
    threads: int = 8,
    argon2: Argon2Parameters = CHEAP_HASH,
    **settings: str,
) -> Iterator[World]:
    """A server on a new deployment, ended afterwards. `origin`: the issuer's name where it is not the socket's."""
    port = free_port()
    issuer = (origin or f"http://127.0.0.1:{port}") + issuer_path
    environment = make_environment(issuer=issuer, database_url=database_url, directory=directory, **settings)
    clock = MovableClock(directory / "clock")
    operator = Operator(make_deployment(environment, argon2=argon2), clock=clock)
    server = ServerProcess(
        environment=environment,
        port=port,
        clock_path=clock.path,
        failpoint=failpoint,
        threads=threads,
        log_path=directory / "server.log",
    )
    try:
        server.start()
        yield World(issuer=issuer, server=server, operator=operator, clock=clock, environment=environment)
    finally:
        server.stop()
        operator.close()


# ----- The requirement matrix: `pytest --requirements` -----


def pytest_addoption(parser: pytest.Parser) -> None:
    """Who wants the matrix asks for it."""
    parser.addoption("--requirements", action="store_true", help="print which test shows which sentence of which spec")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test carries its requirements into its report, also from another process."""
    for item in items:
        marked = (Requirement(*mark.args) for mark in item.iter_markers("requirement"))
        for requirement in (*marked, *requirements_of(item.nodeid)):
            item.user_properties.append(("requirement", astuple(requirement)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The matrix, after everything else."""
    if not config.getoption("--requirements"):
        return
    matrix = Matrix()
    for result in ("passed", "skipped", "failed"):
        for report in terminalreporter.getreports(result):
            for name, value in getattr(report, "user_properties", ()):
                if name == "requirement" and (report.when == "call" or result != "passed"):
                    matrix.note(Requirement(*value), report.nodeid, result)
    terminalreporter.section("requirements")
    for line in matrix.lines():
        terminalreporter.line(line)
