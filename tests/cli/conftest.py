"""A deployment and the command line over it."""

from pathlib import Path

import pytest

from tests.cli.processes import CommandLine
from tests.databases import database_url as database_url
from tests.deployments import make_deployment, make_environment


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    """The settings of a deployment that is not initialised yet."""
    return make_environment(issuer="http://localhost:8400", database_url=database_url, directory=tmp_path)


@pytest.fixture
def new_command_line(environment: dict[str, str]) -> CommandLine:
    """`tokenhouse` before `tokenhouse init`."""
    return CommandLine(environment)


@pytest.fixture
def command_line(environment: dict[str, str]) -> CommandLine:
    """`tokenhouse` over an initialised deployment."""
    make_deployment(environment)
    return CommandLine(environment)
