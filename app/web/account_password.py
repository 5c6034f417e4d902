"""/account/password: another password, or the first one of somebody who signs in otherwise."""

from dataclasses import dataclass, field
from typing import Final

from flask import Flask, Response, render_template, request

from app.services.own_account import find_own_row
from app.services.password_rules import WeakPassword
from app.services.replace_password import PasswordChange, change_password
from app.storage.sessions import SessionRow
from app.web.account_frame import AccountFrame, account_frame
from app.web.own_pages import account_page, form_token, get_person, read_person_form
from app.web.password_words import password_hint, password_sentence
from app.web.security_sections import Section
from app.web.site import Site, find_whereabouts, form_status

PATH: Final = "/account/password"


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordPage:
    """The form for a new password. `has_password`: whether they have one now."""

    frame: AccountFrame
    csrf_token: str = field(repr=False)
    has_password: bool
    ends_others: bool
    hint: str
    error: str | None = None


def password_section(site: Site, session: SessionRow) -> Section:
    """Whether they have a password, and the way to another one."""
    return Section(template="security/password.html", value=_has_password(site, session))


def add_account_password(app: Flask, site: Site) -> None:
    """Add the routes. A login of the last minutes is proof enough of the old password, or of what is in its place."""

    @app.get(PATH)
    def account_password() -> Response:
        person = get_person(site, PATH, is_sensitive=True)
        return _show(site, person)

    @app.post(PATH)
    def account_password_post() -> Response:
        person, form = read_person_form(site, PATH, is_sensitive=True)
        ends_others = form.get("end_others") == "yes"
        change = PasswordChange(
            password=form.get("password") or "",
            ends_others=ends_others,
            origin=find_whereabouts(),
            device_cookie=site.cookies.read_known_device(request),
        )
        try:
            change_password(site.deployment, person, change)
        except WeakPassword as weak:
            return _show(site, person, ends_others=ends_others, error=password_sentence(weak.fault))
        return site.redirect(site.url("/account/security?done=password_changed"))


def render_password(page: PasswordPage) -> str:
    """Return the page as HTML. No password is ever in it."""
    return render_template("account_password.html", page=page)


def _show(site: Site, session: SessionRow, *, ends_others: bool = True, error: str | None = None) -> Response:
    page = PasswordPage(
        frame=account_frame(site, session, "security"),
        csrf_token=form_token(site, session),
        has_password=_has_password(site, session),
        ends_others=ends_others,
        hint=password_hint(),
        error=error,
    )
    return account_page(site, render_password(page), status=form_status(error))


def _has_password(site: Site, session: SessionRow) -> bool:
    return find_own_row(site.deployment, session).password_hash is not None
