"""Somebody who tries passwords, from wherever they like."""

import secrets

from app.services.limit_guesses import WAITS_MS
from app.services.throttle_logins import LOGINS_OF_ACCOUNT
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply
from tests.deployments import Account
from tests.world import World

LONGEST_WAIT_S = WAITS_MS[-1] // 1000
WRONG_PASSWORD = "not this one, certainly"


def any_address() -> str:
    """An address that nobody else in these tests comes from."""
    return ".".join(["10", *(str(secrets.randbelow(254) + 1) for _ in range(3))])


class Guesser:
    """Somebody at a login page, who tries passwords from wherever they like."""

    def __init__(self, world: World, browser: Browser | None = None) -> None:
        self.browser = browser or world.browser()
        self.page = self.browser.get(world.relying_party().begin(prompt="login").url)
        self.form = find_form(self.page, "login-form")
        self.url = f"{world.issuer}/login"

    def guess(
        self,
        username: str,
        password: str = WRONG_PASSWORD,
        *,
        address: str | None = None,
        user_agent: str = "a guesser",
    ) -> Reply:
        """What the login page answers to one try."""
        fields = self.form.with_values(username=username, password=password)
        headers = {"X-Forwarded-For": address or any_address(), "Origin": self.browser.origin}
        headers["User-Agent"] = user_agent
        return self.browser.send_once(self.url, fields=fields, headers=headers)

    def forget_device(self) -> None:
        """Come as from a device that nobody has logged in on."""
        self.browser.cookies = {name: value for name, value in self.browser.cookies.items() if "-device" not in name}


def assert_throttled(reply: Reply) -> None:
    """They have to wait, and are told how long."""
    assert reply.status == 429, (reply.status, reply.text[:300])
    assert 0 < int(reply.headers["retry-after"]) <= LONGEST_WAIT_S
    assert "Too many attempts" in reply.text


def lock(world: World, account: Account) -> Guesser:
    """A stranger who has failed so often that nobody gets in from an unknown device."""
    guesser = Guesser(world)
    for _ in range(LOGINS_OF_ACCOUNT.free + 1):
        reply = guesser.guess(account.username)
    assert_throttled(reply)
    return guesser


def own_browser(world: World, account: Account) -> Browser:
    """A browser in which somebody has signed in."""
    browser = world.browser()
    world.get_code(world.relying_party(), account, browser=browser)
    return browser
