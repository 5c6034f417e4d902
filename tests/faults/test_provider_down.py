"""Fault 12: a provider hangs, breaks off, talks nonsense, or shows an expired certificate. Others sign in as ever."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services.upstream_channel import DEADLINE_S, FAILURES_UNTIL_OPEN, MOST_AT_ONE_PROVIDER, OPEN_FOR_MS
from tests.actors.browser import Browser
from tests.actors.http import Reply
from tests.actors.misbehaving_provider import MisbehavingProvider
from tests.actors.other_provider import fields_of
from tests.attacks.test_upstream_callback import register
from tests.services.other_host import CertificateAuthority
from tests.world import World

pytestmark = pytest.mark.parametrize("shared_reaching_world", ["sqlite"], indirect=True)
TOTAL_DEADLINE_S = 10
METADATA = "/.well-known/openid-configuration"


@pytest.fixture
def provider(reaching_world: World) -> Iterator[MisbehavingProvider]:
    with MisbehavingProvider(reaching_world.clock) as provider:
        yield provider


def press(world: World, name: str, browser: Browser, page: Reply) -> Reply:
    action = f"/login/with/{name}"
    return browser.send_once(
        f"{world.issuer}{action}", fields=fields_of(page, action), headers={"Origin": browser.origin}
    )


def begin(world: World) -> tuple[Browser, Reply]:
    browser = world.browser()
    return browser, browser.get(world.relying_party().begin().url)


def assert_unavailable(reply: Reply) -> None:
    assert reply.status == 503, (reply.status, reply.text[:1000])
    assert reply.headers["retry-after"]
    assert "/login?transaction=" in reply.text


def test_12_a_provider_that_hangs_holds_up_itself_alone(reaching_world: World, provider: MisbehavingProvider) -> None:
    name, account = register(reaching_world, provider), reaching_world.operator.add_user()
    provider.wrong.hangs = frozenset({METADATA})
    comers = [begin(reaching_world) for _ in range(MOST_AT_ONE_PROVIDER * 3)]
    began = time.monotonic()
    with ThreadPoolExecutor(len(comers)) as threads:
        waiting = [threads.submit(press, reaching_world, name, *comer) for comer in comers]
        # While some of them wait for the provider, somebody signs in by a password.
        browser, page = begin(reaching_world)
        assert 'id="consent-form"' in browser.log_in(page, account.username, account.password).text
        assert not all(each.done() for each in waiting)
        for each in waiting:
            assert_unavailable(each.result())
    assert time.monotonic() - began < TOTAL_DEADLINE_S + DEADLINE_S
    assert provider.asked[METADATA] <= MOST_AT_ONE_PROVIDER
    # Those who came meanwhile were told at once; from now on nobody waits, until it is asked again whether it is back.
    began = time.monotonic()
    assert_unavailable(press(reaching_world, name, *begin(reaching_world)))
    assert time.monotonic() - began < DEADLINE_S / 2
    provider.wrong.hangs = frozenset()
    provider.over.set()
    reaching_world.clock.move(seconds=OPEN_FOR_MS / 1000)
    assert press(reaching_world, name, *begin(reaching_world)).status == 303


def test_12_one_deadline_for_the_whole_way_back(reaching_world: World, provider: MisbehavingProvider) -> None:
    name = register(reaching_world, provider)
    browser, page = begin(reaching_world)
    back = provider.authorize(press(reaching_world, name, browser, page).location)
    provider.wrong.hangs = frozenset({"/token"})
    began = time.monotonic()
    assert_unavailable(browser.get(back))
    assert time.monotonic() - began < TOTAL_DEADLINE_S + 2
    # The request waits for another try.
    provider.wrong.hangs = frozenset()
    assert press(reaching_world, name, browser, page).status == 303


@pytest.mark.parametrize("how", ["resets", "nonsense", "no object", "down"])
def test_12_a_provider_that_breaks_is_left_alone_after_some_tries(
    reaching_world: World, provider: MisbehavingProvider, how: str
) -> None:
    name = register(reaching_world, provider)
    if how == "resets":
        provider.wrong.resets = frozenset({METADATA})
    elif how == "down":
        provider.wrong.statuses[METADATA] = 503
    else:
        provider.wrong.bodies[METADATA] = b"<html>" if how == "nonsense" else b"[]"
    for _ in range(FAILURES_UNTIL_OPEN + 2):
        assert_unavailable(press(reaching_world, name, *begin(reaching_world)))
    assert provider.asked[METADATA] == FAILURES_UNTIL_OPEN
    provider.wrong.resets, provider.wrong.statuses, provider.wrong.bodies = frozenset(), {}, {}
    reaching_world.clock.move(seconds=OPEN_FOR_MS / 1000)
    assert press(reaching_world, name, *begin(reaching_world)).status == 303


def test_12_an_expired_certificate_is_no_certificate(reaching_world: World, authority: CertificateAuthority) -> None:
    for expired in (True, False):
        with MisbehavingProvider(reaching_world.clock, authority.serve("127.0.0.1", expired=expired)) as provider:
            name = register(reaching_world, provider)
            reply = press(reaching_world, name, *begin(reaching_world))
            if expired:
                assert_unavailable(reply)
                assert provider.asked[METADATA] == 0
            else:
                assert reply.status == 303


def test_12_metadata_that_was_there_serves_on_while_it_is_not(
    reaching_world: World, provider: MisbehavingProvider
) -> None:
    name = register(reaching_world, provider)
    assert press(reaching_world, name, *begin(reaching_world)).status == 303
    provider.wrong.statuses[METADATA] = 503
    reaching_world.clock.move(seconds=3601)
    assert press(reaching_world, name, *begin(reaching_world)).status == 303
