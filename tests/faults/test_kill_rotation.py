"""kill -9 in the middle of a key rotation: one key signs, none that is unpublished ever did, and the next completes."""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from app.services.manage_keys import list_keys, revoke_signing_key, rotate_keys, rotate_keys_now
from app.settings import load_settings
from tests.clock import MovableClock
from tests.deployments import Operator
from tests.faults.fault_world import FaultWorld
from tests.faults.invariants import check_invariants, check_keys, published_kids
from tests.faults.patience import eventually
from tests.forked import ForkedProcess

ROTATIONS: Mapping[str, Callable[[Any], Any]] = {
    "keys rotate": rotate_keys,
    "keys rotate --now": rotate_keys_now,
    "keys revoke": lambda deployment: revoke_signing_key(
        deployment, next(key.kid for key in list_keys(deployment) if key.state == "active")
    ),
}


def rotate_and_die(environment: dict[str, str], clock_path: str, rotation: str, at_statement: int) -> None:
    """What the command does, until it is killed before its n-th statement; after its commit if it has fewer."""
    operator = Operator(load_settings(environment), clock=MovableClock(Path(clock_path)))
    seen = 0

    @event.listens_for(operator.deployment.database.engine, "before_cursor_execute")
    def _count(*_arguments: object) -> None:
        nonlocal seen
        seen += 1
        if seen == at_statement:
            os.kill(os.getpid(), signal.SIGKILL)

    ROTATIONS[rotation](operator.deployment)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_a_rotation_that_was_killed_leaves_one_key_that_signs(faulty: FaultWorld, rotation: str) -> None:
    kill_at_every(3, rotation, faulty)


@pytest.mark.long
@pytest.mark.parametrize("rotation", ROTATIONS)
def test_a_rotation_killed_at_any_statement_leaves_one_key_that_signs(faulty: FaultWorld, rotation: str) -> None:
    kill_at_every(1, rotation, faulty)


def kill_at_every(stride: int, rotation: str, faulty: FaultWorld) -> None:
    party, account = faulty.relying_party(), faulty.operator.add_user()
    for key in list_keys(faulty.operator.deployment):
        if key.state == "pending":
            # With one `keys rotate` would have nothing to do.
            revoke_signing_key(faulty.operator.deployment, key.kid)
    before = states_of_keys(faulty)
    at_statement = 1
    while states_of_keys(faulty) == before:
        at_statement += stride
        assert at_statement < 30, f"the rotation never came to its end: {states_of_keys(faulty)}"
        process = ForkedProcess(rotate_and_die, faulty.environment, str(faulty.clock.path), rotation, at_statement)
        assert process.wait(60) == -signal.SIGKILL
        with faulty.operator.deployment.database.reading() as connection:
            check_keys(connection)
    # The last one died after its commit, before it could tell anybody; running servers see the change all the same.
    assert at_statement > 4
    published = {kid for kid, _ in states_of_keys(faulty)}
    eventually(lambda: published_kids(faulty) == published, within_s=30, what="the server has noticed")
    assert faulty.serves(party, account)
    check_invariants(faulty)
    # The lock died with its holder: the next rotation goes through, and is seen.
    assert rotate_keys_now(faulty.operator.deployment)
    assert faulty.serves(party, account)
    check_invariants(faulty)


def states_of_keys(world: FaultWorld) -> set[tuple[str, str]]:
    return {(key.kid, key.state) for key in list_keys(world.operator.deployment)}
