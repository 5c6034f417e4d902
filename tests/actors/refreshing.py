"""An application that is registered for refresh tokens, and a person who allows it what a test says."""

from collections.abc import Sequence
from typing import Any

from tests.actors.browser import Browser
from tests.actors.relying_party import RelyingParty, Tokens
from tests.deployments import Account
from tests.world import World

GRANT_TYPES = ["authorization_code", "refresh_token"]
OFFLINE = "openid offline_access"


def refreshing_party(world: World, **metadata: Any) -> RelyingParty:
    """A new client that gets refresh tokens; a confidential one unless told otherwise."""
    return world.relying_party(grant_types=GRANT_TYPES, **metadata)


def allow(
    world: World,
    party: RelyingParty,
    account: Account,
    *,
    browser: Browser | None = None,
    ticked: Sequence[str] | None = None,
    duration: str | None = None,
    **parameters: Any,
) -> Tokens:
    """The tokens of a whole flow in which the person answers the consent page like this."""
    browser, pending = browser or world.browser(), party.begin(**parameters)
    page = browser.get(pending.url)
    if 'id="login-form"' in page.text:
        page = browser.log_in(page, account.username, account.password)
    if 'id="consent-form"' in page.text:
        page = browser.consent(page, scope=ticked, duration=duration)
    return party.exchange(party.read_callback(page, pending), pending)


def refresh_token_of(tokens: Tokens) -> str:
    """The refresh token that must be among them."""
    assert tokens.refresh_token is not None
    return tokens.refresh_token
