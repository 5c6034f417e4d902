"""The pages of logins by other providers, as they come and as they break a layout."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import app.web.pages as pages
import app.web.upstream_pages as upstream_pages
from app.web.account_frame import AccountFrame
from app.web.pages import ClientCard, LoggedOutPage, LoginPage, ProviderButton, ProviderLogout
from app.web.upstream_pages import ContinuePage, LinkableProvider, LinkedLogin, LinkedLoginsPage

FORGE = ProviderButton(name="forge", display_name="The Forge", action="/login/with/forge")
GOOSE = ProviderButton(name="goose", display_name="Goose Mail", action="/login/with/goose")
LINKED = LinkedLogin(
    value="7",
    provider_name="The Forge",
    label="anna@forge.example",
    lets_in=True,
    linked_at="Nov 3, 2026, 10:15",
    last_used_at="Nov 27, 2026, 22:40",
)


def linked_logins(nasty_name: str) -> tuple[LinkedLogin, ...]:
    """Two logins, one of them with a name that tries the layout."""
    return (LINKED, replace(LINKED, value="8", label=nasty_name, lets_in=False, last_used_at=None))


def upstream_samples(
    login: LoginPage, logged_out: LoggedOutPage, client: ClientCard, frame: AccountFrame, nasty_name: str
) -> dict[str, tuple[Callable[..., str], Any]]:
    """By the name of the sample."""
    nasty = ProviderButton(name="nasty", display_name=nasty_name, action="/login/with/nasty")
    page = LinkedLoginsPage(
        frame=replace(frame, section="security"),
        csrf_token="csrf-value",
        logins=linked_logins(nasty_name),
        linkable=(
            LinkableProvider(name="forge", display_name="The Forge"),
            LinkableProvider(name="nasty", display_name=nasty_name),
        ),
    )
    going = ContinuePage(
        client=client,
        transaction="transaction-value",
        csrf_token="csrf-value",
        provider=FORGE,
        login_url="/login?transaction=transaction-value",
    )
    farewell = ProviderLogout(
        display_name=nasty_name, action="https://forge.example/logout", fields=(("id_token_hint", "a.b.c"),)
    )
    return {
        "login-elsewhere": (pages.render_login, replace(login, providers=(FORGE, GOOSE, nasty))),
        "continue-with": (upstream_pages.render_continue, going),
        "continue-with-nasty": (
            upstream_pages.render_continue,
            replace(going, client=None, provider=nasty, login_url="javascript:alert(1)"),
        ),
        "linked-logins": (upstream_pages.render_linked_logins, page),
        "linked-logins-none": (upstream_pages.render_linked_logins, replace(page, logins=())),
        "logged-out-elsewhere": (pages.render_logged_out, replace(logged_out, elsewhere=(farewell,))),
    }
