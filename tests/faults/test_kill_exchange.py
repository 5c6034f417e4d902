"""kill -9 at each step of the code exchange: before the commit nothing has happened, after it everything has."""

import pytest

from app.services.issue_tokens import decode_jti
from app.services.manage_grants import list_grants, show_grant
from tests.actors.relying_party import read_jwt
from tests.faults.fault_world import FaultWorld
from tests.faults.invariants import check_invariants, issued_tokens
from tests.faults.patience import eventually


def is_dead(world: FaultWorld) -> bool:
    """Whether the server's worker, and with it the server, has ended."""
    return world.server.process is None or world.server.process.poll() is not None


@pytest.mark.parametrize("failpoint", ["issue.before_redeem", "issue.before_commit"])
def test_a_code_whose_exchange_was_killed_before_the_commit_works_after_the_restart(
    faulty: FaultWorld, failpoint: str
) -> None:
    party, account = faulty.relying_party(), faulty.operator.add_user()
    code, pending = faulty.get_code(party, account)
    faulty.faults.kill_at(failpoint)
    assert faulty.witness.exchange(party, code, pending) is None
    eventually(lambda: is_dead(faulty), within_s=30, what="the server was killed")
    faulty.restart()

    reply = faulty.witness.exchange(party, code, pending)
    assert reply is not None
    assert reply.status == 200, reply.text
    assert party.userinfo(reply.json()["access_token"]).status == 200
    check_invariants(faulty)


def test_a_code_whose_exchange_was_killed_after_the_commit_is_refused_and_its_grant_is_ended(
    faulty: FaultWorld,
) -> None:
    party, account = faulty.relying_party(), faulty.operator.add_user()
    code, pending = faulty.get_code(party, account)
    (grant,) = list_grants(faulty.operator.deployment, user=account.sub)
    faulty.faults.kill_at("issue.after_commit")
    assert faulty.witness.exchange(party, code, pending) is None
    eventually(lambda: is_dead(faulty), within_s=30, what="the server was killed")
    faulty.restart()

    # The grant and its one token are there, and nobody has the token: an operator could end them by hand.
    assert show_grant(faulty.operator.deployment, grant.grant_id).revoked_at is None
    reply = faulty.witness.exchange(party, code, pending)
    assert reply is not None
    assert (reply.status, reply.json()["error"]) == (400, "invalid_grant")
    # The retry looks like a replay, and is treated as one.
    assert show_grant(faulty.operator.deployment, grant.grant_id).revoked_at is not None
    # Nothing usable was lost: a new code is one redirect away, without a login.
    assert faulty.serves(party, account)
    check_invariants(faulty)


def test_what_was_answered_before_a_kill_is_still_true_after_it(faulty: FaultWorld) -> None:
    party, account, browser = faulty.relying_party(), faulty.operator.add_user(), faulty.browser()
    codes = [faulty.get_code(party, account, browser=browser) for _ in range(5)]
    replies = [faulty.witness.exchange(party, code, pending) for code, pending in codes]
    # No pause between the last answer and the kill.
    faulty.server.kill()
    faulty.restart()
    assert [reply.status for reply in replies if reply is not None] == [200] * 5
    for token in issued_tokens(faulty)[-5:]:
        assert decode_jti(read_jwt(token)["jti"]) is not None
        assert party.userinfo(token).status == 200
    # The person is still logged in, too.
    pending = party.begin()
    assert party.read_callback(browser.send_once(pending.url), pending)
    check_invariants(faulty)
