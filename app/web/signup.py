"""/signup: somebody makes an account, and goes on to the application for which they came."""

from typing import Final

from flask import Flask, Response, request

from app.services.confirm_account import WrongPassword, confirm_account, needs_password, transaction_of
from app.services.email_links import PATHS, LinkOver
from app.services.password_rules import WeakPassword
from app.services.sign_up import MAX_NAME_CHARACTERS, BadAddress, BadName, NewAccount, ask_for_account
from app.services.transactions import OwnPage, Transaction, Visit, begin_visit
from app.services.verified_email import EmailTaken
from app.specs.strict_request import Parameters
from app.web.authorize import current_pending, read_pending_form
from app.web.language import current, gettext
from app.web.links import link_over, pending_here, show_outcome, sign_in_url
from app.web.login import arrival_of, client_of, let_in
from app.web.password_words import password_hint, password_sentence
from app.web.recovery_pages import OutcomePage
from app.web.signup_pages import ConfirmAccountPage, SignUpPage, render_confirm_account, render_sign_up
from app.web.site import Site, find_whereabouts, form_status, read_form, read_query

PATH: Final = PATHS["sign_up"]


def add_signup(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get(PATH)
    def signup_get() -> Response:
        parameters = read_query()
        if parameters.get("transaction") is None:
            return _begin(site)
        return _ask(site, current_pending(site, parameters))

    @app.post(PATH)
    def signup_post() -> Response:
        form, pending = read_pending_form(site)
        return _sign_up(site, pending, form)

    @app.get(f"{PATH}/<secret>")
    def signup_link_get(secret: str) -> Response:
        try:
            return _confirm(site, secret)
        except LinkOver:
            return _over(site)

    @app.post(f"{PATH}/<secret>")
    def signup_link_post(secret: str) -> Response:
        site.check_own_form()
        password = read_form().get("password") or ""
        try:
            return _make_account(site, secret, password)
        except WrongPassword:
            error = gettext("This is not the password that you chose.")
            return _confirm(site, secret, error=error)
        except LinkOver:
            return _over(site)
        except EmailTaken:
            return _taken(site)


def _begin(site: Site) -> Response:
    """Nobody sent them: they will see their account afterwards."""
    visit, secret = begin_visit(site.deployment, OwnPage(path="/account"))
    response = site.redirect(site.url(f"{PATH}?transaction={visit.transaction_id}"))
    site.cookies.set_transaction(request, response, visit.transaction_id, secret)
    return response


def _sign_up(site: Site, pending: Transaction | Visit, form: Parameters) -> Response:
    account = NewAccount(
        name=" ".join((form.get("name") or "").split()),
        email=(form.get("email") or "").strip(),
        password=form.get("password") or "",
        locale=current().tag,
    )
    try:
        ask_for_account(site.deployment, account, find_whereabouts(), transaction_id=pending.transaction_id)
    except BadName:
        return _ask(site, pending, account, error=gettext("Please say what you are called, with letters."))
    except BadAddress:
        error = gettext("This is no e-mail address that mail can be sent to.")
        return _ask(site, pending, account, error=error)
    except WeakPassword as weak:
        return _ask(site, pending, account, error=password_sentence(weak.fault))
    page = OutcomePage(
        heading=gettext("Look at your mail"),
        lead=gettext("A link is on its way to %(email)s. Your account is made once you open it.", email=account.email),
        notes=(
            gettext("Open it in this browser, and you go straight on."),
            gettext("Nothing came? Look among unwanted mail, or check the address."),
        ),
        link_url=f"{site.base_path}{PATH}?transaction={pending.transaction_id}",
        link_label=gettext("Use another address"),
        client=client_of(site, pending),
    )
    return show_outcome(site, page)


def _make_account(site: Site, secret: str, password: str) -> Response:
    """The account, and on to where its owner was going, if that waits in this browser."""
    transaction_id = transaction_of(site.deployment, secret)
    pending = None
    if pending_here(site, transaction_id) is not None:
        pending = current_pending(site, Parameters.of({"transaction": transaction_id}))
    arrival = None if pending is None else arrival_of(site, pending)
    made = confirm_account(site.deployment, secret, arrival=arrival, password=password)
    if pending is not None and made.logged_in is not None:
        return let_in(site, pending, made.logged_in)
    page = OutcomePage(
        heading=gettext("Your account is ready"),
        lead=gettext("Sign in with your e-mail address, or with your username: %(username)s.", username=made.username),
        notes=(gettext("If an application sent you, you can also go back to it and sign in there."),),
        link_url=sign_in_url(site, transaction_id),
        link_label=gettext("Sign in"),
    )
    return show_outcome(site, page)


def _ask(
    site: Site, pending: Transaction | Visit, entered: NewAccount | None = None, *, error: str | None = None
) -> Response:
    page = SignUpPage(
        client=client_of(site, pending),
        action=f"{site.base_path}{PATH}",
        transaction=pending.transaction_id,
        csrf_token=pending.csrf_token,
        name="" if entered is None else entered.name[:MAX_NAME_CHARACTERS],
        email="" if entered is None else entered.email[:254],
        hint=password_hint(),
        error=error,
        login_url=f"{site.base_path}/login?transaction={pending.transaction_id}",
    )
    return site.page(render_sign_up(page), status=form_status(error), has_form=True)


def _confirm(site: Site, secret: str, *, error: str | None = None) -> Response:
    waiting = pending_here(site, transaction_of(site.deployment, secret))
    here = frozenset() if waiting is None else frozenset({waiting})
    email, asks_password = needs_password(site.deployment, secret, here)
    page = ConfirmAccountPage(
        action=f"{site.base_path}{PATH}/{secret}", email=email, asks_password=asks_password, error=error
    )
    html = render_confirm_account(page)
    # What follows may be the way back to a client.
    return site.page(html, status=form_status(error), has_form=True, leads_to_client=True)


def _over(site: Site) -> Response:
    return link_over(site, link_path="/account", link_label=gettext("Sign in"))


def _taken(site: Site) -> Response:
    page = OutcomePage(
        heading=gettext("You already have an account"),
        lead=gettext("This address belongs to an account here. Sign in with it."),
        is_refusal=True,
        link_url=f"{site.base_path}/account",
        link_label=gettext("Sign in"),
    )
    return show_outcome(site, page)
