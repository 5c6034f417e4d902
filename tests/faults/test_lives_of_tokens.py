"""Any order of what can happen to tokens, over two processes, keeps the invariants I1 to I6 (a property test).

A model says of each family whether it lives and which of its tokens do; the servers must agree after every step, and
`check_invariants` looks at the whole deployment after every run. I7 and I8, recovery and readiness, need a fault to
recover from and are the other tests' here.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from app.services.manage_clients import disable_client
from app.services.manage_grants import list_grants, revoke_grant
from app.services.manage_users import disable_user
from tests.actors.http import Reply
from tests.actors.machine import Machine
from tests.actors.refreshing import OFFLINE, refreshing_party
from tests.actors.relying_party import Pending, RelyingParty, read_jwt
from tests.deployments import Account
from tests.faults.fault_world import FaultWorld
from tests.faults.invariants import check_invariants
from tests.faults.patience import eventually

# The promise is a second; the rest is for a machine that runs other tests meanwhile.
SEEN_WITHIN_S = 10
# The deployment gives a minute for retries; a slow machine may have used it up between two steps.
SURELY_IN_THE_WINDOW_S = 30
MOST_RETRIES = 5
WHICH = st.integers(min_value=0, max_value=999)
NODE = st.integers(min_value=0, max_value=1)


@dataclass
class Family:
    """What the client holds, and what the model says of it."""

    party: RelyingParty
    account: Account
    code: str = field(repr=False)
    pending: Pending = field(repr=False)
    refresh_tokens: list[str] = field(repr=False)
    access_tokens: dict[str, bool] = field(repr=False)
    is_alive: bool = True
    rotated_at: float = 0.0
    retries: int = 0


class LivesOfTokens(RuleBasedStateMachine):
    """The rules. Each takes a family of the model by number, and one of two processes."""

    def __init__(self, one: FaultWorld, other: FaultWorld) -> None:
        super().__init__()
        self.nodes = (one, other)
        self.world = one
        self.families: list[Family] = []

    @initialize()
    def begin(self) -> None:
        """Somebody, and an application that gets refresh tokens."""
        self.account, self.party = self.world.operator.add_user(), refreshing_party(self.world)
        self.log_in(0)

    @rule(node=NODE)
    def log_in(self, node: int) -> None:
        """A whole flow, whose code is redeemed at either process."""
        code, pending = self.world.get_code(self.party, self.account, scope=OFFLINE)
        reply = self.world.witness.exchange(self.at(node, self.party), code, pending)
        answer = good(reply)
        self.families.append(
            Family(
                party=self.party,
                account=self.account,
                code=code,
                pending=pending,
                refresh_tokens=[answer["refresh_token"]],
                access_tokens={answer["access_token"]: True},
            )
        )

    @rule(which=WHICH, node=NODE)
    def refresh(self, which: int, node: int) -> None:
        """The newest token rotates, or is refused where the family has ended."""
        family = self.pick(which)
        reply = self.present(family, family.refresh_tokens[-1], node)
        if family.is_alive:
            self.take_successor(family, reply)
        else:
            refused(reply)

    @rule(which=WHICH)
    def refresh_at_both_at_once(self, which: int) -> None:
        """Two answers for one token hold the same successor."""
        family = self.pick(which)
        token = family.refresh_tokens[-1]
        replies = self.at_once(lambda: self.present(family, token, 0), lambda: self.present(family, token, 1))
        if not family.is_alive:
            for reply in replies:
                refused(reply)
            return
        answered = [reply for reply in replies if reply is not None and reply.status == 200]
        assert {reply.status for reply in replies if reply is not None} <= {200, 503}
        assert answered
        assert len({reply.json()["refresh_token"] for reply in answered}) == 1
        self.take_successor(family, answered[0])
        for reply in answered[1:]:
            family.access_tokens[reply.json()["access_token"]] = True
            family.retries += 1

    @rule(which=WHICH, node=NODE)
    def ask_again(self, which: int, node: int) -> None:
        """The token before the newest one: the same successor while its answer may be repeated, reuse after that."""
        family = self.pick(which)
        if len(family.refresh_tokens) < 2:
            return
        reply = self.present(family, family.refresh_tokens[-2], node)
        age_s = time.monotonic() - family.rotated_at
        if family.is_alive and reply is not None and reply.status == 200:
            assert family.retries < MOST_RETRIES
            assert reply.json()["refresh_token"] == family.refresh_tokens[-1]
            family.retries += 1
            family.access_tokens[reply.json()["access_token"]] = True
            return
        refused(reply)
        assert not family.is_alive or family.retries >= MOST_RETRIES or age_s > SURELY_IN_THE_WINDOW_S
        if family.is_alive:
            # The window closed, which ends the family, or there were too many retries, which does not: make sure.
            Machine.of(self.at(node, family.party)).revoke(family.refresh_tokens[-1])
            self.ends(family)

    @rule(which=WHICH, node=NODE)
    def reuse(self, which: int, node: int) -> None:
        """A token whose successor has been used, from anybody: the family ends."""
        family = self.pick(which)
        if len(family.refresh_tokens) < 3:
            return
        refused(self.present(family, family.refresh_tokens[-3], node))
        self.ends(family)

    @rule(which=WHICH, node=NODE)
    def replay_the_code(self, which: int, node: int) -> None:
        """A code that comes back ends what it gave."""
        family = self.pick(which)
        refused(self.world.witness.exchange(self.at(node, family.party), family.code, family.pending))
        self.ends(family)

    @rule(which=WHICH, node=NODE)
    def revoke_the_access_token(self, which: int, node: int) -> None:
        """One token ends, and the family goes on."""
        family = self.pick(which)
        token = list(family.access_tokens)[-1]
        took(Machine.of(self.at(node, family.party)).revoke(token))
        family.access_tokens[token] = False
        self.agree(family)

    @rule(which=WHICH, node=NODE, back=st.integers(min_value=1, max_value=3))
    def revoke_a_refresh_token(self, which: int, node: int, back: int) -> None:
        """Any token of a family, a spent one too, ends the family."""
        family = self.pick(which)
        token = family.refresh_tokens[-min(back, len(family.refresh_tokens))]
        took(Machine.of(self.at(node, family.party)).revoke(token))
        self.ends(family)

    @rule(which=WHICH)
    def refresh_while_it_is_revoked(self, which: int) -> None:
        """Whatever the race gives, nothing of it lives once the revocation has been answered."""
        family = self.pick(which)
        token = family.refresh_tokens[-1]
        machine = Machine.of(self.at(1, family.party))
        raced, revoked = self.at_once(lambda: self.present(family, token, 0), lambda: machine.revoke(token))
        assert revoked is not None
        took(revoked)
        if raced is not None and raced.status == 200:
            family.refresh_tokens.append(raced.json()["refresh_token"])
            family.access_tokens[raced.json()["access_token"]] = True
        self.ends(family)

    @rule(which=WHICH)
    def the_operator_ends_the_grants(self, which: int) -> None:
        """`grants revoke`, for every grant of the person."""
        family = self.pick(which)
        for grant in list_grants(self.world.operator.deployment, user=family.account.sub):
            revoke_grant(self.world.operator.deployment, grant.grant_id)
        for each in self.families:
            if each.account == family.account:
                self.ends(each)

    @precondition(lambda self: len(self.families) > 1)
    @rule()
    def the_person_is_disabled(self) -> None:
        """Everything of theirs ends; somebody else goes on."""
        disable_user(self.world.operator.deployment, self.account.username)
        for family in self.families:
            if family.account == self.account:
                self.ends(family)
        self.account = self.world.operator.add_user()

    @precondition(lambda self: len(self.families) > 1)
    @rule()
    def the_client_is_disabled(self) -> None:
        """Everything that it holds ends; another application goes on."""
        disable_client(self.world.operator.deployment, self.party.client_id)
        for family in self.families:
            if family.party.client_id == self.party.client_id:
                self.ends(family)
        self.party = refreshing_party(self.world)

    def teardown(self) -> None:
        """The servers agree about every token, and so does the database about everything."""
        for family in self.families:
            self.agree(family)
        check_invariants(*self.nodes)

    # ----- What the rules share -----

    def pick(self, which: int) -> Family:
        return self.families[which % len(self.families)]

    def at(self, node: int, party: RelyingParty) -> RelyingParty:
        return self.nodes[node].reached_by(party)

    def present(self, family: Family, refresh_token: str, node: int) -> Reply | None:
        return self.world.witness.refresh(self.at(node, family.party), refresh_token)

    def take_successor(self, family: Family, reply: Reply | None) -> None:
        answer = good(reply)
        assert answer["refresh_token"] not in family.refresh_tokens
        family.refresh_tokens.append(answer["refresh_token"])
        family.access_tokens[answer["access_token"]] = True
        family.rotated_at, family.retries = time.monotonic(), 0

    def ends(self, family: Family) -> None:
        family.is_alive = False
        for token in family.access_tokens:
            family.access_tokens[token] = False
        self.agree(family)

    def agree(self, family: Family) -> None:
        """Both processes accept what lives and refuse what has ended; a token that has run out says nothing."""
        for token, lives in family.access_tokens.items():
            if read_jwt(token)["exp"] * 1000 <= self.world.clock() + 5000:
                continue
            for node in (0, 1):
                party = self.at(node, family.party)
                status = 200 if lives else 401
                eventually(
                    lambda party=party, token=token, status=status: party.userinfo(token).status == status,  # type: ignore[misc]
                    within_s=SEEN_WITHIN_S,
                    what=f"process {node} answers {status}",
                )

    @staticmethod
    def at_once(*work: Callable[[], Reply | None]) -> list[Reply | None]:
        with ThreadPoolExecutor(len(work)) as pool:
            return [future.result() for future in [pool.submit(one) for one in work]]


def good(reply: Reply | None) -> dict[str, str]:
    """The tokens of an answer that must hold some."""
    assert reply is not None
    assert reply.status == 200, reply.text
    answer: dict[str, str] = reply.json()
    return answer


def took(reply: Reply) -> None:
    """A revocation was heard; of a client that was disabled it is not, and everything has ended with that."""
    assert reply.status == 200 or (reply.status, reply.json()["error"]) == (400, "unauthorized_client"), reply.text


def refused(reply: Reply | None) -> None:
    """The client is told that its grant, or it itself, has ended (case 70)."""
    assert reply is not None
    assert (reply.status, reply.json()["error"]) in {(400, "invalid_grant"), (400, "unauthorized_client")}, reply.text


def live(one: FaultWorld, other: FaultWorld, *, examples: int, steps: int) -> None:
    """So many runs of so many steps."""
    run_state_machine_as_test(
        lambda: LivesOfTokens(one, other),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_some_lives_of_tokens_keep_the_invariants(faulty: FaultWorld, other_node: FaultWorld) -> None:
    live(faulty, other_node, examples=3, steps=8)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_many_lives_of_tokens_keep_the_invariants(faulty: FaultWorld, other_node: FaultWorld) -> None:
    live(faulty, other_node, examples=60, steps=25)
