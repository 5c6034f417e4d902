"""A person on the pages of their account: signs in, presses a form's button."""

import html
import re
from collections.abc import Sequence
from urllib.parse import urljoin

from tests.actors.browser import Browser, Form, find_form
from tests.actors.http import Reply
from tests.deployments import Account
from tests.world import World


def open_account(world: World, account: Account, path: str = "/account", *, browser: Browser | None = None) -> Browser:
    """A browser in which the person is signed in, on that page."""
    browser = browser or world.browser()
    page = browser.get(f"{world.issuer}{path}")
    if 'id="login-form"' in page.text:
        page = browser.log_in(page, account.username, account.password)
    assert page.status == 200, page.text[:1500]
    assert browser.url == f"{world.issuer}{path}", browser.url
    return browser


def press(browser: Browser, form: Form, **values: str | Sequence[str] | None) -> Reply:
    """Post a form of the page that is open."""
    return browser.post(urljoin(browser.url, form.action), form.with_values(**values))


def find_grant_form(page: Reply, grant_id: str, *, ends: bool) -> Form:
    """The form that ends a grant, or the one that narrows it."""
    if not ends:
        return find_form(page, f"narrow-{grant_id}")
    for match in re.finditer(r'<form method="post" action="([^"]+/end)".*?</form>', page.text, re.DOTALL):
        fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', match[0])
        if ("grant", grant_id) in fields:
            return Form(form_id="", action=match[1], fields=[(name, html.unescape(value)) for name, value in fields])
    raise AssertionError(f"no form ends {grant_id}:\n{page.text[:3000]}")


def shown_grants(page: Reply) -> list[str]:
    """The grants on the page, branches too."""
    return re.findall(r'data-grant="([^"]+)"', page.text)
