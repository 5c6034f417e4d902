"""The pages on which somebody makes an account, as values, and what renders them."""

from dataclasses import dataclass, field

from flask import render_template

from app.web.pages import ClientCard


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUpPage:
    """The form for an account. `client` is None where no application asks; `login_url` is for who has an account."""

    client: ClientCard | None
    action: str
    transaction: str = field(repr=False)
    csrf_token: str = field(repr=False)
    name: str
    email: str
    hint: str
    login_url: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmAccountPage:
    """The page behind the link that makes an account. `asks_password`: this is not the browser that began it."""

    action: str = field(repr=False)
    email: str
    asks_password: bool
    error: str | None = None


def render_sign_up(page: SignUpPage) -> str:
    """Return the form for an account as HTML. No password is ever in it."""
    return render_template("signup.html", page=page)


def render_confirm_account(page: ConfirmAccountPage) -> str:
    """Return the page behind the link that makes an account as HTML."""
    return render_template("confirm_account.html", page=page)
