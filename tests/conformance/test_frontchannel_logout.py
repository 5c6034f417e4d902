"""OpenID Connect Front-Channel Logout 1.0: the page after a logout opens the applications' pages, and nothing else."""

import re
import secrets
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from app.services.log_out import MOST_FRAMES
from tests.actors.http import Reply, send
from tests.logging_out import decide, is_logged_out_page, log_in
from tests.world import World

SPEC = "OpenID Connect Front-Channel Logout 1.0"


def frames(page: Reply) -> list[str]:
    return [unescape(source) for source in re.findall(r'<iframe [^>]*src="([^"]*)"', page.text)]


def policy(page: Reply) -> dict[str, str]:
    directives = page.headers["content-security-policy"].split("; ")
    return dict(directive.partition(" ")[::2] for directive in directives)


def with_frame() -> dict[str, list[str] | str]:
    origin = f"https://app-{secrets.token_hex(4)}.example"
    return {"redirect_uris": [f"{origin}/callback"], "frontchannel_logout_uri": f"{origin}/out?keep=1"}


@pytest.mark.requirement(SPEC, "3", "an iframe with the client's URI, iss and sid")
def test_the_page_opens_the_pages_of_the_sessions_applications_and_goes_on(world: World) -> None:
    registered = with_frame()
    person = log_in(world, **registered)
    others = [world.relying_party(**with_frame()), world.relying_party()]
    for party in others:
        world.get_code(party, person.account, browser=person.browser)
    page = person.logout(post_logout_redirect_uri=person.goodbye, state="s&t")
    assert is_logged_out_page(page)
    opened = frames(page)
    assert len(opened) == 2
    (own,) = [frame for frame in opened if frame.startswith(str(registered["frontchannel_logout_uri"]))]
    assert parse_qs(urlsplit(own).query) == {
        "keep": ["1"],
        "iss": [world.issuer],
        "sid": [person.tokens.id_claims["sid"]],
    }
    # Only these may be framed, and the script is ours.
    origins = {"{0.scheme}://{0.netloc}".format(urlsplit(frame)) for frame in opened}
    assert set(policy(page)["frame-src"].split()) == origins
    assert re.fullmatch(r"'nonce-[\w-]{24}'", policy(page)["script-src"])
    assert policy(page)["frame-ancestors"] == "'none'"
    # Then the browser goes on, with scripts or without.
    refresh = re.findall(r'<meta http-equiv="refresh" content="(\d+);url=([^"]*)"', page.text)
    assert [(int(seconds) <= 5, unescape(url)) for seconds, url in refresh] == [(True, f"{person.goodbye}?state=s%26t")]
    assert re.search(r"<script nonce=[^>]* src=[^>]*logged-out", page.text)
    assert not person.is_logged_in
    script = re.findall(r'<script [^>]*src="([^"]+)"', page.text)[0]
    assert send(world.url + script).headers["content-type"].startswith("text/javascript")


def test_without_such_applications_no_page_is_shown_in_between(world: World) -> None:
    person = log_in(world)
    assert person.logout(post_logout_redirect_uri=person.goodbye).status == 303


def test_a_page_without_frames_may_frame_nothing(world: World) -> None:
    person = log_in(world)
    page = person.logout(id_token_hint=None)
    page = decide(person.browser, page)
    assert frames(page) == []
    assert "frame-src" not in policy(page)
    assert "script-src" not in policy(page)


def test_the_page_is_for_the_browser_that_was_logged_out(world: World) -> None:
    person = log_in(world, **with_frame())
    person.logout()
    url = person.browser.url
    assert "logout_request=" in url
    assert frames(person.browser.get(url)) != []
    stranger = world.browser().get(url)
    assert stranger.status == 400
    assert "sid=" not in stranger.text


def test_an_application_that_was_told_once_is_not_told_of_the_next_logout(world: World) -> None:
    person = log_in(world, **with_frame())
    person.logout()
    account = world.operator.add_user()
    other = world.relying_party()
    world.get_code(other, account, browser=person.browser)
    page = decide(person.browser, person.logout(id_token_hint=None))
    assert is_logged_out_page(page)
    assert frames(page) == []


def test_the_number_of_frames_has_an_end() -> None:
    assert 10 <= MOST_FRAMES <= 100
