"""What the pages of an account have in common: whose they are, how recent the login is, and whose form it was.

person = get_person(site, "/account/security")
if isinstance(person, Response):
    return person
"""

import hmac

from flask import Response, request

from app.services.advance_visit import due_prompt
from app.services.begin_session import current_sessions
from app.services.transactions import OwnPage
from app.storage.sessions import SessionRow
from app.web.authorize import send_to_sign_in
from app.web.reader_language import heed_person
from app.web.site import ForgedForm, Site

RECENT_S = 300
"""How old the login may be with which somebody changes how people get in."""


def get_person(site: Site, path: str, *, is_sensitive: bool = False) -> SessionRow | Response:
    """The session of whoever is signed in here (the latest login), or the way to sign in and back to `path`.

    `path` is the page's own, beneath the issuer. `is_sensitive`: only a login of the last five minutes will do, with a
    second factor where the person has one.
    """
    page = OwnPage(path=path, max_age_s=RECENT_S, level="mfa") if is_sensitive else OwnPage(path=path)
    session = next(iter(current_sessions(site.deployment, site.cookies.read_browser(request))), None)
    heed_person(site.deployment, session)
    prompt = due_prompt(site.deployment, page, session)
    if prompt is not None or session is None:
        return send_to_sign_in(site, page, prompt or "login")
    return session


def form_token(site: Site, session: SessionRow) -> str:
    """The CSRF token of this browser's forms for this account: another login, or another account, has another."""
    browser_secret = site.cookies.read_browser(request) or ""
    return site.deployment.seals.digest("csrf-account", f"{session.session_id} {browser_secret}")[0].hex()


def check_form(site: Site, session: SessionRow, csrf_token: str | None) -> None:
    """Raises `ForgedForm` unless the form is ours, made for this account in this browser."""
    site.check_own_form()
    if csrf_token is None or not hmac.compare_digest(csrf_token.encode(), form_token(site, session).encode()):
        raise ForgedForm("the form was not made for this account in this browser")


def account_page(site: Site, html: str, *, status: int = 200, script_nonce: str | None = None) -> Response:
    """A page of an account with its headers: nothing that it opens, and nothing that opened it, may reach into it."""
    response = site.page(html, status=status, has_form="<form" in html, script_nonce=script_nonce)
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response
