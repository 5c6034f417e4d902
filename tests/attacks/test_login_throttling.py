"""Guessing passwords (cases 106 to 109): what it costs, how often it may be tried, and whom it must not hurt."""

import secrets
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services.limit_guesses import WAITS_MS
from app.services.list_audit import list_audit
from app.services.manage_users import NewUser, add_user, disable_user, show_user, sign_out_user, unlock_user
from app.services.show_activity import list_user_sessions, show_activity
from app.services.throttle_logins import (
    ACCOUNTS_FROM_NETWORK,
    LOGINS_FROM_NETWORK,
    LOGINS_OF_ACCOUNT,
    LOGINS_OF_ACCOUNT_FROM_NETWORK,
    LOGINS_ON_KNOWN_DEVICE,
)
from tests.actors.http import Reply, send
from tests.attacks.guessing import LONGEST_WAIT_S, Guesser, any_address, assert_throttled, lock, own_browser
from tests.conftest import run_world
from tests.databases import migrated_database_url
from tests.deployments import PASSWORD, REAL_HASH
from tests.patience import wait_until
from tests.world import World

ATTEMPTS_PER_ACCOUNT = LOGINS_OF_ACCOUNT.free
ATTEMPTS_PER_ADDRESS = LOGINS_FROM_NETWORK.free
ATTEMPTS_PER_KNOWN_DEVICE = LOGINS_ON_KNOWN_DEVICE.free

# What is counted is counted in one place, so what counts as one is shown on one database.
on_sqlite = pytest.mark.parametrize("proxied", ["sqlite"], indirect=True)


# ----- Case 107: how often -----


def test_107_after_so_many_failures_even_the_right_password_waits(guarded: World) -> None:
    account, guesser = guarded.operator.add_user(), Guesser(guarded)
    for _ in range(ATTEMPTS_PER_ACCOUNT):
        assert guesser.guess(account.username).status == 200
    assert_throttled(guesser.guess(account.username))
    assert_throttled(guesser.guess(account.username, account.password))
    guarded.clock.move(seconds=LONGEST_WAIT_S + 1)
    assert Guesser(guarded).guess(account.username, account.password).status == 303


@on_sqlite
def test_107_a_name_that_nobody_has_is_throttled_like_one_that_somebody_has(guarded: World) -> None:
    guesser, name = Guesser(guarded), f"user-{secrets.token_hex(4)}"
    statuses = [guesser.guess(name).status for _ in range(ATTEMPTS_PER_ACCOUNT + 1)]
    assert statuses == [200] * ATTEMPTS_PER_ACCOUNT + [429]


@on_sqlite
def test_107_spellings_of_one_name_share_one_count(guarded: World) -> None:
    account, guesser = guarded.operator.add_user(), Guesser(guarded)
    spellings = [account.username, account.username.upper(), f" {account.username}", account.username.title()]
    for number in range(ATTEMPTS_PER_ACCOUNT):
        assert guesser.guess(spellings[number % len(spellings)]).status == 200
    assert_throttled(guesser.guess(account.username))


def test_107_a_hundred_parallel_guesses_are_not_more_guesses(guarded: World) -> None:
    account, guesser = guarded.operator.add_user(), Guesser(guarded)
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: guesser.guess(account.username), range(100)))
    statuses = [reply.status for reply in replies]
    # 503: the password pool was full, so nothing was guessed and nothing is counted.
    assert set(statuses) <= {200, 429, 503}
    assert 0 < statuses.count(200) <= ATTEMPTS_PER_ACCOUNT
    assert 429 in statuses
    for _ in range(ATTEMPTS_PER_ACCOUNT - statuses.count(200)):
        assert guesser.guess(account.username).status == 200
    assert_throttled(guesser.guess(account.username, account.password))


