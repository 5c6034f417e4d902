"""What the pages' tests need beside the shared world: a server of one's own, on each database, and one with a name."""

from collections.abc import Iterator

import pytest

from tests.conftest import forget_failed_logins, run_world
from tests.databases import migrated_database, migrated_database_url
from tests.world import World

database_url = migrated_database
PASSKEY_ORIGIN = "https://login.meadow.example"


@pytest.fixture(scope="session")
def shared_passkey_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server by the name of a host: for an address no browser makes passkeys."""
    directory = tmp_path_factory.mktemp("passkeys")
    with migrated_database_url("sqlite", directory) as url:
        yield from run_world(directory, url, origin=PASSKEY_ORIGIN, rate_limits="off", smtp_url="smtp://127.0.0.1:9")


@pytest.fixture
def passkey_world(shared_passkey_world: World) -> Iterator[World]:
    """That server, with the clock set right afterwards."""
    yield shared_passkey_world
    shared_passkey_world.clock.reset()
    forget_failed_logins(shared_passkey_world.operator.deployment.database)
