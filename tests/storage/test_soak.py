"""A month of use, on a moved clock: what has expired leaves, and no table grows for ever."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.services.housekeeping import Housekeeper
from app.storage.tables import metadata
from tests.actors.browser import Browser
from tests.actors.refreshing import OFFLINE, allow, refresh_token_of, refreshing_party
from tests.actors.relying_party import RelyingParty
from tests.attacks.test_authorization_details import detail
from tests.conftest import run_world
from tests.databases import BACKENDS, migrated_database_url
from tests.deployments import Account
from tests.patience import wait_until
from tests.world import World

DAY_S = 86_400
DAYS = 30
# A refresh token lives a week, what was spent or revoked is seen for a day more, audit rows are kept for a day here.
SETTLED_AFTER_DAYS = 12


@pytest.fixture(params=BACKENDS)
def month(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with migrated_database_url(request.param, tmp_path) as database_url:
        yield from run_world(
            tmp_path,
            database_url,
            rate_limits="off",
            refresh_token_idle_lifetime_s=str(7 * DAY_S),
            refresh_token_absolute_lifetime_s=str(7 * DAY_S),
            audit_retention_s=str(DAY_S),
        )


def count_rows(world: World) -> dict[str, int]:
    """The size of every table."""
    with world.operator.deployment.database.reading() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }


def purge_until_nothing_is_left(world: World, housekeeper: Housekeeper) -> None:
    """By this process, or by the server where that holds the lease; a lease is over an hour later."""
    world.clock.move(seconds=3600)
    passes = 0

    def is_done() -> bool:
        nonlocal passes
        passes = passes + 1 if housekeeper.purge() == 0 else 0
        housekeeper.keep_status_lists()
        return passes >= 3

    wait_until(is_done, within_s=60)


@dataclass
class Regular:
    """A person who comes back every day, with the browser that they always use."""

    account: Account
    browser: Browser
    families: list[str] = field(default_factory=list)


def use_a_day(world: World, party: RelyingParty, regular: Regular, api: str, type_: str) -> None:
    """What happens in a day: a login, a family that is refreshed, one that is ended, a code that nobody fetches."""
    request = {"scope": f"{OFFLINE} photos.read", "resource": api}
    details = json.dumps([detail(type_)])
    account, browser, families = regular.account, regular.browser, regular.families
    tokens = allow(world, party, account, browser=browser, authorization_details=details, **request)
    families.append(refresh_token_of(tokens))
    for position, token in enumerate(families):
        reply = party.try_refresh(token)
        families[position] = reply.json()["refresh_token"] if reply.status == 200 else ""
    families[:] = [token for token in families if token]
    ended = allow(world, party, account, browser=browser, **request)
    revoked = party.ask_for_tokens({"grant_type": "refresh_token", "refresh_token": refresh_token_of(ended)})
    reused = [party.try_refresh(refresh_token_of(ended), scope="openid") for _ in range(7)]
    assert revoked.status == 200
    assert reused[-1].status == 400
    world.get_code(party, account, browser=browser, scope="openid")
    world.browser().get(party.begin().url)


def check_a_month(world: World, *, step_days: int) -> None:
    """No table is larger at its end than it was when everything had settled."""
    regular, api = Regular(world.operator.add_user(), world.browser()), world.operator.add_resource()
    party, type_ = refreshing_party(world), world.operator.add_details_type()
    housekeeper = Housekeeper(world.operator.deployment)
    sizes: dict[int, dict[str, int]] = {}
    outlived = 0
    for day in range(0, DAYS + step_days, step_days):
        before = len(regular.families)
        use_a_day(world, party, regular, api, type_)
        outlived += before + 1 - len(regular.families)
        purge_until_nothing_is_left(world, housekeeper)
        sizes[day] = count_rows(world)
        world.clock.move(seconds=step_days * DAY_S - 3600)
    assert outlived > 2, "families end after a week, used or not"
    settled, last = sizes[next(day for day in sizes if day >= SETTLED_AFTER_DAYS)], sizes[max(sizes)]
    # Counted after a purge at the same time of the day, so that nothing but the week's own tokens differs.
    # Refusals are written in batches, some of them a little later; and whether the last hour's list was reached by one
    # process or by both, and so in how many blocks, is the hour's chance.
    late = {"audit_events": 20, "login_rates": 2, "status_blocks": 2, "status_lists": 1}
    growth = {name: (settled[name], last[name]) for name in last if last[name] > settled[name] + late.get(name, 0)}
    assert not growth, growth
    assert last["refresh_tokens"] > 0, "the last week is still there"
    world.clock.move(seconds=10 * DAY_S)
    purge_until_nothing_is_left(world, housekeeper)
    emptied = count_rows(world)
    left = {
        name: emptied[name]
        for name in (
            *("access_tokens", "authorization_codes", "authorization_transactions", "grants", "opaque_tokens"),
            *("refresh_tokens", "sessions", "authentication_events", "session_clients", "used_identifiers"),
            "login_throttle",
        )
        if emptied[name]
    }
    assert not left, left


def test_a_month_in_steps_of_three_days_leaves_tables_as_they_were(month: World) -> None:
    check_a_month(month, step_days=3)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_month_in_steps_of_one_day_leaves_tables_as_they_were(month: World) -> None:
    check_a_month(month, step_days=1)
