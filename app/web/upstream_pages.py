"""The pages of a login by another provider, as values, and the functions that render them."""

from dataclasses import dataclass, field

from flask import render_template

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


def render_continue(page: ContinuePage) -> str:
    """Return the page that leads on to another provider as HTML."""
    return render_template("continue_with.html", page=page, provider=page.provider)
