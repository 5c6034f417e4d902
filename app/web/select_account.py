"""/select-account: which of the accounts that are signed in in this browser goes on, or another one."""

from flask import Flask, Response, request

from app.services.advance_authorization import advance, get_client
from app.services.begin_session import current_sessions
from app.services.choose_account import list_accounts, select_account
from app.services.transactions import Transaction
from app.storage.sessions import SessionRow
from app.web.authorize import current_transaction, get_transaction, go_on, read_pending_form
from app.web.language import gettext, mark
from app.web.pages import AccountChoice, SelectAccountPage, render_select_account
from app.web.site import Site, read_query

NOT_HERE = mark("Choose one of these accounts, or use another one.")


def add_select_account(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get("/select-account")
    def select_account_get() -> Response:
        transaction = current_transaction(site, read_query())
        return _show(site, transaction, _sessions(site))

    @app.post("/select-account")
    def select_account_post() -> Response:
        form, pending = read_pending_form(site)
        transaction = get_transaction(pending)
        get_client(site.deployment, transaction.request)
        sessions = _sessions(site)
        browser_state = select_account(site.deployment, transaction, sessions, form.get("account"))
        if browser_state is None:
            return _show(site, transaction, sessions, error=gettext(NOT_HERE))
        response = site.redirect(site.url(f"/authorize/resume?transaction={transaction.transaction_id}"))
        site.cookies.keep_browser_state(request, response, browser_state)
        return response


def _sessions(site: Site) -> tuple[SessionRow, ...]:
    return current_sessions(site.deployment, site.cookies.read_browser(request))


def _show(
    site: Site, transaction: Transaction, sessions: tuple[SessionRow, ...], *, error: str | None = None
) -> Response:
    if not sessions or "none" in transaction.request.prompt:
        # Nobody is left to be chosen, or no page may be shown: what is due then says the list of prompts.
        return go_on(site, transaction, advance(site.deployment, transaction.request, sessions, transaction))
    client = get_client(site.deployment, transaction.request)
    accounts = list_accounts(site.deployment, sessions, client_pk=client.pk)
    page = SelectAccountPage(
        client=site.client_card(client, transaction.request.redirect_uri),
        transaction=transaction.transaction_id,
        csrf_token=transaction.csrf_token,
        action=f"{site.base_path}/select-account",
        login_url=f"{site.base_path}/login?transaction={transaction.transaction_id}&account=another",
        accounts=tuple(
            AccountChoice(
                value=account.username,
                name=account.name,
                email=account.email,
                was_used_last=account.was_used_last,
                checked=place == 0,
            )
            for place, account in enumerate(accounts)
        ),
        error=error,
    )
    return site.page(render_select_account(page), has_form=True, leads_to_client=True)
