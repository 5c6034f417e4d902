"""A person with a passkey at a browser: presses the buttons that a script brings to life, and posts what it posts."""

import html
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply
from tests.actors.passkey_device import PasskeyDevice
from tests.deployments import Account
from tests.world import World

SECURITY = "/account/security"


@dataclass
class PasskeyHolder:
    """One person, their browser and their authenticator."""

    world: World
    account: Account
    browser: Browser
    authenticator: PasskeyDevice

    @classmethod
    def of(cls, world: World, account: Account | None = None, **habits: Any) -> "PasskeyHolder":
        """Somebody new, unless given, with an authenticator that does what `habits` say."""
        browser = world.browser()
        host = browser.origin.split("://")[1].split(":")[0]
        return cls(
            world=world,
            account=account or world.operator.add_user(),
            browser=browser,
            authenticator=PasskeyDevice(origin=browser.origin, rp_id=host, **habits),
        )

    # ----- Making passkeys -----

    def open_passkeys(self) -> Reply:
        """The page of their passkeys; they sign in where they have to, by a passkey if they have one."""
        page = self.browser.get(self.browser.issuer + SECURITY)
        if 'id="login-form"' not in page.text:
            return page
        if self.authenticator.keys:
            return self.sign_in(page)
        return self.browser.log_in(page, self.account.username, self.account.password)

    def add(self, page: Reply | None = None, *, name: str = "", **lies: Any) -> Reply:
        """Make a passkey by the form on the page, which is opened unless given."""
        page = page or self.open_passkeys()
        return self.post(page, credential=self.authenticator.create(options_of(page), **lies), name=name)

    def registered(self) -> "PasskeyHolder":
        """The same person, with a passkey; and nobody signed in any more."""
        page = self.add()
        assert page.status == 200, page.text
        assert "was added" in page.text, page.text
        self.browser = self.world.browser()
        return self

    # ----- Signing in -----

    def open_login(self, url: str | None = None) -> Reply:
        """The page where people sign in, for an application unless for `url`."""
        return self.browser.get(url or self.world.relying_party().begin().url)

    def sign_in(self, page: Reply, **lies: Any) -> Reply:
        """Press `#passkey-submit` on the page."""
        return self.post(page, credential=self.authenticator.get(options_of(page), **lies))

    def post(self, page: Reply, **values: str) -> Reply:
        """Post the passkey form of a page."""
        form = find_form(page, "passkey-form")
        return self.browser.post(urljoin(self.browser.url, form.action), form.with_values(**values))


def options_of(page: Reply) -> dict[str, Any]:
    """What the page asks of the authenticator. Fails where it asks nothing."""
    found = re.search(r'data-options="([^"]+)"', page.text)
    assert found is not None, page.text
    options: dict[str, Any] = json.loads(html.unescape(found[1]))
    return options
