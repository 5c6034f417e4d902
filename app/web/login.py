"""/login: name and password, for a pending transaction."""

from flask import Flask, Response, request

from app.services.advance_authorization import get_client
from app.services.begin_session import Arrival, LoggedIn, current_sessions
from app.services.choose_account import bound_session, expected_username
from app.services.hash_password import PasswordPoolBusy
from app.services.limit_guesses import TooManyAttempts
from app.services.log_in import LoginAttempt, LoginFailed, SecondFactorDue, log_in
from app.services.notify_person import sends_mail
from app.services.transactions import Pending, Transaction, Visit
from app.web.authorize import current_pending, read_pending_form
from app.web.come_back import busy_sentence, set_retry_after, too_many_sentence
from app.web.language import gettext, mark
from app.web.pages import ClientCard, LoginPage, render_login
from app.web.passkey_prompt import sign_in_prompt
from app.web.provider_buttons import list_buttons
from app.web.site import Site, read_query

WRONG = mark("The name or the password is not right.")


def add_login(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get("/login")
    def login_get() -> Response:
        parameters = read_query()
        transaction = current_pending(site, parameters)
        if parameters.get("account") == "another":
            return show_login(site, transaction, username="")
        sessions = current_sessions(site.deployment, site.cookies.read_browser(request))
        chosen = bound_session(sessions, transaction)
        if chosen is not None:
            return show_login(site, transaction, username=chosen.username)
        if isinstance(transaction, Visit):
            return show_login(site, transaction, username="")
        device = site.cookies.read_known_device(request)
        expected = expected_username(site.deployment, transaction.request, device_cookie=device)
        return show_login(site, transaction, username=expected)

    @app.post("/login")
    def login_post() -> Response:
        form, transaction = read_pending_form(site)
        client_of(site, transaction)
        username = form.get("username") or ""
        attempt = LoginAttempt(
            username=username,
            password=form.get("password") or "",
            arrival=arrival_of(site, transaction),
        )
        try:
            logged_in = log_in(site.deployment, attempt)
        except LoginFailed:
            return show_login(site, transaction, username=username, error=gettext(WRONG))
        except PasswordPoolBusy:
            return show_login(site, transaction, username=username, error=busy_sentence(), status=503, retry_after_s=1)
        except TooManyAttempts as error:
            return show_throttled(site, transaction, error, username=username)
        if isinstance(logged_in, SecondFactorDue):
            return site.redirect(site.url(f"/second-factor?transaction={transaction.transaction_id}"))
        return let_in(site, transaction, logged_in)


def arrival_of(site: Site, pending: Pending) -> Arrival:
    """From where a person comes to prove who they are, and for which sign-in."""
    return Arrival(
        address=request.environ.get("REMOTE_ADDR", ""),
        user_agent=request.headers.get("User-Agent", "")[:300],
        browser_secret=site.cookies.read_browser(request),
        device_cookie=site.cookies.read_known_device(request),
        transaction_id=pending.transaction_id,
    )


def let_in(site: Site, pending: Pending, logged_in: LoggedIn) -> Response:
    """Somebody has got in: their cookies, and the hop on our own origin from which their sign-in goes on."""
    response = site.redirect(site.url(f"/authorize/resume?transaction={pending.transaction_id}"))
    keep_login(site, response, logged_in)
    return response


def keep_login(site: Site, response: Response, logged_in: LoggedIn) -> None:
    """The cookies of somebody who has got in."""
    site.cookies.set_login(
        response,
        browser_secret=logged_in.browser_secret,
        device_cookie=logged_in.device_cookie,
    )
    site.cookies.keep_browser_state(request, response, logged_in.browser_state)


def ask_to_sign_in(site: Site, pending: Transaction | Visit, *, error: str) -> Response:
    """The login page for who has to begin again; `error` is a sentence for them."""
    return show_login(site, pending, username="", error=error)


def show_throttled(site: Site, pending: Transaction | Visit, error: TooManyAttempts, *, username: str = "") -> Response:
    """The login page for who has to wait before the next attempt."""
    return show_login(
        site,
        pending,
        username=username,
        error=too_many_sentence(error.retry_after_s),
        status=429,
        retry_after_s=error.retry_after_s,
    )


def client_of(site: Site, pending: Transaction | Visit) -> ClientCard | None:
    """Who asks, for the pages of a sign-in; None where it is for a page of ours. Raises `InvalidRequest`."""
    if isinstance(pending, Visit):
        return None
    return site.client_card(get_client(site.deployment, pending.request), pending.request.redirect_uri)


def show_login(
    site: Site,
    transaction: Transaction | Visit,
    *,
    username: str,
    error: str | None = None,
    status: int = 200,
    retry_after_s: int | None = None,
) -> Response:
    """The page where people sign in, for a transaction of this browser; `error` is a sentence for them."""
    passkey = sign_in_prompt(site, transaction)
    html = render_login(
        LoginPage(
            client=client_of(site, transaction),
            transaction=transaction.transaction_id,
            csrf_token=transaction.csrf_token,
            action=f"{site.base_path}/login",
            username=username,
            error=error,
            providers=list_buttons(site),
            reset_url=_url_here(site, "/reset", transaction) if sends_mail(site.deployment) else None,
            signup_url=_url_here(site, "/signup", transaction) if site.deployment.settings.signup == "on" else None,
            passkey=passkey,
        )
    )
    response = site.page(
        html,
        status=status,
        has_form=True,
        leads_to_client=True,
        script_nonce=None if passkey is None else passkey.script_nonce,
    )
    return set_retry_after(response, retry_after_s)


def _url_here(site: Site, path: str, pending: Pending) -> str:
    """A page of ours from which this sign-in goes on."""
    return f"{site.base_path}{path}?transaction={pending.transaction_id}"
