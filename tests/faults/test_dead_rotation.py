"""Nobody has rotated the signing keys for a week too long: issuance does it, once, and never signs with old ones."""

import functools
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from app.services.deployment import Deployment
from app.services.manage_keys import list_keys, rotate_keys_now
from app.services.signing_keys import ALGORITHMS
from app.settings import load_settings
from app.storage.signing_keys import DECRYPTION_ALGORITHMS
from app.storage.tables import audit_events
from app.verifier import AccessTokenVerifier
from tests.deployments import Operator
from tests.faults.fault_world import FaultWorld
from tests.faults.invariants import check_keys, kid_of, published_kids
from tests.faults.patience import eventually

WEEK_S = 7 * 86_400


def active_kids(world: FaultWorld) -> dict[str, str]:
    """Those that sign."""
    keys = list_keys(world.operator.deployment)
    return {key.alg: key.kid for key in keys if key.state == "active" and key.alg in ALGORITHMS}


def sleep_past_the_keys_time(world: FaultWorld) -> None:
    """The keys' whole life passes, and a week more in which nobody rotates."""
    rotation = world.operator.deployment.rotation
    last_ms = max(rotation.must_not_sign_after(key.active_at or 0) for key in list_keys(world.operator.deployment))
    world.clock.move(seconds=(last_ms - world.clock()) / 1000 + WEEK_S)


def key_events(world: FaultWorld, event_type: str) -> int:
    with world.operator.deployment.database.reading() as connection:
        return len(connection.execute(select(audit_events.c.type).where(audit_events.c.type == event_type)).all())


def wait_until_published(world: FaultWorld) -> set[str]:
    """What the server publishes, once it has noticed what was done to the keys in the database last."""
    stored = {key.kid for key in list_keys(world.operator.deployment)}
    eventually(lambda: published_kids(world) == stored, within_s=30, what="the key set shows the database's keys")
    return stored


@contextmanager
def another_process(world: FaultWorld) -> Iterator[Deployment]:
    """The deployment as another node without housekeeping has it open."""
    operator = Operator(load_settings(world.environment), clock=world.clock)
    try:
        yield operator.deployment
    finally:
        operator.close()


def test_issuance_rotates_on_demand_and_signs_with_what_verifiers_know_already(time_machine: FaultWorld) -> None:
    resource, account = time_machine.operator.add_resource(), time_machine.operator.add_user()
    party = time_machine.relying_party()
    old, known = active_kids(time_machine), wait_until_published(time_machine)
    sleep_past_the_keys_time(time_machine)
    tokens = time_machine.get_tokens(party, account, scope="openid photos.read", resource=resource)
    kids = {kid_of(tokens.access_token), kid_of(tokens.id_token or "")}
    assert not kids & set(old.values()), "signed with a key that is past its time"
    # The standbys had been published all the while: nobody had to fetch anything.
    assert kids <= known
    verifier = AccessTokenVerifier(
        issuer=time_machine.issuer, audience=resource, clock=lambda: time_machine.clock() / 1000
    )
    assert verifier.verify(tokens.access_token).subject == account.sub
    with time_machine.operator.deployment.database.reading() as connection:
        check_keys(connection)


def test_of_many_who_find_the_key_too_old_at_once_one_rotates(time_machine: FaultWorld) -> None:
    sleep_past_the_keys_time(time_machine)
    before = key_events(time_machine, "key.active")
    with another_process(time_machine) as one, another_process(time_machine) as other, ThreadPoolExecutor(8) as pool:
        wanted = [(node, alg) for node in (one, other) for alg in ALGORITHMS] * 2
        keys = list(pool.map(lambda who: (who[1], who[0].get_signing_key(who[1]).kid), wanted))
    assert Counter(keys) == dict.fromkeys(active_kids(time_machine).items(), 4)
    assert key_events(time_machine, "key.active") == before + len(ALGORITHMS) + len(DECRYPTION_ALGORITHMS)
    with time_machine.operator.deployment.database.reading() as connection:
        check_keys(connection)


def test_a_node_that_looked_a_moment_before_another_rotated_does_not_sign_with_the_old_key(
    time_machine: FaultWorld,
) -> None:
    with another_process(time_machine) as one, another_process(time_machine) as other:
        sleep_past_the_keys_time(time_machine)
        other.notice_changes(at_once=True)
        fresh = one.get_signing_key("ES256").kid
        # It will not look again for 0.4 s, and finds the rotation done.
        assert other.get_signing_key("ES256").kid == fresh


def test_a_rotation_between_a_nodes_start_and_its_first_look_is_noticed(time_machine: FaultWorld) -> None:
    with another_process(time_machine) as starting:
        rotate_keys_now(time_machine.operator.deployment)
        kids = active_kids(time_machine)
        assert {alg: starting.get_signing_key(alg).kid for alg in ALGORITHMS} == kids


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_is_not_rotated_before_its_time(time_machine: FaultWorld, alg: str) -> None:
    rotation = time_machine.operator.deployment.rotation
    rotate_keys_now(time_machine.operator.deployment)
    with another_process(time_machine) as node:
        before = node.get_signing_key(alg).kid
        time_machine.clock.move(seconds=rotation.key_lifetime_ms / 1000 - 60)
        # What retired earlier leaves; nothing else happens.
        assert set(steps_of(node)) <= {"removed"}
        assert node.get_signing_key(alg).kid == before


def test_a_planned_rotation_goes_from_pending_to_active_without_anybodys_help(time_machine: FaultWorld) -> None:
    rotation = time_machine.operator.deployment.rotation
    rotate_keys_now(time_machine.operator.deployment)
    with another_process(time_machine) as node:
        step = functools.partial(steps_of, node)
        time_machine.clock.move(seconds=rotation.key_lifetime_ms / 1000 + 60)
        # What others encrypt to is replaced at once.
        assert step() & Counter(pending=9, retired=9, active=9) == Counter(pending=2, retired=2, active=2)
        assert step() == Counter()
        time_machine.clock.move(seconds=rotation.publication_ms / 1000 + 1)
        assert step() == Counter(retired=2, active=2)
        # The retired stay published for as long as anything that they have signed may live.
        time_machine.clock.move(seconds=3600 + 61)
        assert step()["removed"] >= 2
        assert step() == Counter()


def steps_of(node: Deployment) -> Counter[str]:
    return Counter(change.state for change in node.rotate_keys_if_due())
