"""The deployment that the faults are done to: one per database and test process, mended after each test."""

from collections.abc import Iterator

import pytest

from tests.databases import BACKENDS, fresh_database_url
from tests.faults.fault_world import FaultWorld, Witness, fault_world


@pytest.fixture(scope="session", params=BACKENDS)
def shared_faulty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultWorld]:
    """One deployment with its server, on each database."""
    directory = tmp_path_factory.mktemp("faulty")
    with fresh_database_url(request.param, directory) as url, fault_world(directory, url) as world:
        yield world


@pytest.fixture
def faulty(shared_faulty: FaultWorld) -> Iterator[FaultWorld]:
    """The deployment with a new witness; its faults are mended and its clock is set right afterwards."""
    shared_faulty.witness = Witness()
    yield shared_faulty
    shared_faulty.faults.clear()
    shared_faulty.clock.reset()


@pytest.fixture
def other_node(shared_other_node: FaultWorld, faulty: FaultWorld) -> FaultWorld:
    """A second process that serves the same deployment, with the same witness."""
    shared_other_node.witness = faulty.witness
    return shared_other_node


@pytest.fixture(scope="session")
def shared_other_node(shared_faulty: FaultWorld) -> Iterator[FaultWorld]:
    """The second process itself."""
    node = shared_faulty.another_node()
    try:
        node.server.start()
        yield node
    finally:
        node.server.stop()
