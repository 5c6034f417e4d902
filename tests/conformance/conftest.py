"""A server as the conformance suite meets it: lax profile, open registration, and clients on this machine."""

from collections.abc import Iterator

import pytest

from tests.conformance.certifier import Certifier
from tests.conftest import forget_failed_logins, run_world
from tests.databases import migrated_database_url
from tests.services.other_host import CertificateAuthority
from tests.world import World


@pytest.fixture(scope="session")
def shared_certified_world(
    tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority
) -> Iterator[World]:
    """One server per test process. What is asked here is what goes on the wire, which no database changes."""
    directory = tmp_path_factory.mktemp("certified")
    with migrated_database_url("sqlite", directory) as database_url:
        yield from run_world(
            directory,
            database_url,
            profile="openid",
            registration="open",
            rate_limits="off",
            outbound_allowed_networks="127.0.0.1/32",
            outbound_ca_bundle=str(authority.bundle),
        )


@pytest.fixture
def certified(shared_certified_world: World, authority: CertificateAuthority) -> Iterator[Certifier]:
    """That server under examination, with the clock set right afterwards."""
    yield Certifier(world=shared_certified_world, authority=authority)
    shared_certified_world.clock.reset()
    forget_failed_logins(shared_certified_world.operator.deployment.database)
