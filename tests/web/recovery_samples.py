"""The pages around an account that one does not have yet, or cannot get into; and those of its password and address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import app.web.account_email as account_email
import app.web.account_password as account_password
import app.web.recovery_pages as recovery_pages
import app.web.signup_pages as signup_pages
from app.web.account_frame import AccountFrame
from app.web.pages import ClientCard

HINT = "At least 12 characters. A few uncommon words are easy to remember and hard to guess."
TRANSACTION = "transaction-value"
LINK = "/reset/th_el_link-value"
TOO_SHORT = "The password is too short: it needs at least 12 characters. A few words together are fine."


def recovery_samples(
    client: ClientCard, frame: AccountFrame, nasty_name: str
) -> dict[str, tuple[Callable[..., str], object]]:
    """By name: what renders a page, and the page."""
    ask = recovery_pages.AskForResetPage(
        action="/reset", transaction=TRANSACTION, back_url=f"/login?transaction={TRANSACTION}"
    )
    choose = recovery_pages.NewPasswordPage(
        action=LINK,
        heading="Choose a new password",
        lead="Everybody who is signed in to your account is signed out by this, wherever that is.",
        username="anna",
        hint=HINT,
    )
    outcome = recovery_pages.OutcomePage(
        heading="Look at your mail",
        lead="If there is such an account, a link is on its way to its address. It works for half an hour.",
        notes=("Nothing came? Look among unwanted mail, or try your other address or name.",),
        link_url=f"/login?transaction={TRANSACTION}",
        link_label="Back to signing in",
    )
    confirm = recovery_pages.ConfirmPage(
        action=LINK,
        heading="Confirm your address",
        lead="Is anna@example.com your address, and anna your account here?",
        button="Yes, confirm it",
    )
    sign_up = signup_pages.SignUpPage(
        client=client,
        action="/signup",
        transaction=TRANSACTION,
        csrf_token="csrf-value",
        name="",
        email="",
        hint=HINT,
        login_url=f"/login?transaction={TRANSACTION}",
    )
    account = signup_pages.ConfirmAccountPage(action=LINK, email="anna@example.com", asks_password=True)
    password = account_password.PasswordPage(
        frame=frame,
        csrf_token="csrf-value",
        has_password=True,
        ends_others=True,
        hint=HINT,
    )
    email = account_email.EmailPage(
        frame=frame,
        csrf_token="csrf-value",
        asks="new",
        email="anna@example.com",
        is_verified=False,
    )
    return {
        "ask-for-reset": (recovery_pages.render_ask_for_reset, ask),
        "ask-for-reset-empty": (
            recovery_pages.render_ask_for_reset,
            replace(ask, error="Please say who you are.", back_url=None),
        ),
        "new-password": (recovery_pages.render_new_password, choose),
        "new-password-weak": (
            recovery_pages.render_new_password,
            replace(choose, username=nasty_name, error=TOO_SHORT),
        ),
        "look-at-your-mail": (recovery_pages.render_outcome, outcome),
        "link-over": (recovery_pages.render_outcome, replace(outcome, is_refusal=True, notes=(), link_url=None)),
        "confirm-email-nasty": (
            recovery_pages.render_confirm,
            replace(confirm, lead=f"Is {nasty_name} your address, and {nasty_name} your account here?"),
        ),
        "sign-up": (signup_pages.render_sign_up, sign_up),
        "sign-up-refused": (
            signup_pages.render_sign_up,
            replace(sign_up, client=None, name=nasty_name, email=nasty_name, error=TOO_SHORT),
        ),
        "confirm-account": (signup_pages.render_confirm_account, account),
        "confirm-account-wrong-nasty": (
            signup_pages.render_confirm_account,
            replace(account, email=nasty_name, error="This is not the password that you chose."),
        ),
        "account-password": (account_password.render_password, password),
        "account-password-first": (
            account_password.render_password,
            replace(password, has_password=False, error=TOO_SHORT),
        ),
        "account-email": (account_email.render_email, email),
        "account-email-proof": (account_email.render_email, replace(email, asks="proof")),
        "account-email-refused-nasty": (
            account_email.render_email,
            replace(email, email=nasty_name, entered=nasty_name, error="This is no e-mail address."),
        ),
    }
