"""An authorization request that one step separates from a code, and what must be true of its refusal."""

from typing import Any

import pytest

from tests.actors.browser import Browser
from tests.actors.relying_party import RelyingParty
from tests.attacks.good_conduct import nothing_changes
from tests.world import World


@pytest.fixture
def signed_in(world: World) -> tuple[RelyingParty, Browser]:
    """An application, and a browser in which its person is logged in and has consented: a code is one step away."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    world.get_code(party, account, browser=browser)
    return party, browser


def assert_refused(
    world: World, party: RelyingParty, browser: Browser, error: str, *, mode: str = "query", **changes: Any
) -> None:
    """R with this error: by GET and by POST, silently or not, although the person has agreed to everything.

    `mode`: how the refusal must travel.
    """
    for more in ({}, {"prompt": "none"}):
        pending = party.begin(**{**more, **changes})
        with nothing_changes(world):
            replies = [browser.send_once(pending.url)]
            replies.append(browser.send_once(f"{world.issuer}/authorize", fields=flat(pending.parameters)))
        for reply in replies:
            answer = party.read_answer(reply, mode=mode)
            assert answer["error"] == error, answer
            assert answer.get("state") == pending.parameters.get("state")
            assert set(answer) <= {"error", "error_description", "state", "iss"}
            assert "set-cookie" not in reply.headers


def flat(parameters: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value pairs, lists as repetitions."""
    return [
        (name, one) for name, value in parameters.items() for one in (value if isinstance(value, list) else [value])
    ]


def ask(party: RelyingParty, browser: Browser, **changes: Any) -> dict[str, str]:
    """The answer to one request that needs no page."""
    return party.read_answer(browser.send_once(party.begin(**changes).url))
