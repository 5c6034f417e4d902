"""Passwords from elsewhere, tried on many accounts: who is told, who gets fewer guesses, and who notices nothing."""

import secrets
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.services.list_audit import list_audit
from app.services.throttle_logins import (
    ACCOUNTS_FROM_NETWORK,
    LOGINS_OF_ACCOUNT,
    LOGINS_OF_ACCOUNT_FROM_NETWORK,
    LOGINS_ON_KNOWN_DEVICE,
)
from app.services.watch_logins import ALARM_LASTS_MS
from tests.actors.http import send
from tests.actors.mail_server import MailServer
from tests.attacks.guessing import Guesser, any_address
from tests.conftest import run_world
from tests.databases import migrated_database_url
from tests.deployments import Operator
from tests.patience import wait_until
from tests.world import World

ALARM_FAILURES = 20


def _alarms(operator: Operator, seen_at: str) -> list[dict[str, object]]:
    events = list_audit(operator.deployment, event_type="stuffing.detected", with_personal=True)
    return [{**event.body, **event.personal} for event in events if event.body["seen_at"] == seen_at]


def test_a_network_that_tries_many_accounts_is_told_of_and_held_up(guarded: World) -> None:
    guesser, address = Guesser(guarded), any_address()
    for _ in range(ACCOUNTS_FROM_NETWORK.free):
        assert guesser.guess(f"user-{secrets.token_hex(4)}", address=address).status == 200
    assert guesser.guess(f"user-{secrets.token_hex(4)}", address=address).status == 429

    def told() -> list[dict[str, object]]:
        return [alarm for alarm in _alarms(guarded.operator, "network") if alarm["address"] == address]

    wait_until(lambda: len(told()) == 1)
    assert told()[0]["accounts"] == ACCOUNTS_FROM_NETWORK.free


def test_an_office_whose_people_mistype_and_then_get_in_is_no_attacker(guarded: World) -> None:
    guesser, address = Guesser(guarded), any_address()
    account = guarded.operator.add_user()
    for _ in range(ACCOUNTS_FROM_NETWORK.free + 3):
        assert guesser.guess(account.username, address=address).status == 200
        assert guesser.guess(account.username, account.password, address=address).status == 303
        guesser.forget_device()
    assert guesser.guess(f"user-{secrets.token_hex(4)}", address=address).status == 200


def test_the_owner_hears_once_a_day_that_somebody_guesses(guarded: World, mails: MailServer) -> None:
    account, guesser = guarded.operator.add_user(), Guesser(guarded)
    for _ in range(LOGINS_OF_ACCOUNT.free):
        assert guesser.guess(account.username).status == 200
    to = f"{account.username}@example.com"
    assert "many wrong passwords" in mails.wait_for(to).text
    guarded.clock.move(seconds=61)
    assert Guesser(guarded).guess(account.username).status == 200, "one more, after the wait"
    assert len(list_audit(guarded.operator.deployment, event_type="login.throttled", sub=account.sub)) == 1
    assert len(mails.to(to)) == 1


# ----- The whole site -----


@pytest.fixture(scope="module")
def alarmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A small site, on which few failures are many."""
    directory = tmp_path_factory.mktemp("alarmed")
    with migrated_database_url("sqlite", directory) as database_url:
        yield from run_world(
            directory,
            database_url,
            rate_limits="off",
            trusted_proxies="127.0.0.0/8",
            metrics_networks="127.0.0.0/8",
            stuffing_alarm_failures=str(ALARM_FAILURES),
        )


def test_an_attack_from_everywhere_leaves_unknown_devices_less_and_known_ones_as_they_were(alarmed: World) -> None:
    owner, other = alarmed.operator.add_user(), alarmed.operator.add_user()
    own = Guesser(alarmed)
    assert own.guess(owner.username, owner.password).status == 303
    guesser = Guesser(alarmed)
    for _ in range(ALARM_FAILURES):
        assert guesser.guess(f"user-{secrets.token_hex(4)}").status == 200
    wait_until(lambda: len(_alarms(alarmed.operator, "site")) == 1)
    # From one network a quarter of the guesses is left.
    address = any_address()
    statuses = [guesser.guess(other.username, address=address).status for _ in range(4)]
    free = LOGINS_OF_ACCOUNT_FROM_NETWORK.tightened().free
    assert statuses == [200] * free + [429] * (4 - free)
    assert guesser.guess(other.username, other.password).status == 303, "a right password still gets in from elsewhere"
    # The owner on a device of theirs has as many as ever, at the very account that is attacked.
    for _ in range(LOGINS_OF_ACCOUNT.tightened().free):
        guesser.guess(owner.username)
    assert guesser.guess(owner.username, owner.password).status == 429
    for _ in range(LOGINS_ON_KNOWN_DEVICE.free - 1):
        assert Guesser(alarmed, own.browser).guess(owner.username).status == 200
    assert Guesser(alarmed, own.browser).guess(owner.username, owner.password).status == 303
    counted = {
        sample.labels["seen_at"]: sample.value
        for family in text_string_to_metric_families(send(f"{alarmed.url}/metrics").text)
        for sample in family.samples
        if sample.name == "tokenhouse_stuffing_detected_total"
    }
    assert counted["site"] == 1
    alarmed.clock.move(seconds=ALARM_LASTS_MS // 1000 + 1)
    guesser = Guesser(alarmed)
    assert [guesser.guess(other.username, address=any_address()).status for _ in range(6)] == [200] * 6, "it is over"
