"""/account/sessions: where somebody is signed in, and signing out there."""

from dataclasses import dataclass, field
from typing import Final

from flask import Flask, Response, render_template, request

from app.services.own_sessions import OwnSession, UnknownSession, end_others, end_session_of, list_sessions
from app.storage.sessions import SessionRow
from app.web.account_frame import AccountFrame, account_frame
from app.web.describe_access import say_when
from app.web.describe_device import describe_device
from app.web.describe_event import describe_methods
from app.web.language import gettext
from app.web.own_pages import account_page, form_token, get_person, read_person_form
from app.web.site import Site, read_query

PATH: Final = "/account/sessions"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSession:
    """One session, in words. `address` is None where it is not known."""

    reference: str
    device: str
    is_here: bool
    address: str | None
    began: str
    last_use: str
    methods: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsPage:
    """Everywhere a person is signed in."""

    frame: AccountFrame
    csrf_token: str = field(repr=False)
    sessions: tuple[ShownSession, ...]


def render_sessions(page: SessionsPage) -> str:
    """Return the page as HTML."""
    return render_template("account_sessions.html", page=page)


def add_account_sessions(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get(PATH)
    def account_sessions() -> Response:
        person = get_person(site, PATH)
        return _show(site, person, done=_done(read_query().get("done")))

    @app.post(PATH)
    def account_sessions_end() -> Response:
        person, form = read_person_form(site, PATH)
        if form.get("session") == "others":
            end_others(site.deployment, person, device_cookie=site.cookies.read_known_device(request))
            return site.redirect(site.url(f"{PATH}?done=others"))
        try:
            is_here = end_session_of(site.deployment, person, form.get("session") or "")
        except UnknownSession:
            return _show(site, person, error=gettext("You are not signed in there any more."), status=404)
        return site.redirect(site.url("/logged-out" if is_here and _has_logout(site) else f"{PATH}?done=one"))


def _has_logout(site: Site) -> bool:
    return "rp_initiated_logout" in site.deployment.settings.feature_names


def _show(
    site: Site, person: SessionRow, *, done: str | None = None, error: str | None = None, status: int = 200
) -> Response:
    page = SessionsPage(
        frame=account_frame(site, person, "sessions", done=done, error=error),
        csrf_token=form_token(site, person),
        sessions=tuple(_describe(session) for session in list_sessions(site.deployment, person)),
    )
    return account_page(site, render_sessions(page), status=status)


def _describe(session: OwnSession) -> ShownSession:
    return ShownSession(
        reference=session.reference,
        device=describe_device(session.user_agent),
        is_here=session.is_here,
        address=session.address,
        began=say_when(session.created_at),
        last_use=say_when(session.last_used_at),
        methods=describe_methods(session.methods),
    )


def _done(what: str | None) -> str | None:
    """What was just done, by the word with which a form of this page came back here."""
    if what == "one":
        return gettext("You are signed out there.")
    return gettext("You are signed out everywhere else.") if what == "others" else None
