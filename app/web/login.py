"""/login: name and password, for a pending transaction."""

from flask import Flask, Response, request

from app.services.advance_authorization import get_client
from app.services.choose_account import bound_session, expected_username
from app.services.hash_password import PasswordPoolBusy
from app.services.log_in import LoginAttempt, LoginFailed, current_sessions, log_in
from app.services.throttle_logins import FairShare, TooManyAttempts
from app.services.transactions import Transaction, is_csrf_token_of
from app.web.authorize import current_transaction
from app.web.pages import LoginPage, render_login
from app.web.site import ForgedForm, Site, read_form, read_query

WRONG = "The name or the password is not right."
BUSY = "Many people are signing in just now. Please try again in a moment."


def add_login(app: Flask, site: Site) -> None:
    """Add the routes."""
    settings = site.deployment.settings
    # A quarter of the password queue: one address alone cannot keep everybody else waiting.
    shares = FairShare(max(2, (settings.password_hash_workers + settings.password_hash_queue) // 4))

    @app.get("/login")
    def login_get() -> Response:
        parameters = read_query()
        transaction = current_transaction(site, parameters)
        if parameters.get("account") == "another":
            return _show(site, transaction, username="")
        sessions = current_sessions(site.deployment, site.cookies.read_browser(request))
        chosen = bound_session(sessions, transaction)
        if chosen is not None:
            return _show(site, transaction, username=chosen.username)
        device = site.cookies.read_known_device(request)
        expected = expected_username(site.deployment, transaction.request, known_device_secret=device)
        return _show(site, transaction, username=expected)

    @app.post("/login")
    def login_post() -> Response:
        site.check_own_form()
        form = read_form()
        transaction = current_transaction(site, form)
        if not is_csrf_token_of(transaction, form.get("csrf_token")):
            raise ForgedForm("the form was not made for this sign-in")
        get_client(site.deployment, transaction.request)
        username = form.get("username") or ""
        address = request.environ.get("REMOTE_ADDR", "")
        attempt = LoginAttempt(
            username=username[:200],
            password=form.get("password") or "",
            address=address,
            user_agent=request.headers.get("User-Agent", "")[:300],
            browser_secret=site.cookies.read_browser(request),
            known_device_secret=site.cookies.read_known_device(request),
            transaction_id=transaction.transaction_id,
        )
        try:
            with shares.place(address):
                logged_in = log_in(site.deployment, attempt)
        except LoginFailed:
            return _show(site, transaction, username=username, error=WRONG)
        except PasswordPoolBusy:
            return _show(site, transaction, username=username, error=BUSY, status=503, retry_after_s=1)
        except TooManyAttempts as error:
            return _show(
                site,
                transaction,
                username=username,
                error=_too_many(error.retry_after_s),
                status=429,
                retry_after_s=error.retry_after_s,
            )
        response = site.redirect(site.url(f"/authorize/resume?transaction={transaction.transaction_id}"))
        site.cookies.set_login(
            response,
            browser_secret=logged_in.browser_secret,
            known_device_secret=logged_in.known_device_secret,
        )
        site.cookies.keep_browser_state(request, response, logged_in.browser_state)
        return response


def _show(
    site: Site,
    transaction: Transaction,
    *,
    username: str,
    error: str | None = None,
    status: int = 200,
    retry_after_s: int | None = None,
) -> Response:
    client = get_client(site.deployment, transaction.request)
    html = render_login(
        LoginPage(
            client=site.client_card(client, transaction.request),
            transaction=transaction.transaction_id,
            csrf_token=transaction.csrf_token,
            action=f"{site.base_path}/login",
            username=username,
            error=error,
        )
    )
    response = site.page(html, status=status, has_form=True, leads_to_client=True)
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def _too_many(retry_after_s: int) -> str:
    minutes = (retry_after_s + 59) // 60
    return f"Too many attempts. Please try again in {minutes} {'minute' if minutes == 1 else 'minutes'}."
