"""The pages of second factors, as values, and the functions that render them."""

from dataclasses import dataclass, field

import segno
from flask import render_template
from markupsafe import Markup

from app.web.account_frame import AccountFrame
from app.web.pages import ClientCard
from app.web.passkey_forms import PasskeyPrompt


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorPage:
    """The question for a second proof. `client` is None where they came for a page of ours.

    `takes`: what the field is for, "totp" or "recovery_code"; None where no code is strong enough. `other_url` is a
    path of ours, for the other kind of code, where the person has one. `is_step_up`: they are signed in already.
    `passkey`: the form in which they use a passkey instead, where they have one.
    """

    client: ClientCard | None
    transaction: str = field(repr=False)
    csrf_token: str = field(repr=False)
    action: str
    username: str
    takes: str | None
    other_url: str | None = None
    is_step_up: bool = False
    error: str | None = None
    passkey: PasskeyPrompt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCodeUsedPage:
    """How many codes are left, before the sign-in goes on at `continue_url`."""

    remaining: int
    continue_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatorPage:
    """The authenticator app: what to scan or type where none is confirmed, else the question whether to remove it.

    `uri` and `key` hold the secret, `key` in base32.
    """

    frame: AccountFrame
    csrf_token: str = field(repr=False)
    uri: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    code_error: str | None = None

    @property
    def key_groups(self) -> tuple[str, ...]:
        """The key as it is easy to type."""
        key = self.key or ""
        return tuple(key[place : place + 4] for place in range(0, len(key), 4))

    @property
    def qr_code(self) -> Markup:
        """The code to scan, black on white in every colour scheme: an element of the page, so that no URL holds it."""
        return Markup(  # noqa: S704 - made of squares by the library
            segno.make(self.uri or "", error="m").svg_inline(
                border=4, dark="#000", light="#fff", svgclass="qr-code", lineclass=None, omitsize=True
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCodesPage:
    """How many recovery codes are left, and the form for new ones; `codes` are shown once, when they are made."""

    frame: AccountFrame
    csrf_token: str = field(repr=False)
    remaining: int
    has_factor: bool
    codes: tuple[str, ...] = field(default=(), repr=False)


def render_second_factor(page: SecondFactorPage) -> str:
    """Return the page that asks for a second proof as HTML. The code is never in it, whatever was posted."""
    return render_template("second_factor.html", page=page)


def render_recovery_code_used(page: RecoveryCodeUsedPage) -> str:
    """Return the page after a sign-in by a recovery code as HTML."""
    return render_template("recovery_code_used.html", page=page)


def render_authenticator(page: AuthenticatorPage) -> str:
    """Return the page of the authenticator app as HTML."""
    return render_template("authenticator.html", page=page)


def render_recovery_codes(page: RecoveryCodesPage) -> str:
    """Return the page of the recovery codes as HTML."""
    return render_template("recovery_codes.html", page=page)
