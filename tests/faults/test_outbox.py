"""Fault 13: whoever is to be told is slow, dead or many, and the server is killed while it tells them."""

import contextlib
import secrets
from http.client import HTTPException

import pytest

from app.services.manage_outbox import drop_message, list_messages
from app.services.manage_users import disable_user
from app.services.outbox import CLAIMED_FOR_MS
from app.services.refusal import Refusal
from tests.actors.logout_receiver import LogoutReceiver
from tests.actors.relying_party import RelyingParty, read_jwt
from tests.deployments import Account
from tests.faults.fault_world import FaultWorld
from tests.faults.invariants import check_invariants
from tests.faults.patience import Stopwatch, eventually
from tests.faults.test_kill_exchange import is_dead

PATIENCE_S = 30


def logged_in(world: FaultWorld, receiver: LogoutReceiver, count: int = 1) -> tuple[Account, list[str], list[str]]:
    """A person with one session, and the paths and client_ids of the applications in it."""
    account, browser = world.operator.add_user(), world.browser()
    paths, client_ids = [], []
    for _ in range(count):
        path = f"/backchannel/{secrets.token_hex(6)}"
        party: RelyingParty = world.relying_party(backchannel_logout_uri=receiver.url(path))
        world.get_code(party, account, browser=browser)
        paths.append(path)
        client_ids.append(party.client_id)
    return account, paths, client_ids


def waits(world: FaultWorld, client_ids: list[str]) -> bool:
    return any(message.client_id in client_ids for message in list_messages(world.operator.deployment))


def forget_messages(world: FaultWorld) -> None:
    for message in list_messages(world.operator.deployment):
        # It may have been delivered this very moment.
        with contextlib.suppress(Refusal):
            drop_message(world.operator.deployment, message.message_id)


# The kind stands in the failpoint: the mail that is sent beside the logout would else be where the server dies.
@pytest.mark.parametrize(
    ("failpoint", "before"),
    [("outbox.before_delivery.backchannel_logout", 0), ("outbox.after_delivery.backchannel_logout", 1)],
)
def test_what_a_killed_server_had_in_its_hands_is_delivered_after_the_restart(
    alone: FaultWorld, receiver: LogoutReceiver, failpoint: str, before: int
) -> None:
    account, (path,), client_ids = logged_in(alone, receiver)
    # What other tests left for dead is tried again now and then: the fault is meant for what comes now.
    forget_messages(alone)
    alone.faults.kill_at(failpoint)
    disable_user(alone.operator.deployment, account.username)
    eventually(lambda: is_dead(alone), within_s=PATIENCE_S, what="the server was killed")
    assert len(receiver.at(path)) == before
    assert waits(alone, client_ids)
    alone.restart()
    # Nobody can know that the one who held it is dead, until its claim runs out.
    alone.clock.move(seconds=CLAIMED_FOR_MS / 1000)
    eventually(lambda: len(receiver.at(path)) == before + 1, within_s=PATIENCE_S, what="it is delivered")
    eventually(lambda: not waits(alone, client_ids), within_s=PATIENCE_S, what="it is forgotten")
    assert len({read_jwt(request.logout_token)["sid"] for request in receiver.at(path)}) == 1
    alone.clock.reset()
    check_invariants(alone)


def test_a_logout_whose_answer_was_lost_in_a_crash_is_told_all_the_same(
    alone: FaultWorld, receiver: LogoutReceiver
) -> None:
    account, browser = alone.operator.add_user(), alone.browser()
    path = f"/backchannel/{secrets.token_hex(6)}"
    party = alone.relying_party(backchannel_logout_uri=receiver.url(path))
    code, pending = alone.get_code(party, account, browser=browser)
    hint = party.exchange(code, pending).id_token
    alone.faults.kill_at("logout.after_commit")
    with pytest.raises((OSError, HTTPException)):
        browser.get(f"{alone.issuer}/logout?id_token_hint={hint}")
    eventually(lambda: is_dead(alone), within_s=PATIENCE_S, what="the server was killed")
    alone.restart()
    alone.clock.move(seconds=CLAIMED_FOR_MS / 1000)
    eventually(lambda: receiver.at(path), within_s=PATIENCE_S, what="it is delivered")
    alone.clock.reset()
    check_invariants(alone)


def test_two_nodes_tell_everybody_once(faulty: FaultWorld, other_node: FaultWorld, receiver: LogoutReceiver) -> None:
    account, paths, client_ids = logged_in(faulty, receiver, count=12)
    disable_user(faulty.operator.deployment, account.username)
    eventually(lambda: not waits(faulty, client_ids), within_s=PATIENCE_S, what="everybody is told")
    assert [len(receiver.at(path)) for path in paths] == [1] * len(paths)
    assert other_node.server.process is not None


def test_the_dead_hold_up_neither_the_living_nor_whoever_logs_in(faulty: FaultWorld, receiver: LogoutReceiver) -> None:
    account, paths, client_ids = logged_in(faulty, receiver, count=10)
    hanging, living = paths[::2], paths[1::2]
    receiver.answers.update(dict.fromkeys(hanging, receiver.hang))
    with Stopwatch() as watch:
        disable_user(faulty.operator.deployment, account.username)
    assert watch.elapsed_s < 5  # a second, on a machine that has nothing else to do
    person, party = faulty.operator.add_user(), faulty.relying_party()
    assert faulty.serves(party, person)
    eventually(lambda: all(receiver.at(path) for path in living), within_s=PATIENCE_S, what="the living are told")
    receiver.over.set()  # so that the servers of the dead can be closed
    receiver.answers.clear()
    faulty.clock.move(seconds=60)
    eventually(lambda: not waits(faulty, client_ids), within_s=PATIENCE_S, what="the others are told later")
    assert all(len(receiver.at(path)) >= 2 for path in hanging)
    faulty.clock.reset()
    check_invariants(faulty)
