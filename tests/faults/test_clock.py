"""The clock jumps, as NTP and bad batteries make it: nothing that was over comes to life again."""

import pytest

from tests.actors.browser import find_form
from tests.actors.relying_party import Pending, RelyingParty
from tests.deployments import Account
from tests.faults.fault_world import FaultWorld

MINUTE_S = 60
HOUR_S = 3600
YEAR_S = 365 * 86_400


@pytest.fixture
def party(time_machine: FaultWorld) -> RelyingParty:
    return time_machine.relying_party()


@pytest.fixture
def account(time_machine: FaultWorld) -> Account:
    return time_machine.operator.add_user()


def outcome(world: FaultWorld, party: RelyingParty, code: str, pending: Pending) -> str:
    """What a code gives now: `tokens`, or the error's name."""
    reply = world.witness.exchange(party, code, pending)
    assert reply is not None
    return "tokens" if reply.status == 200 else str(reply.json()["error"])


@pytest.mark.parametrize("back_s", [HOUR_S - 30, HOUR_S, 2 * HOUR_S, 10 * YEAR_S])
def test_a_code_that_was_refused_as_expired_stays_refused_when_the_clock_is_set_back(
    time_machine: FaultWorld, party: RelyingParty, account: Account, back_s: int
) -> None:
    code, pending = time_machine.get_code(party, account)
    time_machine.clock.move(seconds=HOUR_S)
    assert outcome(time_machine, party, code, pending) == "invalid_grant"
    time_machine.clock.move(seconds=-back_s)
    assert outcome(time_machine, party, code, pending) == "invalid_grant"
    time_machine.clock.reset()
    assert outcome(time_machine, party, code, pending) == "invalid_grant"


@pytest.mark.parametrize("back_s", [MINUTE_S, HOUR_S, 10 * YEAR_S])
def test_a_code_does_not_outlive_its_minute_because_the_clock_was_set_back(
    time_machine: FaultWorld, party: RelyingParty, account: Account, back_s: int
) -> None:
    code, pending = time_machine.get_code(party, account)
    time_machine.clock.move(seconds=-back_s)
    assert outcome(time_machine, party, code, pending) == "invalid_grant"
    time_machine.clock.reset()
    assert outcome(time_machine, party, code, pending) == "invalid_grant"


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S, -10 * YEAR_S])
def test_a_used_code_stays_used_whatever_the_clock_does(
    time_machine: FaultWorld, party: RelyingParty, account: Account, jump_s: int
) -> None:
    code, pending = time_machine.get_code(party, account)
    assert outcome(time_machine, party, code, pending) == "tokens"
    time_machine.clock.move(seconds=jump_s)
    assert outcome(time_machine, party, code, pending) == "invalid_grant"
    time_machine.clock.reset()
    assert outcome(time_machine, party, code, pending) == "invalid_grant"


@pytest.mark.parametrize(("ahead_s", "expected"), [(8, "tokens"), (-8, "tokens"), (90, "invalid_grant")])
def test_nodes_whose_clocks_differ_a_little_redeem_each_others_codes(
    time_machine: FaultWorld, party: RelyingParty, account: Account, ahead_s: int, expected: str
) -> None:
    # To the row a second node with another clock and this one after a step are the same.
    code, pending = time_machine.get_code(party, account)
    time_machine.clock.move(seconds=ahead_s)
    assert outcome(time_machine, party, code, pending) == expected


@pytest.mark.parametrize("jump_s", [-HOUR_S, -10 * YEAR_S, 10 * MINUTE_S])
def test_a_sign_in_during_which_the_clock_jumps_can_be_finished(
    time_machine: FaultWorld, party: RelyingParty, account: Account, jump_s: int
) -> None:
    browser = time_machine.browser()
    pending = party.begin()
    page = browser.log_in(browser.get(pending.url), account.username, account.password)
    time_machine.clock.move(seconds=jump_s)
    code = party.read_callback(browser.consent(page), pending)
    assert outcome(time_machine, party, code, pending) == "tokens"


def test_a_sign_in_that_the_clock_has_left_behind_ends_on_a_page_with_a_way_back(
    time_machine: FaultWorld, party: RelyingParty, account: Account
) -> None:
    browser = time_machine.browser()
    page = browser.log_in(browser.get(party.begin().url), account.username, account.password)
    time_machine.clock.move(seconds=HOUR_S)
    form = find_form(page, "consent-form")
    reply = browser.post(f"{time_machine.issuer}/consent", form.with_values(decision="allow"))
    assert reply.status == 400
    assert 'id="error-page"' in reply.text
    assert party.redirect_uri.split("/callback")[0] in reply.text


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S, -10 * YEAR_S])
def test_whole_flows_work_at_any_time_and_readiness_says_that_the_clock_is_wrong(
    time_machine: FaultWorld, party: RelyingParty, account: Account, jump_s: int
) -> None:
    assert time_machine.try_get("/readyz").status == 200
    time_machine.clock.move(seconds=jump_s)
    tokens = time_machine.get_tokens(party, account)
    assert party.userinfo(tokens.access_token).status == 200
    assert tokens.claims["exp"] - tokens.claims["iat"] == 300
    not_ready = time_machine.try_get("/readyz")
    assert (not_ready.status, time_machine.try_get("/livez").status) == (503, 200)
    assert "clock" in not_ready.json()["reason"]


def test_a_session_that_was_idle_for_too_long_is_over(
    time_machine: FaultWorld, party: RelyingParty, account: Account
) -> None:
    browser = time_machine.browser()
    time_machine.get_code(party, account, browser=browser)
    time_machine.clock.move(seconds=HOUR_S + MINUTE_S)
    assert 'id="login-form"' in browser.get(party.begin().url).text
