"""Where somebody is signed in and what happened to their account, on pages that show nothing of anybody else."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import pytest

from app.services.deployment import Deployment
from app.services.list_audit import list_audit
from app.services.manage_clients import disable_client, remove_client
from app.services.manage_users import disable_user, enable_user, set_user, show_user
from app.services.record_event import Event
from app.services.show_activity import list_user_sessions, show_activity
from tests.actors.account import open_account, press
from tests.actors.browser import find_form
from tests.world import World

ACTIVITY, SESSIONS = "/account/activity", "/account/sessions"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
pytestmark = pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True)


def record(world: World, sub: str, *types: str) -> None:
    """Let things have happened to a person."""
    deployment = world.operator.deployment
    for event_type in types:
        event = Event(type=event_type, actor="user", sub=sub)
        deployment.database.transact(lambda connection, event=event: deployment.recorder.record(connection, event))


# ----- Sessions -----


def test_each_session_is_shown_with_its_device_and_address(world: World) -> None:
    account, elsewhere = world.operator.add_user(), world.browser()
    elsewhere.headers["User-Agent"] = FIREFOX
    open_account(world, account, SESSIONS, browser=elsewhere)
    here = open_account(world, account, SESSIONS)
    page = here.get(f"{world.issuer}{SESSIONS}")
    titles = re.findall(r"<h2>(.*?)</h2>", page.text)
    assert len(titles) == 2
    assert "This device" in titles[0]
    assert titles[1] == "<bdi>Firefox on Windows</bdi>"
    assert page.text.count("<code>127.0.0.1</code>") == 2
    assert page.text.count("<dt>By</dt><dd>password</dd>") == 2


def test_a_session_is_ended_from_another_and_nothing_else_is(world: World) -> None:
    account = world.operator.add_user()
    elsewhere, here = (open_account(world, account, SESSIONS) for _ in range(2))
    page = here.get(f"{world.issuer}{SESSIONS}")
    answer = press(here, find_form(page, "session-2"))
    assert "You are signed out there" in answer.text
    assert 'id="session-2"' not in answer.text
    assert 'id="login-form"' in elsewhere.get(f"{world.issuer}{SESSIONS}").text
    # Once more, it is no longer there.
    assert press(here, find_form(page, "session-2")).status == 404


def test_everything_else_is_ended_at_once(world: World) -> None:
    account = world.operator.add_user()
    others = [open_account(world, account, SESSIONS) for _ in range(2)]
    here = open_account(world, account, SESSIONS)
    answer = press(here, find_form(here.get(f"{world.issuer}{SESSIONS}"), "end-other-sessions-form"))
    assert "signed out everywhere else" in answer.text
    assert all('id="login-form"' in other.get(f"{world.issuer}{SESSIONS}").text for other in others)


def test_a_session_that_was_left_idle_is_neither_listed_nor_counted_but_ends_with_the_others(world: World) -> None:
    account = world.operator.add_user()
    open_account(world, account, SESSIONS)
    world.clock.move(seconds=3590)
    elsewhere, here = (open_account(world, account, SESSIONS) for _ in range(2))
    world.clock.move(seconds=20)
    assert elsewhere.get(f"{world.issuer}{SESSIONS}").text.count('id="session-') == 2
    page = here.get(f"{world.issuer}/account/security")
    assert "You are signed in in 1 other browser." in page.text
    answer = press(here, find_form(page, "end-other-sessions-form"))
    assert "You are signed out in 1 browser." in answer.text
    with world.operator.deployment.database.reading() as connection:
        query = (
            "SELECT count(*) FROM sessions WHERE revoked_at IS NULL AND user_id = (SELECT id FROM users WHERE sub = ?)"
        )
        assert connection.exec_driver_sql(query, (account.sub,)).scalar_one() == 1


def test_who_signs_out_here_is_signed_out(world: World) -> None:
    here = open_account(world, world.operator.add_user(), SESSIONS)
    answer = press(here, find_form(here.get(f"{world.issuer}{SESSIONS}"), "session-1"))
    assert 'id="logged-out"' in answer.text
    assert 'id="login-form"' in here.get(f"{world.issuer}{SESSIONS}").text


def test_another_persons_session_answers_like_an_unknown_one(world: World) -> None:
    victim, attacker = (open_account(world, world.operator.add_user(), SESSIONS) for _ in range(2))
    theirs = dict(find_form(victim.get(f"{world.issuer}{SESSIONS}"), "session-1").fields)["session"]
    form = find_form(attacker.get(f"{world.issuer}{SESSIONS}"), "session-1")
    foreign, unknown = (press(attacker, form, session=reference) for reference in (theirs, "0" * 32))
    assert foreign.status == unknown.status == 404
    assert foreign.text == unknown.text
    assert victim.get(f"{world.issuer}{SESSIONS}").status == 200


def test_a_form_without_our_token_signs_nobody_out(world: World) -> None:
    here = open_account(world, world.operator.add_user(), SESSIONS)
    form = find_form(here.get(f"{world.issuer}{SESSIONS}"), "session-1")
    assert press(here, form, csrf_token=None).status == 403
    assert press(here, form, csrf_token="0" * 64).status == 403
    assert here.get(f"{world.issuer}{SESSIONS}").status == 200


# ----- Activity -----


def test_what_happened_is_told_in_sentences_with_ones_own_address(world: World) -> None:
    account, browser = world.operator.add_user(), world.browser()
    browser.headers["User-Agent"] = FIREFOX
    world.get_tokens(world.relying_party(client_name="Bird watch"), account, browser=browser)
    page = open_account(world, account, ACTIVITY, browser=browser).get(f"{world.issuer}{ACTIVITY}")
    assert "You signed in." in page.text
    assert "“Bird watch” was given access." in page.text
    assert "Firefox on Windows" in page.text
    assert "<code>127.0.0.1</code>" in page.text
    # Each fresh token is an event, and none of them is news.
    assert "used its access" not in page.text


def test_what_was_done_to_applications_says_from_where(world: World) -> None:
    account, browser = world.operator.add_user(), world.browser()
    browser.headers["User-Agent"] = FIREFOX
    world.get_tokens(world.relying_party(client_name="Bird watch"), account, browser=browser)
    applications = browser.get(f"{world.issuer}/account/applications")
    press(browser, find_form(applications, "disconnect-1"))
    page = browser.get(f"{world.issuer}{ACTIVITY}")
    for sentence in ("“Bird watch” was given access.", "You ended all that “Bird watch” could do for you."):
        (circumstances,) = re.findall(re.escape(sentence) + r".*?<p class=\"small\">(.*?)</p>", page.text, re.DOTALL)
        assert "Firefox on Windows" in circumstances
        assert "<code>127.0.0.1</code>" in circumstances


def test_what_the_administrator_did_is_said_to_be_theirs(world: World) -> None:
    account = world.operator.add_user()
    disable_user(world.operator.deployment, account.username)
    enable_user(world.operator.deployment, account.username)
    page = open_account(world, account, ACTIVITY).get(f"{world.issuer}{ACTIVITY}")
    for sentence in ("made the account", "locked the account", "unlocked the account"):
        assert f"The administrator {sentence}." in page.text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"is_admin": True}, "The administrator made you an administrator, too."),
        ({"email": "another@example.net"}, "The administrator changed your e-mail address."),
        ({"claims": {"name": "Ada"}}, "The administrator changed your profile."),
        (
            {"claims": {"email_verified": True}},
            "The administrator changed your profile. The administrator had your e-mail address count as confirmed.",
        ),
    ],
    ids=["administrator", "address", "claims", "verified"],
)
def test_what_the_administrator_changed_is_said_and_nothing_else(
    world: World, change: dict[str, Any], sentence: str
) -> None:
    account = world.operator.add_user()
    set_user(world.operator.deployment, account.username, **change)
    page = open_account(world, account, ACTIVITY).get(f"{world.issuer}{ACTIVITY}")
    assert f"<strong>{sentence}</strong>" in page.text


def test_each_look_of_the_administrator_is_shown_to_whom_it_was_at(world: World) -> None:
    account, deployment = world.operator.add_user(), world.operator.deployment
    browser = open_account(world, account, ACTIVITY)
    list_user_sessions(deployment, show_user(deployment, account.username))
    assert any(event.personal for event in list_audit(deployment, sub=account.sub, with_personal=True))
    page = browser.get(f"{world.issuer}{ACTIVITY}")
    assert page.text.count("The administrator looked at where you are signed in.") == 1
    assert page.text.count("The administrator looked at addresses and browsers in your activity.") == 1
    # Who sees nothing that names them leaves no such trace.
    list_audit(deployment, sub=account.sub)
    show_activity(deployment, show_user(deployment, account.username))
    assert browser.get(f"{world.issuer}{ACTIVITY}").text.count("The administrator looked at") == 2


def test_a_look_that_cannot_be_recorded_shows_nothing(world: World) -> None:
    account, deployment = world.operator.add_user(), world.operator.deployment
    open_account(world, account, ACTIVITY)
    trigger = (
        "CREATE TRIGGER full BEFORE INSERT ON audit_events WHEN NEW.type = 'account.looked_at' "
        "BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    deployment.database.transact(lambda connection: connection.exec_driver_sql(trigger))
    try:
        with pytest.raises(Exception, match="no room"):
            list_user_sessions(deployment, show_user(deployment, account.username))
        with pytest.raises(Exception, match="no room"):
            list_audit(deployment, sub=account.sub, with_personal=True)
    finally:
        deployment.database.transact(lambda connection: connection.exec_driver_sql("DROP TRIGGER full"))


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        (disable_client, "The administrator stopped “Bird watch”; its access ended."),
        (remove_client, "“Bird watch” was removed from this server; its access ended."),
    ],
    ids=["disabled", "removed"],
)
def test_who_lost_access_with_its_application_reads_so_and_its_name(
    world: World, end: Callable[[Deployment, str], object], sentence: str
) -> None:
    people = [world.operator.add_user() for _ in range(3)]
    rp = world.relying_party(client_name="Bird watch")
    browsers = [world.browser() for _ in people]
    for account, browser in zip(people, browsers, strict=True):
        world.get_tokens(rp, account, browser=browser)
    end(world.operator.deployment, rp.client_id)
    for account, browser in zip(people, browsers, strict=True):
        page = open_account(world, account, ACTIVITY, browser=browser).get(f"{world.issuer}{ACTIVITY}")
        assert page.text.count(sentence) == 1
        # What was before is told by its name, too.
        assert "“Bird watch” was given access." in page.text
        assert rp.client_id not in page.text
    with world.operator.deployment.database.reading() as connection:
        query = "SELECT count(*) FROM consents WHERE client_pk = (SELECT id FROM clients WHERE client_id = ?)"
        assert connection.exec_driver_sql(query, (rp.client_id,)).scalar_one() == 0


def test_what_nobody_found_words_for_is_shown_all_the_same(world: World) -> None:
    account = world.operator.add_user()
    record(world, account.sub, "weather.changed")
    assert "weather.changed" in open_account(world, account, ACTIVITY).get(f"{world.issuer}{ACTIVITY}").text


def test_the_history_is_paged_without_a_gap(world: World) -> None:
    account = world.operator.add_user()
    names = [f"page.event_{number:03}" for number in range(70)]
    record(world, account.sub, *names)
    browser = open_account(world, account, ACTIVITY)
    page, seen = browser.get(f"{world.issuer}{ACTIVITY}"), []
    while True:
        shown = re.findall(r"page\.event_\d{3}", page.text)
        assert len(re.findall(r'<li class="entry">', page.text)) <= 30
        seen += shown
        older = re.search(r'id="older" href="([^"]+)"', page.text)
        if older is None:
            break
        page = browser.get(urljoin(world.issuer, older[1]))
    # Those of one millisecond stand in any order, each once.
    assert sorted(seen) == names


def test_129_a_cursor_that_was_tampered_with_is_refused(world: World) -> None:
    account, other = world.operator.add_user(), world.operator.add_user()
    for person in (account, other):
        record(world, person.sub, *(f"page.event_{number:03}" for number in range(40)))
    browser = open_account(world, account, ACTIVITY)
    page = browser.get(f"{world.issuer}{ACTIVITY}")
    older = re.search(r'id="older" href="[^"]*before=([^"]+)"', page.text)
    assert older is not None
    good = older[1]
    changed = ("A" if good[0] != "A" else "B") + good[1:]
    for cursor in (changed, good[:-4], good + "AAAA", "x", "%00", "\u00e9", "a" * 5000):
        refused = browser.send_once(
            f"{world.issuer}{ACTIVITY}?before={cursor.encode().hex() if cursor == 'é' else cursor}"
        )
        assert refused.status == 400, cursor[:40]
    # And another person's is no cursor here.
    stranger = open_account(world, other, ACTIVITY)
    assert stranger.send_once(f"{world.issuer}{ACTIVITY}?before={good}").status == 400


def test_nobody_sees_what_happened_to_others(world: World) -> None:
    account, other = world.operator.add_user(), world.operator.add_user()
    record(world, other.sub, "secret.happened")
    assert "secret.happened" not in open_account(world, account, ACTIVITY).get(f"{world.issuer}{ACTIVITY}").text
