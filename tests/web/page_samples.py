"""Pages with content as it comes: the ordinary case of each, and the cases that break a layout or a promise."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flask import Flask

import app.web.pages as pages
from app.web.pages import (
    AccountChoice,
    ConsentNetworks,
    ConsentPage,
    ErrorPage,
    HomePage,
    LoggedOutPage,
    LoginPage,
    LogoutPage,
    SelectAccountPage,
    prepare_templates,
)
from tests.web.account_samples import ACCOUNT_SAMPLES
from tests.web.passkey_samples import PASSKEY
from tests.web.recovery_samples import recovery_samples
from tests.web.sample_parts import (
    CUSTOM,
    DOCUMENT,
    FRAME,
    IDENTITY,
    LOOPBACK,
    NASTY_CLIENT,
    NASTY_NAME,
    NASTY_RESOURCE,
    ORDERS,
    PAYMENTS,
    PHOTO_PRINTS,
    PHOTOS,
    SINGLE_CLAIMS,
    scope,
)
from tests.web.upstream_samples import upstream_samples

TEMPLATES = Path(pages.__file__).with_name("templates")


@functools.cache
def make_page_app(base_path: str = "") -> Flask:
    """Return a Flask application that has the templates and nothing else of the server."""
    flask_app = Flask("page_samples", template_folder=str(TEMPLATES), static_folder=None)
    prepare_templates(flask_app, base_path=base_path, server_name="Meadow Accounts")
    return flask_app


LOGIN = LoginPage(client=PHOTO_PRINTS, transaction="transaction-value", csrf_token="csrf-value", action="/login")
SELECT_ACCOUNT = SelectAccountPage(
    client=PHOTO_PRINTS,
    transaction="transaction-value",
    csrf_token="csrf-value",
    action="/select-account",
    login_url="/login?transaction=transaction-value&account=another",
    accounts=(
        AccountChoice(value="anna", name="Anna Karlsson", email="anna@example.com", was_used_last=True, checked=True),
        AccountChoice(value="work", name="", email="a.karlsson@office.example", was_used_last=False, checked=False),
    ),
)
CONSENT = ConsentPage(
    client=PHOTO_PRINTS,
    transaction="transaction-value",
    csrf_token="csrf-value",
    action="/consent",
    username="anna",
    resources=(PHOTOS,),
    identity_scopes=IDENTITY,
    can_be_remembered=True,
)
ERROR = ErrorPage(
    title="Authorization error",
    error="invalid_request",
    explanation="The request cannot be carried out: something in it is missing or wrong.",
    description="The application asked for something that this server does not understand: code_challenge is missing.",
    incident="K7QF-3M2X",
    back_uri="https://prints.example/",
    client_name="Photo Prints",
)
HOME = HomePage(
    issuer="https://login.meadow.example",
    server_name="Meadow",
    metadata_uri="https://login.meadow.example/.well-known/oauth-authorization-server",
)

LOGOUT = LogoutPage(
    client=PHOTO_PRINTS,
    returns=True,
    request="request-value",
    csrf_token="csrf-value",
    action="/logout",
    usernames=("anna",),
)
LOGGED_OUT = LoggedOutPage(ended=("anna",), remaining=(), logout_url="/logout")

SAMPLES: dict[str, tuple[Callable[..., str], object]] = {
    "login": (pages.render_login, LOGIN),
    "login-refused": (
        pages.render_login,
        replace(LOGIN, username="anna", error="The username or the password is not right."),
    ),
    "login-loopback": (pages.render_login, replace(LOGIN, client=LOOPBACK)),
    "login-nasty": (
        pages.render_login,
        replace(LOGIN, client=NASTY_CLIENT, username='"><script>alert(1)</script>', error="No <b>entry</b>."),
    ),
    "select-account": (pages.render_select_account, SELECT_ACCOUNT),
    "select-account-one": (
        pages.render_select_account,
        replace(SELECT_ACCOUNT, accounts=SELECT_ACCOUNT.accounts[:1], error="Choose one of these accounts."),
    ),
    "select-account-nasty": (
        pages.render_select_account,
        replace(
            SELECT_ACCOUNT,
            client=NASTY_CLIENT,
            login_url="javascript:alert(1)",
            accounts=(
                AccountChoice(
                    value='"><script>alert(1)</script>' + "u" * 150,
                    name=NASTY_NAME,
                    email="x" * 64 + "@" + "y" * 180 + ".example",
                    was_used_last=True,
                    checked=True,
                ),
                *SELECT_ACCOUNT.accounts[1:] * 8,
            ),
        ),
    ),
    "consent": (pages.render_consent, CONSENT),
    "consent-other-account": (
        pages.render_consent,
        replace(CONSENT, other_account_url="/select-account?transaction=transaction-value"),
    ),
    "consent-long": (
        pages.render_consent,
        replace(
            CONSENT,
            resources=(PHOTOS, ORDERS),
            identity_scopes=(*IDENTITY, scope("phone", "See your telephone number"), *SINGLE_CLAIMS),
            asks_more=True,
        ),
    ),
    "consent-details": (pages.render_consent, replace(CONSENT, resources=(PAYMENTS, PHOTOS))),
    "consent-changed": (
        pages.render_consent,
        replace(
            CONSENT,
            client=replace(PHOTO_PRINTS, registered_itself=True),
            resources=(
                replace(PAYMENTS, has_other_details=True, earlier_details=PAYMENTS.details),
                replace(PHOTOS, scopes=tuple(replace(each, is_new=True) for each in PHOTOS.scopes)),
            ),
            identity_scopes=tuple(replace(each, was_declined=True) for each in IDENTITY),
            asks_more=True,
            earlier_name="Meadow Prints",
            has_other_logo=True,
            is_other_client=True,
        ),
    ),
    "consent-loopback": (
        pages.render_consent,
        replace(CONSENT, client=LOOPBACK, identity_scopes=(), can_be_remembered=False),
    ),
    "consent-custom": (pages.render_consent, replace(CONSENT, client=CUSTOM, duration="once", can_be_remembered=False)),
    "consent-document": (pages.render_consent, replace(CONSENT, client=DOCUMENT, can_be_remembered=False)),
    "login-passkey": (pages.render_login, replace(LOGIN, passkey=PASSKEY)),
    "login-document": (pages.render_login, replace(LOGIN, client=DOCUMENT)),
    "consent-nothing": (pages.render_consent, replace(CONSENT, resources=(), identity_scopes=())),
    "consent-networks": (
        pages.render_consent,
        replace(CONSENT, networks=ConsentNetworks(can_choose=True, here="192.0.2.7")),
    ),
    "consent-networks-refused": (
        pages.render_consent,
        replace(
            CONSENT,
            duration="day",
            networks=ConsentNetworks(
                can_choose=True,
                limit="192.0.2.0/24, 2001:db8:85a3::/48",
                here="2001:db8:85a3::8a2e:370:7334",
                entered='my office "><b>' + "x" * 300,
                error="\u201cmy\u201d is not an IPv4 or IPv6 address.",
            ),
        ),
    ),
    "consent-limited": (
        pages.render_consent,
        replace(CONSENT, networks=ConsentNetworks(can_choose=False, limit=", ".join(["2001:db8:85a3::/48"] * 32))),
    ),
    "consent-nasty": (
        pages.render_consent,
        replace(CONSENT, client=NASTY_CLIENT, resources=(NASTY_RESOURCE, PHOTOS), username="u" * 150, asks_more=True),
    ),
    "error": (pages.render_error, ERROR),
    "error-no-way-back": (pages.render_error, replace(ERROR, back_uri=None, client_name=None)),
    "error-nasty": (
        pages.render_error,
        replace(
            ERROR,
            description="<script>alert(1)</script> " + "z" * 700,
            error='"><img src=x>',
            back_uri="javascript:alert(1)",
            client_name=NASTY_NAME,
        ),
    ),
    "logout": (pages.render_logout, LOGOUT),
    "logout-unknown": (pages.render_logout, replace(LOGOUT, client=None, returns=False, usernames=("anna", "bob"))),
    "logout-nasty": (
        pages.render_logout,
        replace(LOGOUT, client=NASTY_CLIENT, usernames=('"><script>alert(1)</script>', NASTY_NAME)),
    ),
    "logged-out": (pages.render_logged_out, LOGGED_OUT),
    "logged-out-of-one": (
        pages.render_logged_out,
        replace(LOGGED_OUT, remaining=("bob",), client_name="Photo Prints", back_uri="https://prints.example/"),
    ),
    "logged-out-nasty": (
        pages.render_logged_out,
        replace(
            LOGGED_OUT,
            ended=('"><script>alert(1)</script>' + "x" * 200,),
            remaining=(NASTY_NAME,),
            client_name=NASTY_NAME,
            back_uri="https://prints.example/",
        ),
    ),
    "still-signed-in": (pages.render_logged_out, replace(LOGGED_OUT, ended=(), remaining=("anna",))),
    "busy": (pages.render_busy, "Many people are signing in just now. Please try again in a moment."),
    "home": (pages.render_home, HOME),
    **ACCOUNT_SAMPLES,
    **recovery_samples(PHOTO_PRINTS, FRAME, NASTY_NAME),
    **upstream_samples(LOGIN, LOGGED_OUT, PHOTO_PRINTS, FRAME, NASTY_NAME),
}
