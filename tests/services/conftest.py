"""What the tests of outbound HTTP share."""

from collections.abc import Iterator

import pytest

from tests.services.other_host import CertificateAuthority, Network, watch_network


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def network() -> Iterator[Network]:
    with watch_network() as network:
        yield network
