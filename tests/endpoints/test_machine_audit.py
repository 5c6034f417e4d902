"""What is kept of a machine's token: its event, written at once or in batches whose loss has a bound."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.list_audit import list_audit
from app.storage.database import Connection
from tests.actors.asserting import make_asserting
from tests.actors.http import Reply
from tests.actors.machine import Machine
from tests.attacks.good_conduct import assert_json_error
from tests.conftest import run_world
from tests.patience import wait_until
from tests.world import World


@pytest.fixture
def batching_world(tmp_path: Path) -> Iterator[World]:
    """A server of one's own that writes the events of machines' tokens in batches."""
    database_url = f"sqlite:///{tmp_path}/tokenhouse.db"
    yield from run_world(tmp_path, database_url, rate_limits="off", machine_token_audit="batched")


def count_events(world: World, machine: Machine) -> int:
    return len(list_audit(world.operator.deployment, event_type="token.issued", client_id=machine.client_id, limit=900))


def test_every_tokens_event_is_written_soon_and_at_the_latest_when_the_server_ends(batching_world: World) -> None:
    machine = batching_world.machine(policy={"resources": [batching_world.operator.add_resource()]})
    for _ in range(20):
        machine.get_token()
    wait_until(lambda: count_events(batching_world, machine) == 20)
    for _ in range(5):
        machine.get_token()
    batching_world.server.stop()
    assert count_events(batching_world, machine) == 25


def test_no_token_is_given_out_once_a_batch_is_due_and_cannot_be_written(batching_world: World) -> None:
    machine = batching_world.machine(policy={"resources": [batching_world.operator.add_resource()]})
    machine.get_token()
    wait_until(lambda: count_events(batching_world, machine) == 1)

    def while_nobody_can_write(_connection: Connection) -> tuple[Reply, Reply]:
        remembered = machine.try_get_token()
        batching_world.clock.move(seconds=2)
        return remembered, machine.try_get_token()

    remembered, refused = batching_world.operator.deployment.database.transact(while_nobody_can_write)
    assert remembered.status == 200
    assert_json_error(refused, "temporarily_unavailable", 503)
    wait_until(lambda: count_events(batching_world, machine) == 2)


def test_an_assertion_is_used_up_on_disk_whatever_waits_for_its_batch(batching_world: World) -> None:
    world = batching_world
    machine = make_asserting(world)
    assertion = machine.assert_it()
    assert machine.try_get_token(client_assertion=assertion).status == 200
    world.server.kill()
    world.server.start()
    assert_json_error(machine.try_get_token(client_assertion=assertion), "invalid_client", 401)