def test_107_every_guess_beyond_the_free_ones_waits_longer_and_no_longer_than_a_quarter_of_an_hour(
    guarded: World,
) -> None:
    account, guesser, address = guarded.operator.add_user(), Guesser(guarded), any_address()
    for _ in range(LOGINS_OF_ACCOUNT_FROM_NETWORK.free - 1):
        assert guesser.guess(account.username, address=address).status == 200
    waits_s: list[int] = []
    for _ in range(len(WAITS_MS) + 3):
        guesser = Guesser(guarded)
        assert guesser.guess(account.username, address=address).status == 200
        refused = guesser.guess(account.username, account.password, address=address)
        assert_throttled(refused)
        waits_s.append(int(refused.headers["retry-after"]))
        guarded.clock.move(seconds=waits_s[-1])
    assert waits_s[:4] == sorted(set(waits_s[:4])), "each longer than the one before"
    assert max(waits_s) <= LONGEST_WAIT_S
    assert Guesser(guarded).guess(account.username, account.password, address=address).status == 303, "not for good"


@on_sqlite
def test_108_one_address_alone_never_locks_an_account_for_others(guarded: World) -> None:
    account, address = guarded.operator.add_user(), any_address()
    guesser = Guesser(guarded)
    for _ in range(ATTEMPTS_PER_ACCOUNT + 10):
        refused = guesser.guess(account.username, address=address)
        if refused.status == 429:
            guarded.clock.move(seconds=int(refused.headers["retry-after"]))
            guesser = Guesser(guarded)
    assert Guesser(guarded).guess(account.username, account.password).status == 303


def test_107_a_success_resets_the_accounts_count(guarded: World) -> None:
    account = guarded.operator.add_user()
    for _ in range(2):
        guesser = Guesser(guarded)
        for _ in range(ATTEMPTS_PER_ACCOUNT - 1):
            assert guesser.guess(account.username).status == 200
        assert guesser.guess(account.username, account.password).status == 303


@on_sqlite
def test_107_one_address_cannot_try_many_names(guarded: World) -> None:
    guesser, address, account = Guesser(guarded), any_address(), guarded.operator.add_user()
    for _ in range(ACCOUNTS_FROM_NETWORK.free):
        assert guesser.guess(f"user-{secrets.token_hex(4)}", address=address).status == 200
    assert_throttled(guesser.guess(account.username, account.password, address=address))
    assert guesser.guess(account.username, account.password).status == 303, "the account itself is not locked"


def test_107_one_address_cannot_try_few_names_often(guarded: World) -> None:
    guesser, address = Guesser(guarded), any_address()
    names = [f"user-{secrets.token_hex(4)}" for _ in range(10)]
    for number in range(ATTEMPTS_PER_ADDRESS):
        assert guesser.guess(names[number % 10], address=address).status == 200
    assert_throttled(guesser.guess(guarded.operator.add_user().username, address=address))


@on_sqlite
def test_107_an_ipv6_network_is_one_address(guarded: World) -> None:
    guesser, network = Guesser(guarded), f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}"
    for number in range(ACCOUNTS_FROM_NETWORK.free):
        name = f"user-{secrets.token_hex(4)}"
        assert guesser.guess(name, address=f"{network}::{number + 1:x}").status == 200
    assert_throttled(guesser.guess("anybody", address=f"{network}:ffff::1"))


@on_sqlite
def test_107_a_good_login_of_the_attackers_own_does_not_wash_their_guesses_away(guarded: World) -> None:
    own, address = guarded.operator.add_user(), any_address()
    guesser = Guesser(guarded)
    for number in range(ACCOUNTS_FROM_NETWORK.free):
        if number % 10 == 5:
            assert guesser.guess(own.username, address=address).status == 200
            assert guesser.guess(own.username, own.password, address=address).status == 303
            guesser.forget_device()
        assert guesser.guess(f"user-{secrets.token_hex(4)}", address=address).status == 200
    assert_throttled(guesser.guess(f"user-{secrets.token_hex(4)}", address=address))


@on_sqlite
def test_an_office_behind_one_address_is_not_throttled_for_logging_in(guarded: World) -> None:
    guesser, address, account = Guesser(guarded), any_address(), guarded.operator.add_user()
    for number in range(ATTEMPTS_PER_ADDRESS + 5):
        if number % 2:
            assert guesser.guess(account.username, address=address).status == 200, "people mistype"
        assert guesser.guess(account.username, account.password, address=address).status == 303
        guesser.forget_device()


