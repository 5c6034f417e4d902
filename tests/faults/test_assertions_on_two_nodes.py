"""Attack 57 where several processes serve one deployment: an assertion is good once, whichever of them it comes to."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.actors.asserting import Asserting, make_asserting
from tests.attacks.good_conduct import assert_json_error
from tests.faults.fault_world import FaultWorld


def reached_at(node: FaultWorld, machine: Asserting) -> Asserting:
    here = copy.copy(machine)
    here.server_url = node.url
    return here


@pytest.mark.requirement("RFC 7523", "3", "jti: the JWT is not replayed")
def test_57_an_assertion_used_at_one_node_is_refused_at_the_other_and_after_a_restart(
    faulty: FaultWorld, other_node: FaultWorld
) -> None:
    machine = make_asserting(faulty)
    there = reached_at(other_node, machine)
    assertion = machine.assert_it(exp=faulty.clock() // 1000 + 290)
    assert machine.try_get_token(client_assertion=assertion).status == 200
    assert_json_error(there.try_get_token(client_assertion=assertion), "invalid_client", 401)
    faulty.restart()
    for each in (machine, there):
        assert_json_error(each.try_get_token(client_assertion=assertion), "invalid_client", 401)
    assert machine.get_token()


def test_57_one_assertion_at_both_nodes_at_once_is_good_once(faulty: FaultWorld, other_node: FaultWorld) -> None:
    machine = make_asserting(faulty)
    nodes = [machine, reached_at(other_node, machine)]
    for _ in range(3):
        assertion = machine.assert_it()
        with ThreadPoolExecutor(20) as threads:
            replies = list(threads.map(lambda each: each.try_get_token(client_assertion=assertion), nodes * 10))  # noqa: B023
        assert sorted(reply.status for reply in replies) == [200] + [401] * 19
