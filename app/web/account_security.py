"""/account/security: how a person signs in, section by section; and ending their sessions elsewhere."""

from dataclasses import dataclass, field
from typing import Final

from flask import Flask, Response, render_template, request

from app.services.own_sessions import count_others, end_others
from app.storage.sessions import SessionRow
from app.web.account_email import email_section
from app.web.account_factors import authenticator_section, recovery_codes_section
from app.web.account_frame import AccountFrame, account_frame
from app.web.account_password import password_section
from app.web.language import gettext, ngettext
from app.web.linked_logins import linked_logins_section
from app.web.own_pages import account_page, form_token, get_person, read_person_form
from app.web.passkey_section import passkey_section
from app.web.security_sections import Contributor, Section
from app.web.site import Site, read_query

PATH: Final = "/account/security"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityPage:
    """How somebody signs in."""

    frame: AccountFrame
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherSessions:
    """In how many other browsers the person is signed in."""

    others: int
    csrf_token: str = field(repr=False)


def other_sessions_section(site: Site, session: SessionRow) -> Section:
    """Where else they are signed in."""
    others = count_others(site.deployment, session)
    value = OtherSessions(others=others, csrf_token=form_token(site, session))
    return Section(template="security/other_sessions.html", value=value)


SECTIONS: Final[tuple[Contributor, ...]] = (
    passkey_section,
    password_section,
    email_section,
    authenticator_section,
    recovery_codes_section,
    linked_logins_section,
    other_sessions_section,
)


def add_account_security(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get(PATH)
    def account_security() -> Response:
        person = get_person(site, PATH)
        return show_security(site, person, done=_done(read_query().get("done")))

    @app.post(f"{PATH}/end-other-sessions")
    def account_security_end_other_sessions() -> Response:
        person, _form = read_person_form(site, PATH)
        ended = end_others(site.deployment, person, device_cookie=site.cookies.read_known_device(request))
        done = ngettext("You are signed out in %(num)s browser.", "You are signed out in %(num)s browsers.", ended)
        return show_security(site, person, done=done)


def render_security(page: SecurityPage) -> str:
    """Return the page as HTML."""
    return render_template("account_security.html", page=page)


def show_security(
    site: Site, session: SessionRow, *, done: str | None = None, error: str | None = None, status: int = 200
) -> Response:
    """The page, after something was done or could not be (a whole sentence for the person)."""
    found = (contribute(site, session) for contribute in SECTIONS)
    sections = tuple(section for section in found if section is not None)
    frame = account_frame(site, session, "security", done=done, error=error)
    html = render_security(SecurityPage(frame=frame, sections=sections))
    nonce = next((section.script_nonce for section in sections if section.script_nonce is not None), None)
    return account_page(site, html, status=status, script_nonce=nonce)


def _done(what: str | None) -> str | None:
    """What was just done, by the word with which another page of ours sent the person here."""
    if what == "password_changed":
        return gettext("Your new password is saved.")
    if what == "totp_removed":
        return gettext("The authenticator app is removed.")
    if what == "totp_added":
        return gettext("The authenticator app is on.")
    return None
