"""/logout, where clients send people to log out (RP-Initiated Logout 1.0), and /logged-out, where they arrive.

A GET that carries proof is obeyed at once. A POST from another site carries no SameSite=Lax cookie, so whatever it says
is stored and goes on as a GET on our own origin, as authorization requests do. The page after a logout opens the pages
that applications registered for it (Front-Channel Logout 1.0) and goes on when they are there, or late.
"""

import secrets

from flask import Flask, Response, request

from app.services.begin_session import current_sessions
from app.services.browser_state import read_browser_state
from app.services.client_registry import Client
from app.services.log_out import (
    CheckedLogout,
    PendingLogout,
    begin_logout,
    cancel_logout,
    check_logout,
    choose_proven,
    find_sessions,
    is_csrf_token_of,
    list_people,
    log_out,
    resume_logout,
)
from app.specs.oidc_logout import origin_of, parse_logout_request
from app.specs.strict_request import Parameters
from app.storage.sessions import SessionRow
from app.web.pages import LoggedOutPage, LogoutPage, render_logged_out, render_logout
from app.web.provider_buttons import list_provider_logouts
from app.web.reader_language import heed_person
from app.web.site import ForgedForm, Site, read_form, read_query
from app.web.static_files import logged_out_script_url


def add_logout(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get("/logout")
    def logout_get() -> Response:
        parameters = read_query()
        if "logout_request" in parameters:
            pending = _resume(site, parameters)
            return _go_on(site, pending.checked, pending)
        return _go_on(site, check_logout(site.deployment, parse_logout_request(parameters)), None)

    @app.post("/logout")
    def logout_post() -> Response:
        form = read_form()
        if "logout_request" in form:
            return _decide(site, form)
        # RP-Initiated Logout 2 lets any site post here, so there is no CSRF token: nothing is decided yet.
        pending, secret = begin_logout(site.deployment, check_logout(site.deployment, parse_logout_request(form)))
        response = site.redirect(site.url(f"/logout?logout_request={pending.request_id}"))
        site.cookies.set_logout(request, response, pending.request_id, secret)
        return response

    @app.get("/logged-out")
    def logged_out() -> Response:
        parameters = read_query()
        if "logout_request" not in parameters:
            return _show_result(site, None)
        return _show_result(site, _resume(site, parameters))


def _resume(site: Site, parameters: Parameters) -> PendingLogout:
    request_id = parameters.get("logout_request") or ""
    return resume_logout(site.deployment, request_id, site.cookies.read_logout(request, request_id))


def _go_on(site: Site, checked: CheckedLogout, pending: PendingLogout | None) -> Response:
    """Obey what is proven, or what ends nothing; ask about everything else."""
    if pending is not None and pending.outcome is not None:
        return site.redirect(site.url(f"/logged-out?logout_request={pending.request_id}"))
    sessions = find_sessions(site.deployment, site.cookies.read_browser(request))
    proven = choose_proven(checked, sessions)
    if proven or not sessions:
        return _log_out(site, checked, proven, pending)
    if pending is not None:
        return _ask(site, pending, sessions)
    pending, secret = begin_logout(site.deployment, checked)
    response = _ask(site, pending, sessions)
    site.cookies.set_logout(request, response, pending.request_id, secret)
    return response


def _log_out(
    site: Site, checked: CheckedLogout, sessions: tuple[SessionRow, ...], pending: PendingLogout | None
) -> Response:
    if not sessions and pending is None:
        # Nobody is logged in here, so nothing is written, whoever asks how often.
        return site.redirect(checked.continue_to or site.url("/logged-out"))
    request_id = None if pending is None else pending.request_id
    outcome, cookie = log_out(site.deployment, checked, sessions, request_id=request_id)
    if cookie is not None:
        request_id = cookie[0]
    if outcome.continue_to is not None and not outcome.frames:
        response = site.redirect(outcome.continue_to)
    else:
        response = site.redirect(site.url(f"/logged-out?logout_request={request_id}"))
    if cookie is not None:
        site.cookies.set_logout(request, response, *cookie)
    # What scripts of applications compare has changed with the sessions.
    browser_state = read_browser_state(site.deployment, site.cookies.read_browser(request))
    if browser_state is not None:
        site.cookies.keep_browser_state(request, response, browser_state)
    return response


def _decide(site: Site, form: Parameters) -> Response:
    site.check_own_form()
    pending = _resume(site, form)
    if not is_csrf_token_of(pending, form.get("csrf_token")):
        raise ForgedForm("the form was not made for this logout")
    if form.get("decision") != "confirm":
        # Whatever is not a clear yes is a no.
        cancel_logout(site.deployment, pending.request_id)
        return _show_stay(site, pending)
    if pending.outcome is not None:
        # The button was pressed twice.
        return _go_on(site, pending.checked, pending)
    sessions = find_sessions(site.deployment, site.cookies.read_browser(request))
    return _log_out(site, pending.checked, sessions, pending)


def _ask(site: Site, pending: PendingLogout, sessions: tuple[SessionRow, ...]) -> Response:
    client = _find_client(site, pending.checked.client_id)
    heed_person(site.deployment, sessions[0])
    page = LogoutPage(
        client=None if client is None else site.client_card(client, pending.checked.continue_to),
        returns=pending.checked.continue_to is not None,
        request=pending.request_id,
        csrf_token=pending.csrf_token,
        action=f"{site.base_path}/logout",
        usernames=tuple(session.username for session in sessions),
    )
    return site.page(render_logout(page), has_form=True, leads_to_client=True)


def _show_result(site: Site, pending: PendingLogout | None) -> Response:
    outcome = None if pending is None else pending.outcome
    remaining = _list_signed_in(site)
    if outcome is None:
        page = LoggedOutPage(ended=(), remaining=remaining, logout_url=f"{site.base_path}/logout")
        return site.page(render_logged_out(page))
    client = _find_client(site, outcome.client_id)
    nonce = secrets.token_urlsafe(18)
    page = LoggedOutPage(
        ended=list_people(site.deployment, outcome.session_ids),
        remaining=remaining,
        logout_url=f"{site.base_path}/logout",
        frames=outcome.frames,
        elsewhere=list_provider_logouts(site, outcome.session_ids),
        continue_to=outcome.continue_to,
        client_name=None if client is None else client.name,
        back_uri=None if client is None else client.metadata.client_uri,
        script_url=logged_out_script_url(site.base_path),
        script_nonce=nonce,
    )
    return site.page(
        render_logged_out(page),
        has_form=bool(page.elsewhere),
        leads_to_client=bool(page.elsewhere),
        script_nonce=nonce if outcome.continue_to is not None else None,
        frame_origins=tuple(origin_of(frame) for frame in outcome.frames),
    )


def _show_stay(site: Site, pending: PendingLogout) -> Response:
    client = _find_client(site, pending.checked.client_id)
    page = LoggedOutPage(
        ended=(),
        remaining=_list_signed_in(site),
        logout_url=f"{site.base_path}/logout",
        client_name=None if client is None else client.name,
        back_uri=None if client is None else client.metadata.client_uri,
    )
    return site.page(render_logged_out(page))


def _list_signed_in(site: Site) -> tuple[str, ...]:
    sessions = current_sessions(site.deployment, site.cookies.read_browser(request))
    return tuple(session.username for session in sessions)


def _find_client(site: Site, client_id: str | None) -> Client | None:
    if client_id is None:
        return None
    client = site.deployment.registry.find_readable_client(client_id)
    return None if client is None or client.is_disabled else client
