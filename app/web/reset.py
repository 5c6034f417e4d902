"""/reset: a new password for whoever forgot theirs, by a link to the address of their account.

Known, unknown and disabled accounts are answered the same. A reset does not sign anybody in, and changes no second
factor: who has one is asked for it at the sign-in that follows.
"""

from flask import Flask, Response, request

from app.services.ask_for_reset import ask_for_reset
from app.services.email_links import PATHS, LinkOver, LinkPurpose, look_at_link
from app.services.password_rules import WeakPassword
from app.services.replace_password import choose_by_link
from app.web.language import gettext
from app.web.links import client_here, link_over, pending_here, show_outcome, sign_in_url
from app.web.password_words import password_hint, password_sentence
from app.web.recovery_pages import (
    AskForResetPage,
    NewPasswordPage,
    OutcomePage,
    render_ask_for_reset,
    render_new_password,
)
from app.web.site import Site, find_whereabouts, form_status, read_form, read_query


def add_reset(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get("/reset")
    def reset_get() -> Response:
        return _ask(site, pending_here(site, read_query().get("transaction") or "") or "")

    @app.post("/reset")
    def reset_post() -> Response:
        # No token in the form: it does nothing in anybody's name, and what it may cause is limited.
        site.check_own_form()
        form = read_form()
        transaction = pending_here(site, form.get("transaction") or "") or ""
        username = form.get("username") or ""
        if not username.strip():
            return _ask(site, transaction, error=gettext("Please say who you are."))
        ask_for_reset(site.deployment, username, find_whereabouts(), transaction_id=transaction)
        return _sent(site, transaction)

    _add_link(app, site, "reset")
    _add_link(app, site, "invitation")


def _add_link(app: Flask, site: Site, purpose: LinkPurpose) -> None:
    """The page behind a link with which somebody chooses a password."""

    @app.get(f"{PATHS[purpose]}/<secret>", endpoint=f"{purpose}_link_get")
    def link_get(secret: str) -> Response:
        try:
            return _choose(site, purpose, secret)
        except LinkOver:
            return _over(site, purpose)

    @app.post(f"{PATHS[purpose]}/<secret>", endpoint=f"{purpose}_link_post")
    def link_post(secret: str) -> Response:
        site.check_own_form()
        password = read_form().get("password") or ""
        try:
            opened = choose_by_link(
                site.deployment,
                purpose,
                secret,
                password,
                find_whereabouts(),
                device_cookie=site.cookies.read_known_device(request),
            )
        except LinkOver:
            return _over(site, purpose)
        except WeakPassword as weak:
            return _choose(site, purpose, secret, error=password_sentence(weak.fault))
        return _saved(site, purpose, opened.body.get("transaction", ""))


def _saved(site: Site, purpose: LinkPurpose, transaction_id: str) -> Response:
    lead = gettext("Sign in with it now. Wherever else you were signed in, you are no longer.")
    if purpose == "invitation":
        lead = gettext("Your account is ready. Sign in with the password now.")
    page = OutcomePage(
        heading=gettext("Your password is saved"),
        lead=lead,
        link_url=sign_in_url(site, transaction_id),
        link_label=gettext("Sign in"),
    )
    return show_outcome(site, page)


def _ask(site: Site, transaction: str, *, error: str | None = None) -> Response:
    page = AskForResetPage(
        action=f"{site.base_path}/reset",
        transaction=transaction,
        error=error,
        back_url=f"{site.base_path}/login?transaction={transaction}" if transaction else None,
        client=client_here(site, transaction),
    )
    return site.page(render_ask_for_reset(page), status=form_status(error), has_form=True)


def _sent(site: Site, transaction: str) -> Response:
    page = OutcomePage(
        heading=gettext("Look at your mail"),
        lead=gettext("If there is such an account, a link is on its way to its address. It works for half an hour."),
        notes=(gettext("Nothing came? Look among unwanted mail, or try your other address or name."),),
        link_url=f"{site.base_path}/login?transaction={transaction}" if transaction else None,
        link_label=gettext("Back to signing in"),
        client=client_here(site, transaction),
    )
    return show_outcome(site, page)


def _choose(site: Site, purpose: LinkPurpose, secret: str, *, error: str | None = None) -> Response:
    owner = look_at_link(site.deployment, purpose, secret).owner
    heading = gettext("Choose a new password")
    lead = gettext("Everybody who is signed in to your account is signed out by this, wherever that is.")
    if purpose == "invitation":
        heading = gettext("Choose your password")
        lead = gettext("There is an account for you here. With this password you sign in to it.")
    page = NewPasswordPage(
        action=f"{site.base_path}{PATHS[purpose]}/{secret}",
        heading=heading,
        lead=lead,
        username=owner.username,
        hint=password_hint(),
        error=error,
    )
    return site.page(render_new_password(page), status=form_status(error), has_form=True)


def _over(site: Site, purpose: LinkPurpose) -> Response:
    if purpose == "invitation":
        return link_over(site)
    return link_over(site, link_path="/reset", link_label=gettext("Ask for another link"))