def test_every_refused_login_is_in_the_audit_trail_with_its_reason(guarded: World) -> None:
    account, guesser = guarded.operator.add_user(), Guesser(guarded)
    free = LOGINS_OF_ACCOUNT_FROM_NETWORK.free
    for _ in range(free + 1):
        guesser.guess(account.username, address="192.0.2.77")
    deployment = guarded.operator.deployment

    def reasons() -> list[str]:
        events = list_audit(deployment, event_type="login.refused", sub=account.sub, with_personal=True)
        assert all(event.personal["address"] == "192.0.2.77" for event in events)
        return sorted(event.body["reason"] for event in events)

    wait_until(lambda: reasons() == ["password"] * free + ["throttled:account_from_network"])


# ----- Case 108: whom it must not hurt -----


def test_108_the_owner_on_a_device_of_theirs_is_not_locked_out_by_others(guarded: World) -> None:
    account = guarded.operator.add_user()
    browser = own_browser(guarded, account)
    stranger = lock(guarded, account)
    assert_throttled(stranger.guess(account.username, account.password))
    assert Guesser(guarded, browser).guess(account.username, account.password).status == 303


@on_sqlite
def test_108_a_device_that_only_another_person_used_is_no_key(guarded: World) -> None:
    account, other = guarded.operator.add_user(), guarded.operator.add_user()
    others_browser = own_browser(guarded, other)
    lock(guarded, account)
    assert_throttled(Guesser(guarded, others_browser).guess(account.username, account.password))


@on_sqlite
def test_108_a_known_device_has_a_limit_of_its_own(guarded: World) -> None:
    account = guarded.operator.add_user()
    guesser = Guesser(guarded, own_browser(guarded, account))
    for _ in range(ATTEMPTS_PER_KNOWN_DEVICE):
        assert guesser.guess(account.username).status == 200
    assert_throttled(guesser.guess(account.username, account.password))
    # Its failures are its own: from anywhere else the account can be used.
    assert Guesser(guarded).guess(account.username, account.password).status == 303


@on_sqlite
def test_108_a_made_up_device_is_not_known(guarded: World) -> None:
    account = guarded.operator.add_user()
    browser = own_browser(guarded, account)
    (name,) = (name for name in browser.cookies if "-device" in name)
    lock(guarded, account)
    browser.cookies[name] = browser.cookies[name][:-1] + ("A" if browser.cookies[name][-1] != "A" else "B")
    assert_throttled(Guesser(guarded, browser).guess(account.username, account.password))


def test_108_an_operator_sees_that_somebody_has_to_wait_and_lets_them_in_again(guarded: World) -> None:
    account = guarded.operator.add_user()
    lock(guarded, account)
    deployment = guarded.operator.deployment
    user = show_user(deployment, account.username)
    waits_s = show_activity(deployment, user).waits_s
    assert waits_s is not None
    assert 0 < waits_s <= LONGEST_WAIT_S
    unlock_user(deployment, account.username)
    activity = show_activity(deployment, user)
    assert (activity.waits_s, activity.sessions, activity.last_login_at) == (None, 0, None)
    reply = Guesser(guarded).guess(account.username, account.password, address="192.0.2.9", user_agent="Somebody/1.0")
    assert reply.status == 303
    (session,) = list_user_sessions(deployment, user)
    assert (session.address, session.user_agent) == ("192.0.2.9", "Somebody/1.0")
    last_login_at = show_activity(deployment, user).last_login_at
    assert last_login_at is not None
    assert last_login_at >= session.created_at
    # What an operator did to a person is in that person's own history, and says who did it.
    sign_out_user(deployment, account.username)
    assert list_user_sessions(deployment, user) == ()
    actors = {event.type: event.actor for event in list_audit(deployment, sub=account.sub)}
    assert (actors["user.unlocked"], actors["user.signed_out"]) == ("operator", "operator")


# ----- Case 106: what it costs -----


