"""What has expired leaves in batches, and one process at a time does it."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from app.services.housekeeping import PURGE_LEASED_FOR_MS, Housekeeper
from app.storage.database import Connection
from app.storage.tables import used_identifiers
from tests.clock import MovableClock
from tests.databases import BACKENDS, migrated_database_url
from tests.deployments import Operator, make_deployment, make_environment


@pytest.fixture(params=BACKENDS)
def moved(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Operator, MovableClock]]:
    """An operator on a clock that moves, without a running server."""
    clock = MovableClock(tmp_path / "clock")
    with migrated_database_url(request.param, tmp_path) as database_url:
        environment = make_environment(issuer="http://localhost:8400", database_url=database_url, directory=tmp_path)
        operator = Operator(make_deployment(environment), clock=clock)
        yield operator, clock
        operator.close()


def leave_expired(operator: Operator, number: int) -> None:
    expired = [{"digest": secrets.token_bytes(32), "expires_at": 1} for _ in range(number)]

    def write(connection: Connection) -> None:
        connection.execute(insert(used_identifiers), expired)

    operator.deployment.database.transact(write)


def test_what_expired_leaves_whole_and_one_process_does_it(moved: tuple[Operator, MovableClock]) -> None:
    operator, clock = moved
    one, other = Housekeeper(operator.deployment), Housekeeper(operator.deployment)
    leave_expired(operator, 1203)
    assert one.purge() == 1203, "more than one batch"
    leave_expired(operator, 7)
    assert other.purge() == 0, "the lease is the first one's"
    assert one.purge() == 7
    leave_expired(operator, 7)
    clock.move(seconds=PURGE_LEASED_FOR_MS // 1000 + 1)
    assert other.purge() == 7, "who died with the lease keeps nobody from it"
    leave_expired(operator, 7)
    assert one.purge() == 0
