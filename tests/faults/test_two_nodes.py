"""Two processes on one database say the same and do the same, at the latest a second after a change."""

from app.services.manage_keys import revoke_signing_key, rotate_keys, rotate_keys_now
from tests.faults.fault_world import FaultWorld
from tests.faults.invariants import active_kid, check_invariants, kid_of, published_kids
from tests.faults.patience import eventually

# The promise is a second; the rest is for a machine that runs other tests meanwhile.
WITHIN_S = 10


def test_both_nodes_sign_with_the_new_key_and_publish_the_same_keys(faulty: FaultWorld, other_node: FaultWorld) -> None:
    account, party, browser = faulty.operator.add_user(), faulty.relying_party(), faulty.browser()
    rotate_keys(faulty.operator.deployment)
    rotate_keys_now(faulty.operator.deployment)
    for node in (faulty, other_node):

        def signs_with_the_new_key(node: FaultWorld = node) -> bool:
            code, pending = faulty.get_code(party, account, browser=browser)
            reply = faulty.witness.exchange(node.reached_by(party), code, pending)
            assert reply is not None
            assert reply.status == 200, reply.text
            return kid_of(reply.json()["access_token"]) == active_kid(faulty)

        eventually(signs_with_the_new_key, within_s=WITHIN_S, what=f"{node.url} signs with the new key")
    etags = {node.try_get("/jwks").headers["etag"] for node in (faulty, other_node)}
    assert len(etags) == 1
    check_invariants(faulty, other_node)


def test_a_code_of_one_node_is_redeemed_at_the_other_and_its_token_is_good_at_both(
    faulty: FaultWorld, other_node: FaultWorld
) -> None:
    account, party = faulty.operator.add_user(), faulty.relying_party()
    code, pending = faulty.get_code(party, account)
    reply = faulty.witness.exchange(other_node.reached_by(party), code, pending)
    assert reply is not None
    assert reply.status == 200, reply.text
    token = reply.json()["access_token"]
    for node in (faulty, other_node):
        assert node.reached_by(party).userinfo(token).json()["sub"] == account.sub
    check_invariants(faulty, other_node)


def test_a_revoked_key_is_refused_and_unpublished_by_both(faulty: FaultWorld, other_node: FaultWorld) -> None:
    account, party = faulty.operator.add_user(), faulty.relying_party()
    token = faulty.get_tokens(party, account).access_token
    revoked = kid_of(token)
    revoke_signing_key(faulty.operator.deployment, revoked)
    for node in (faulty, other_node):
        there = node.reached_by(party)
        eventually(lambda there=there: there.userinfo(token).status == 401, within_s=WITHIN_S, what="it is refused")  # type: ignore[misc]
        assert revoked not in published_kids(node)
    assert faulty.serves(party, account)
    check_invariants(faulty, other_node)


def test_a_client_that_is_made_at_one_moment_is_known_to_both_the_next(
    faulty: FaultWorld, other_node: FaultWorld
) -> None:
    account, browser = faulty.operator.add_user(), faulty.browser()
    for node in (other_node, faulty):
        party = faulty.relying_party()
        code, pending = faulty.get_code(party, account, browser=browser)
        reply = faulty.witness.exchange(node.reached_by(party), code, pending)
        assert reply is not None
        assert reply.status == 200, reply.text
    check_invariants(faulty, other_node)
