"""A person with an authenticator app: sets it up as the page says, and reads codes from it."""

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from app.specs.rfc6238_totp import make_code, step_of
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply
from tests.clock import MovableClock
from tests.deployments import Account

if TYPE_CHECKING:
    from tests.world import World


@dataclass
class Authenticator:
    """An app that knows one key."""

    key: str = field(repr=False)
    clock: MovableClock

    @property
    def secret(self) -> bytes:
        """The key as the app reckons with it."""
        return base64.b32decode(self.key + "=" * (-len(self.key) % 8))

    def code(self, *, steps: int = 0) -> str:
        """The code that it shows now, or that many half minutes later."""
        return make_code(self.secret, step_of(self.clock() / 1000) + steps)

    def next_code(self) -> str:
        """Wait for the next code, and read it."""
        self.clock.move(seconds=30)
        return self.code()


@dataclass
class Guarded:
    """Somebody with a second factor: their account, their app, their recovery codes."""

    account: Account
    app: Authenticator
    recovery_codes: list[str] = field(repr=False)


def read_key(page: Reply) -> str:
    """The key that a page shows, to be typed into an app."""
    found = re.search(r'data-key="([A-Z2-7]+)"', page.text)
    assert found is not None, page.text[:2000]
    return found[1]


def read_recovery_codes(page: Reply) -> list[str]:
    """The recovery codes that a page shows."""
    return re.findall(r"<li><code>([0-9a-z-]+)</code></li>", page.text)


def open_sensitive(world: "World", browser: Browser, account: Account, path: str) -> Reply:
    """A page of the account that asks for a recent login, which is given."""
    page = browser.get(world.issuer + path)
    return browser.log_in(page, account.username, account.password) if 'id="login-form"' in page.text else page


def enrol(world: "World", browser: Browser, account: Account) -> Guarded:
    """Set up an authenticator app as a person does."""
    page = open_sensitive(world, browser, account, "/account/authenticator")
    app = Authenticator(read_key(page), world.clock)
    form = find_form(page, "totp-form")
    done = browser.post(urljoin(browser.url, form.action), form.with_values(code=app.code()))
    assert done.status == 200, done.text[:2000]
    return Guarded(account, app, read_recovery_codes(done))


def guard(world: "World", account: Account | None = None) -> Guarded:
    """A person, a new one unless given, who has set up an app in a browser that is gone."""
    return enrol(world, world.browser(), account or world.operator.add_user())


def enter_code(browser: Browser, page: Reply, code: str) -> Reply:
    """Fill in the page that asks for a second factor."""
    form = find_form(page, "second-factor-form")
    return browser.post(urljoin(browser.url, form.action), form.with_values(code=code))
