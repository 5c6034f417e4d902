"""What a page needs to ask for a passkey: the options for the browser, the form that takes the answer, the script."""

import secrets

from app.services.sign_in_with_passkey import PasskeyRefused, second_factor_options, sign_in_options
from app.services.transactions import FirstFactor, Pending
from app.storage.sessions import SessionRow
from app.web.language import gettext
from app.web.passkey_forms import PasskeyPrompt
from app.web.site import Site
from app.web.static_files import passkeys_script_url


def sign_in_prompt(site: Site, pending: Pending) -> PasskeyPrompt | None:
    """For the page where people sign in; None where this server has no passkeys."""
    if not site.deployment.settings.offers_passkeys:
        return None
    options = sign_in_options(site.deployment, pending.transaction_id)
    return _prompt(site, pending, "/login/passkey", options, is_autofill=True)


def second_factor_prompt(
    site: Site, pending: Pending, basis: FirstFactor | SessionRow, *, level: str
) -> PasskeyPrompt | None:
    """For the page of the second factor, for whoever's first one was right (`basis`); None where they have no passkey.

    `level`: what has to be reached.
    """
    if not site.deployment.settings.offers_passkeys:
        return None
    options = second_factor_options(site.deployment, pending.transaction_id, basis, level=level)
    return None if options is None else _prompt(site, pending, "/second-factor/passkey", options, is_autofill=False)


def passkey_problem(refused: PasskeyRefused) -> str:
    """What a person is told: the same whatever did not hold, unless it was only too late."""
    if refused.is_over:
        return passkey_came_late()
    return gettext("This passkey does not sign you in here. Choose another one, or sign in another way.")


def passkey_came_late() -> str:
    """The same where the page's script knew as much, and sent nothing."""
    return gettext("This page was open for a long time. Please try your passkey again.")


def _prompt(site: Site, pending: Pending, path: str, options: str, *, is_autofill: bool) -> PasskeyPrompt:
    return PasskeyPrompt(
        action=f"{site.base_path}{path}",
        options=options,
        transaction=pending.transaction_id,
        csrf_token=pending.csrf_token,
        script_url=passkeys_script_url(site.base_path),
        script_nonce=secrets.token_urlsafe(18),
        is_autofill=is_autofill,
    )
