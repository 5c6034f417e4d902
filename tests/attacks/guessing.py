"""Somebody who tries passwords, from wherever they like."""

import secrets

from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply
from tests.world import World

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
