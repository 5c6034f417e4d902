"""A deployment and the command line over it.

Each command is a process of its own, so most tests run on SQLite alone: what differs between the databases is below the
services, which have tests of their own on both. `on_both_databases` marks the commands' main paths.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.hash_password import Argon2Parameters
from tests.cli.processes import CommandLine
from tests.databases import fresh_database_url, migrated_database_url
from tests.deployments import CHEAP_HASH, make_deployment, make_environment


@pytest.fixture
def backend() -> str:
    """The database to test on, unless `on_both_databases` says otherwise."""
    return "sqlite"


@pytest.fixture
def environment(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The settings of a deployment that is not initialised yet."""
    database = fresh_database_url if "new_command_line" in request.fixturenames else migrated_database_url
    with database(backend, tmp_path) as database_url:
        yield make_environment(issuer="http://localhost:8400", database_url=database_url, directory=tmp_path)


@pytest.fixture
def new_command_line(environment: dict[str, str]) -> CommandLine:
    """`tokenhouse` before `tokenhouse init`."""
    return CommandLine(environment)


@pytest.fixture
def argon2() -> Argon2Parameters:
    """What the deployment spends on a password."""
    return CHEAP_HASH


@pytest.fixture
def command_line(environment: dict[str, str], argon2: Argon2Parameters) -> CommandLine:
    """`tokenhouse` over an initialised deployment."""
    make_deployment(environment, argon2=argon2)
    return CommandLine(environment)
