"""What the tests of outbound HTTP share."""

from collections.abc import Iterator

import pytest

from tests.services.other_host import Network, watch_network


@pytest.fixture
def network() -> Iterator[Network]:
    with watch_network() as network:
        yield network
