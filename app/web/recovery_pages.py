"""The pages around a password that was forgotten, and those behind links in mails, as values, and what renders them."""

from dataclasses import dataclass, field

from flask import render_template

from app.web.pages import ClientCard


@dataclass(frozen=True, slots=True, kw_only=True)
class AskForResetPage:
    """The question whose password was forgotten. `back_url` leads to the sign-in where there is one, and `client` is
    who asks in it.
    """

    action: str
    transaction: str = field(repr=False)
    username: str = ""
    error: str | None = None
    back_url: str | None = None
    client: ClientCard | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPasswordPage:
    """The form for a new password, of whoever has a link. The link's secret is in `action`."""

    action: str = field(repr=False)
    heading: str
    lead: str
    username: str
    hint: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmPage:
    """One question with one button: what a link would do is done by it, and not by opening the link."""

    action: str = field(repr=False)
    heading: str
    lead: str
    button: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomePage:
    """What came of something, and where to go from here. All of it sentences for the person; `link_url` is ours."""

    heading: str
    lead: str
    notes: tuple[str, ...] = ()
    is_refusal: bool = False
    link_url: str | None = None
    link_label: str = ""
    client: ClientCard | None = None
    """Who asks, where it is in the middle of a sign-in."""


def render_ask_for_reset(page: AskForResetPage) -> str:
    """Return the page that asks whose password was forgotten as HTML."""
    return render_template("ask_for_reset.html", page=page)


def render_new_password(page: NewPasswordPage) -> str:
    """Return the page with the form for a new password as HTML. No password is ever in it."""
    return render_template("new_password.html", page=page)


def render_confirm(page: ConfirmPage) -> str:
    """Return the page behind a link that has something to confirm as HTML."""
    return render_template("confirm_link.html", page=page)


def render_outcome(page: OutcomePage) -> str:
    """Return the page that says what came of something as HTML."""
    return render_template("outcome.html", page=page)
