"""Somebody who is logged in and is sent to /logout, and what they see there."""

import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urljoin

from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply
from tests.actors.relying_party import RelyingParty, Tokens
from tests.deployments import Account
from tests.world import World


@dataclass
class LoggedInPerson:
    """Somebody with a session in a browser, and the application that they used."""

    world: World
    browser: Browser
    account: Account
    party: RelyingParty
    tokens: Tokens
    goodbye: str

    def logout(self, **parameters: str | None) -> Reply:
        """GET /logout, with a hint unless told otherwise; redirects to other hosts are not followed."""
        return self.browser.get(self.logout_url(**parameters))

    def logout_url(self, **changes: str | None) -> str:
        parameters = {"id_token_hint": self.tokens.id_token, **changes}
        query = urlencode({name: value for name, value in parameters.items() if value is not None})
        return f"{self.world.issuer}/logout?{query}"

    @property
    def is_logged_in(self) -> bool:
        """What prompt=none says."""
        pending = self.party.begin(prompt="none")
        answer = self.party.read_answer(self.browser.send_once(pending.url))
        assert ("code" in answer) != (answer.get("error") == "login_required"), answer
        return "code" in answer


def log_in(world: World, *, browser: Browser | None = None, **metadata: Any) -> LoggedInPerson:
    goodbye = f"https://app-{secrets.token_hex(4)}.example/goodbye"
    party = world.relying_party(post_logout_redirect_uris=[goodbye, f"{goodbye}?lang=en"], **metadata)
    account, browser = world.operator.add_user(), browser or world.browser()
    code, pending = world.get_code(party, account, browser=browser)
    return LoggedInPerson(world, browser, account, party, party.exchange(code, pending), goodbye)


def decide(browser: Browser, page: Reply, decision: str = "confirm", **changes: str | None) -> Reply:
    """Press a button of the confirmation page."""
    form = find_form(page, "logout-form")
    return browser.post(urljoin(browser.url, form.action), form.with_values(decision=decision, **changes))


def is_question(page: Reply) -> bool:
    return page.status == 200 and 'id="logout-form"' in page.text


def is_logged_out_page(page: Reply) -> bool:
    return page.status == 200 and 'id="logged-out"' in page.text and "You are logged out" in page.text


def is_error(page: Reply) -> bool:
    return page.status == 400 and 'id="error-page"' in page.text and "<h1" in page.text and "Logout error" in page.text
