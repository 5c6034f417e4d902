"""The deployments that the faults are done to: one per database and test process, mended after each test."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.actors.mail_server import MailServer
from tests.databases import BACKENDS
from tests.faults.fault_world import FaultWorld, Witness, fault_world
from tests.postgresql_cluster import PostgresqlCluster, running_cluster
from tests.services.other_host import CertificateAuthority

# Restarts and hundreds of requests at once take their time on a busy machine: lost answers may be asked for as long.
PATIENT = {"refresh_token_retry_window_s": "60"}


@pytest.fixture(scope="session")
def cluster() -> Iterator[PostgresqlCluster]:
    """A PostgreSQL server that only these tests use."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def mail_server() -> Iterator[MailServer]:
    """Whoever takes these servers' mail."""
    with MailServer() as server:
        yield server


@pytest.fixture(scope="session")
def reaching(authority: CertificateAuthority, mail_server: MailServer) -> dict[str, str]:
    """What lets these servers go to applications on this machine, and what takes their mail."""
    return {
        "outbound_allowed_networks": "127.0.0.1/32",
        "outbound_ca_bundle": str(authority.bundle),
        "smtp_url": f"smtp://127.0.0.1:{mail_server.port}",
        "mail_from": "door@meadow.example",
    }


@pytest.fixture(scope="session")
def shared_sqlite(tmp_path_factory: pytest.TempPathFactory, reaching: dict[str, str]) -> Iterator[FaultWorld]:
    """A deployment on SQLite with its server."""
    directory = tmp_path_factory.mktemp("sqlite")
    with fault_world(directory, f"sqlite:///{directory}/tokenhouse.db", **PATIENT, **reaching) as world:
        yield world


@pytest.fixture(scope="session")
def shared_postgresql(
    cluster: PostgresqlCluster, tmp_path_factory: pytest.TempPathFactory, reaching: dict[str, str]
) -> Iterator[FaultWorld]:
    """A deployment on PostgreSQL with its server."""
    directory = tmp_path_factory.mktemp("postgresql")
    with fault_world(directory, cluster.make_database(), **PATIENT, **reaching) as world:
        yield world


@pytest.fixture
def sqlite(shared_sqlite: FaultWorld) -> Iterator[FaultWorld]:
    """The deployment on SQLite with a new witness; what is wrong with it is mended afterwards."""
    yield from _lend(shared_sqlite)


@pytest.fixture
def postgresql(shared_postgresql: FaultWorld) -> Iterator[FaultWorld]:
    """The deployment on PostgreSQL with a new witness; what is wrong with it is mended afterwards."""
    yield from _lend(shared_postgresql)


@pytest.fixture(params=BACKENDS)
def faulty(request: pytest.FixtureRequest) -> FaultWorld:
    """Either of them: the test runs on each."""
    world: FaultWorld = request.getfixturevalue(request.param)
    return world


@pytest.fixture
def other_node(faulty: FaultWorld, second_servers: dict[str, Any]) -> FaultWorld:
    """A second process that serves the same deployment, with the same witness."""
    node: FaultWorld = second_servers.setdefault(faulty.issuer, faulty.another_node())
    if node.server.process is None:
        node.server.start()
    node.witness = faulty.witness
    return node


@pytest.fixture
def alone(faulty: FaultWorld, second_servers: dict[str, Any]) -> FaultWorld:
    """The deployment while one node serves it: what is done beside the requests is done by this one."""
    node: FaultWorld | None = second_servers.get(faulty.issuer)
    if node is not None:
        node.server.stop()
    return faulty


@pytest.fixture(scope="session")
def second_servers() -> Iterator[dict[str, FaultWorld]]:
    """The second processes, by issuer, as far as tests have asked for them."""
    nodes: dict[str, FaultWorld] = {}
    yield nodes
    for node in nodes.values():
        node.server.stop()


@pytest.fixture(scope="session", params=BACKENDS)
def shared_time_machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultWorld]:
    """A deployment of its own for tests that move the clock: rows leave it, and keys age, as the clock says.

    Its server has no housekeeping, so that what happens on demand is not done by it first.
    """
    directory = tmp_path_factory.mktemp("time")
    url = f"sqlite:///{directory}/tokenhouse.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("cluster").make_database()
    with fault_world(directory, url, has_housekeeping=False) as world:
        yield world


@pytest.fixture
def time_machine(shared_time_machine: FaultWorld) -> Iterator[FaultWorld]:
    """That deployment, with a new witness and the right time."""
    yield from _lend(shared_time_machine)


def _lend(world: FaultWorld) -> Iterator[FaultWorld]:
    world.witness = Witness()
    yield world
    world.faults.clear()
    world.clock.reset()
    if world.server.process is None or world.server.process.poll() is not None:
        # A test that failed half way must not take the others along.
        world.restart()
