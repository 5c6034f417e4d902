"""What the attacks need beside the shared world: a server of one's own, and what must hold after each attack."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.actors.mail_server import MailServer
from tests.attacks.good_conduct import standing as standing
from tests.attacks.one_step_away import signed_in as signed_in
from tests.conftest import run_world
from tests.databases import BACKENDS, migrated_database, migrated_database_url
from tests.world import World

database_url = migrated_database


@pytest.fixture(scope="session")
def mails() -> Iterator[MailServer]:
    """The mail server of everybody who has an account on the server behind the proxy."""
    with MailServer() as server:
        yield server


@pytest.fixture
def sqlite_url(tmp_path: Path) -> Iterator[str]:
    """The URL of a database with its tables, where it does not matter which of the two it is."""
    with migrated_database_url("sqlite", tmp_path) as url:
        yield url


@pytest.fixture(scope="session", params=BACKENDS)
def proxied(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mails: MailServer
) -> Iterator[World]:
    """A server behind a proxy, so that a test can come from any address."""
    directory = tmp_path_factory.mktemp("proxied")
    with migrated_database_url(request.param, directory) as database_url:
        yield from run_world(
            directory,
            database_url,
            rate_limits="off",
            trusted_proxies="127.0.0.0/8",
            threads=24,
            smtp_url=f"smtp://127.0.0.1:{mails.port}",
            mail_from="door@tokenhouse.example",
            # Its visitors guess all day; whoever tests the alarm has a server of their own.
            stuffing_alarm_failures="100000",
        )


@pytest.fixture
def guarded(proxied: World) -> Iterator[World]:
    """That server, with the clock set right afterwards."""
    yield proxied
    proxied.clock.reset()
