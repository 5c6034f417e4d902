"""What the pages of an account have in common: whose they are, how recent the login is, and whose form it was.

Who has to sign in first never reaches the view's next line: `get_person` and `read_person_form` raise `NotYet`.
"""

import hmac

from flask import Response, request

from app.services.advance_visit import due_prompt
from app.services.begin_session import current_sessions
from app.services.transactions import OwnPage
from app.specs.strict_request import REPEATABLE, Parameters
from app.storage.sessions import SessionRow
from app.web.authorize import send_to_sign_in
from app.web.reader_language import heed_person
from app.web.site import ForgedForm, NotYet, Site, read_form

RECENT_S = 300
"""How old the login may be with which somebody changes how people get in."""


def get_person(site: Site, path: str, *, is_sensitive: bool = False) -> SessionRow:
    """The session of whoever is signed in here (the latest login).

    `path` is the page's own, beneath the issuer. `is_sensitive`: only a login of the last five minutes will do, with a
    second factor where the person has one. Raises `NotYet`, with the way to sign in and back to `path`.
    """
    page = OwnPage(path=path, max_age_s=RECENT_S, level="mfa") if is_sensitive else OwnPage(path=path)
    session = next(iter(current_sessions(site.deployment, site.cookies.read_browser(request))), None)
    heed_person(site.deployment, session)
    prompt = due_prompt(site.deployment, page, session)
    if prompt is not None or session is None:
        raise NotYet(send_to_sign_in(site, page, prompt or "login"))
    return session


def read_person_form(
    site: Site, path: str, *, is_sensitive: bool = False, repeatable: frozenset[str] = REPEATABLE
) -> tuple[SessionRow, Parameters]:
    """Whose form it is, and what it says: ours, and made for this account in this browser.

    The rest is as in `get_person`. Raises `NotYet`, `ForgedForm` and `InvalidRequest`.
    """
    person = get_person(site, path, is_sensitive=is_sensitive)
    site.check_own_form()
    form = read_form(repeatable=repeatable)
    if not hmac.compare_digest((form.get("csrf_token") or "").encode(), form_token(site, person).encode()):
        raise ForgedForm("the form was not made for this account in this browser")
    return person, form


def form_token(site: Site, session: SessionRow) -> str:
    """The CSRF token of this browser's forms for this account: another login, or another account, has another."""
    browser_secret = site.cookies.read_browser(request) or ""
    return site.deployment.seals.digest("csrf-account", f"{session.session_id} {browser_secret}")[0].hex()


def account_page(site: Site, html: str, *, status: int = 200, script_nonce: str | None = None) -> Response:
    """A page of an account with its headers: nothing that it opens, and nothing that opened it, may reach into it."""
    response = site.page(html, status=status, has_form="<form" in html, script_nonce=script_nonce)
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response
