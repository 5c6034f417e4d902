"""What the forms of the passkeys on /account/security post to.

Whoever adds or removes one has logged in a moment ago; a form that comes later leads to the sign-in, and back here.
"""

from flask import Flask, Response

from app.services.passkey_names import MAX_NAME_CHARACTERS, UnusableName, read_passkey_name
from app.services.passkeys import (
    MAX_PASSKEYS,
    NewPasskeyAnswer,
    PasskeyKnown,
    PasskeyNotAdded,
    TooManyPasskeys,
    add_passkey,
    remove_passkey,
    rename,
)
from app.services.sign_in_methods import LastSignInMethod
from app.web.account_security import PATH, show_security
from app.web.language import gettext
from app.web.own_pages import form_token, read_person_form
from app.web.site import Site, find_whereabouts


def add_passkeys(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.post("/account/passkeys/add")
    def passkeys_add() -> Response:
        person, form = read_person_form(site, PATH, is_sensitive=True)
        credential = form.get("credential")
        if credential is None:
            return site.redirect(site.url(PATH))
        try:
            answer = NewPasskeyAnswer(
                credential=credential,
                bound_to=form_token(site, person),
                name=read_passkey_name(form.get("name") or ""),
                default_name=gettext("Passkey"),
            )
            name = add_passkey(site.deployment, person, answer, find_whereabouts())
        except (UnusableName, PasskeyNotAdded, TooManyPasskeys, PasskeyKnown) as error:
            return show_security(site, person, error=_problem(error), status=400)
        return show_security(site, person, done=gettext("The passkey “%(name)s” was added.", name=name))

    @app.post("/account/passkeys/rename")
    def passkeys_rename() -> Response:
        person, form = read_person_form(site, PATH)
        try:
            name = read_passkey_name(form.get("name") or "")
        except UnusableName as error:
            return show_security(site, person, error=_problem(error), status=400)
        if name is None:
            return show_security(site, person, error=gettext("Please type a name."), status=400)
        if not rename(site.deployment, person, _passkey_id(form.get("passkey")), name, find_whereabouts()):
            return show_security(site, person, error=_gone(), status=404)
        return show_security(site, person, done=gettext("The passkey is now called “%(name)s”.", name=name))

    @app.post("/account/passkeys/remove")
    def passkeys_remove() -> Response:
        person, form = read_person_form(site, PATH, is_sensitive=True)
        try:
            name = remove_passkey(site.deployment, person, _passkey_id(form.get("passkey")), find_whereabouts())
        except LastSignInMethod as error:
            return show_security(site, person, error=_problem(error), status=400)
        if name is None:
            return show_security(site, person, error=_gone(), status=404)
        return show_security(
            site,
            person,
            done=gettext(
                "The passkey “%(name)s” no longer signs you in. You can delete it from your device, too.", name=name
            ),
        )


def _passkey_id(value: str | None) -> int:
    """An id that nobody's passkey has where it is none."""
    return int(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 16 else -1


def _gone() -> str:
    return gettext("This passkey is not among yours any more.")


def _problem(error: Exception) -> str:
    match error:
        case UnusableName():
            return gettext(
                "Please choose a name of at most %(most)s characters that can be read.", most=MAX_NAME_CHARACTERS
            )
        case TooManyPasskeys():
            return gettext(
                "You have %(most)s passkeys, and that is as many as there can be. Remove one to add another.",
                most=MAX_PASSKEYS,
            )
        case LastSignInMethod():
            return gettext("This passkey is the only way in which you can sign in here. Add another way first.")
        case PasskeyKnown():
            return gettext("This passkey is known here already. Nothing was changed.")
        case PasskeyNotAdded(is_over=True):
            return gettext("This page was open for a long time. Please try again.")
        case _:
            return gettext("The passkey could not be added. Please try again, or use another device.")
