"""Deployments for the faults: one per test file and database, because each test leaves its own marks."""

from collections.abc import Iterator

import pytest

from tests.databases import BACKENDS, fresh_database_url
from tests.faults.fault_world import FaultWorld, fault_world


@pytest.fixture(scope="module", params=BACKENDS)
def shared_faulty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultWorld]:
    """One deployment with its server, on each database."""
    directory = tmp_path_factory.mktemp("faulty")
    with fresh_database_url(request.param, directory) as url, fault_world(directory, url) as world:
        yield world


@pytest.fixture
def faulty(shared_faulty: FaultWorld) -> Iterator[FaultWorld]:
    """The deployment, its faults mended and its clock set right afterwards."""
    yield shared_faulty
    shared_faulty.faults.clear()
    shared_faulty.clock.reset()


@pytest.fixture(scope="module")
def other_node(shared_faulty: FaultWorld) -> Iterator[FaultWorld]:
    """A second process that serves the same deployment."""
    node = shared_faulty.another_node()
    try:
        node.server.start()
        yield node
    finally:
        node.server.stop()
