"""An operator on a deployment of each database, shared by the tests of one module; each test makes its own names."""

from collections.abc import Iterator

import pytest

from tests.databases import BACKENDS, migrated_database_url
from tests.deployments import Operator, make_deployment, make_environment


@pytest.fixture(scope="module", params=BACKENDS)
def operator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator without a running server."""
    directory = tmp_path_factory.mktemp("operator")
    with migrated_database_url(request.param, directory) as database_url:
        environment = make_environment(issuer="http://localhost:8400", database_url=database_url, directory=directory)
        operator = Operator(make_deployment(environment))
        yield operator
        operator.close()