@pytest.fixture(scope="module")
def small_pool_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Passwords that cost what they cost: one at a time, two may wait; many more threads than that."""
    directory = tmp_path_factory.mktemp("small-pool")
    with migrated_database_url("sqlite", directory) as database_url:
        yield from run_world(
            directory,
            database_url,
            rate_limits="off",
            trusted_proxies="127.0.0.0/8",
            password_hash_workers="1",
            password_hash_queue="2",
            threads=24,
            argon2=REAL_HASH,
        )


def test_106_whoever_cannot_log_in_costs_the_same(small_pool_world: World) -> None:
    """The bound is wide because machines are busy; without the dummy hash an unknown name costs a tenth."""
    world = small_pool_world
    deployment = world.operator.deployment
    names = {
        kind: [f"{kind}-{secrets.token_hex(4)}" for _ in range(5)]
        for kind in ("known", "unknown", "off", "passwordless")
    }
    for name in (*names["known"], *names["off"]):
        add_user(deployment, NewUser(username=name, email=f"{name}@example.com", password=PASSWORD))
    for name in names["off"]:
        disable_user(deployment, name)
    for name in names["passwordless"]:
        add_user(deployment, NewUser(username=name, email=f"{name}@example.com"))
    guesser = Guesser(world)
    durations: dict[str, list[float]] = {kind: [] for kind in names}
    for number in range(20):
        # One after the other, so that whatever slows the machine down slows all.
        for kind, people in names.items():
            password = PASSWORD if kind == "off" else "a wrong password, surely"
            began = time.perf_counter()
            assert guesser.guess(people[number % 5], password).status == 200
            durations[kind].append(time.perf_counter() - began)
    # The shortest of many: what others do on this machine only ever makes them longer.
    shortest = {kind: min(values) for kind, values in durations.items()}
    for kind in ("unknown", "off", "passwordless"):
        assert 0.6 < shortest[kind] / shortest["known"] < 1.6, (kind, shortest)
    page = [_time_of(lambda: guesser.browser.send_once(f"{world.issuer}/")) for _ in range(9)]
    assert min(shortest.values()) > 2 * min(page), "a hash is the greater part of a login's time"


def _time_of(work: object) -> float:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - began


# ----- Case 109: many at once -----


def test_109_two_hundred_parallel_logins_get_in_line_or_are_told_to_come_back(small_pool_world: World) -> None:
    world = small_pool_world
    accounts = [world.operator.add_user() for _ in range(4)]
    guessers = [Guesser(world) for _ in range(4)]
    lookups: list[float] = []

    def log_in(number: int) -> Reply:
        which = number % 4
        if number % 10 == 0:
            # Meanwhile programs are served as ever.
            began = time.monotonic()
            assert send(f"{world.url}/jwks").status == 200
            lookups.append(time.monotonic() - began)
        return guessers[which].guess(accounts[which].username, accounts[which].password)

    with ThreadPoolExecutor(40) as pool:
        replies = list(pool.map(log_in, range(200)))
    statuses = [reply.status for reply in replies]
    # 429: those that wait in line are counted until they turn out to be right.
    assert set(statuses) <= {303, 503, 429}, statuses
    assert 303 in statuses
    assert 503 in statuses
    for reply in replies:
        if reply.status != 303:
            assert int(reply.headers["retry-after"]) >= 1
            assert "set-cookie" not in reply.headers
            assert "<h1" in reply.text, "people read a page"
    assert statistics.median(lookups) < 1
    # What the server could not look at was not held against anybody.
    assert Guesser(world).guess(accounts[0].username, accounts[0].password).status == 303


@on_sqlite
def test_109_one_address_cannot_fill_the_line(guarded: World) -> None:
    address, guesser = any_address(), Guesser(guarded)
    names = [f"user-{secrets.token_hex(4)}" for _ in range(30)]
    with ThreadPoolExecutor(30) as pool:
        replies = list(pool.map(lambda name: guesser.guess(name, address=address), names))
    statuses = [reply.status for reply in replies]
    assert set(statuses) == {200, 429}, statuses
    assert guesser.guess(names[0]).status == 200, "from elsewhere there is a place at once"
