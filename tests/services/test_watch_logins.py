"""When many failed logins are an attack, and when they are only Monday morning."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.list_audit import list_audit
from app.services.watch_logins import ALARM_LASTS_MS, SLOT_MS, LoginWatch
from tests.databases import BACKENDS, migrated_database_url
from tests.deployments import Operator, make_deployment, make_environment

FLOOR = 100
DAY_MS = 86_400_000


class Site:
    """A deployment whose logins a test makes up, at the times that it says."""

    def __init__(self, operator: Operator, now: list[int]) -> None:
        self.operator = operator
        self.now = now

    @property
    def watch(self) -> LoginWatch:
        """What is tested."""
        return self.operator.deployment.login_watch

    def see(self, *, failures: int = 0, right: int = 0, known: int = 0) -> None:
        """So many logins at this moment, written."""
        for _ in range(failures):
            self.watch.note(on_known_device=False, was_right=False)
        for _ in range(right):
            self.watch.note(on_known_device=False, was_right=True)
        for _ in range(known):
            self.watch.note(on_known_device=True, was_right=False)
        self.watch.flush()

    @property
    def is_alarmed(self) -> bool:
        """Whether the alarm is on."""
        with self.operator.deployment.database.reading() as connection:
            return self.watch.is_alarmed(connection, now=self.now[0])


@pytest.fixture(params=BACKENDS)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    now = [1_800_000_000_000]
    with migrated_database_url(request.param, tmp_path) as database_url:
        environment = make_environment(issuer="https://auth.example", database_url=database_url, directory=tmp_path)
        operator = Operator(make_deployment(environment, clock=lambda: now[0]), clock=lambda: now[0])
        yield Site(operator, now)
        operator.close()


def test_fewer_failures_than_the_floor_are_no_attack(site: Site) -> None:
    site.see(failures=FLOOR - 1)
    assert not site.is_alarmed
    site.see(failures=1)
    assert site.is_alarmed
    site.now[0] += ALARM_LASTS_MS
    assert not site.is_alarmed


def test_failures_in_two_slots_count_together_and_older_ones_do_not(site: Site) -> None:
    site.see(failures=FLOOR // 2)
    site.now[0] += SLOT_MS
    site.see(failures=FLOOR // 2 - 1)
    assert not site.is_alarmed
    site.now[0] += SLOT_MS
    site.see(failures=FLOOR // 2)
    assert not site.is_alarmed, "the first half is over"


def test_what_is_usual_here_is_no_attack_and_five_times_as_much_is(site: Site) -> None:
    slots_a_day = DAY_MS // SLOT_MS
    site.see(failures=slots_a_day * FLOOR, right=slots_a_day * FLOOR + 1)
    site.now[0] += 2 * DAY_MS
    # In two days: half of FLOOR in each slot, FLOOR in ten minutes.
    site.see(failures=4 * FLOOR)
    assert not site.is_alarmed
    site.see(failures=FLOOR + 10)
    assert site.is_alarmed


def test_failures_among_as_many_good_logins_or_on_known_devices_are_no_attack(site: Site) -> None:
    site.see(failures=FLOOR, right=FLOOR + 1)
    assert not site.is_alarmed
    site.now[0] += DAY_MS
    site.see(known=3 * FLOOR)
    assert not site.is_alarmed


def test_an_attack_that_goes_on_is_one_alarm(site: Site) -> None:
    for _ in range(3):
        site.see(failures=FLOOR)
        site.now[0] += SLOT_MS
    assert len(list_audit(site.operator.deployment, event_type="stuffing.detected")) == 1
    site.now[0] += ALARM_LASTS_MS - 2 * SLOT_MS
    assert site.is_alarmed, "half an hour after the last of it"
