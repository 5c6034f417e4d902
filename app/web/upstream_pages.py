"""The pages of a login by another provider, as values, and the functions that render them."""

from dataclasses import dataclass, field

from flask import render_template

from app.web.account_frame import AccountFrame
from app.web.pages import ClientCard, ProviderButton


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuePage:
    """The question whether to go on to another provider: a link alone sends nobody there.

    `client` is None where the person came for a page of ours; `login_url` leads to the other ways to sign in.
    """

    client: ClientCard | None
    transaction: str = field(repr=False)
    csrf_token: str = field(repr=False)
    provider: ProviderButton
    login_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedLogin:
    """One login that belongs to the account: `value` is posted back as `link`; times as people read them.

    `label` is what people call the account there. `lets_in`: whether people sign in by it.
    """

    value: str
    provider_name: str
    label: str
    lets_in: bool
    linked_at: str
    last_used_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkableProvider:
    """A provider of which a login can be added: `name` is posted back as `provider`."""

    name: str
    display_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedLoginsPage:
    """The logins of other providers that belong to an account, and those that can be added."""

    frame: AccountFrame
    csrf_token: str = field(repr=False)
    logins: tuple[LinkedLogin, ...]
    linkable: tuple[LinkableProvider, ...]


def render_linked_logins(page: LinkedLoginsPage) -> str:
    """Return the page of linked logins as HTML."""
    return render_template("linked_logins.html", page=page)


def render_continue(page: ContinuePage) -> str:
    """Return the page that leads on to another provider as HTML."""
    return render_template("continue_with.html", page=page, provider=page.provider)
