"""/account/logins: the logins of other providers that belong to an account, added and removed by its owner."""

import re
from datetime import UTC, datetime
from typing import Final

from flask import Flask, Response, request

from app.services.begin_session import current_sessions
from app.services.identity_providers import Provider, find_provider
from app.services.link_logins import LinkedElsewhere, LinkGone, find_links, link_login, unlink_login
from app.services.sign_in_methods import LastSignInMethod
from app.services.upstream_trip import Errand, Return
from app.specs.protocol_error import AccessDenied, InvalidRequest
from app.specs.strict_request import Parameters
from app.storage.sessions import SessionRow
from app.web.account_frame import account_frame
from app.web.language import format_moment, gettext
from app.web.own_pages import form_token, get_person, read_person_form
from app.web.security_sections import Section
from app.web.site import Site, find_whereabouts, read_query
from app.web.upstream import Turned, Way, identify, send_away, show_turned
from app.web.upstream_pages import LinkableProvider, LinkedLogin, LinkedLoginsPage, render_linked_logins

PATH: Final = "/account/logins"
_LINK_ID: Final = re.compile(r"[0-9]{1,15}", re.ASCII)


def linked_logins_section(site: Site, session: SessionRow) -> Section | None:
    """Which logins of other providers they have; nothing where there is no provider and never was one."""
    if "upstream_logins" not in site.deployment.settings.feature_names:
        return None
    logins, linkable = _list(site, session)
    if not logins and not linkable:
        return None
    return Section(template="security/linked_logins.html", value=logins)


def add_linked_logins(app: Flask, site: Site) -> None:
    """Add the routes. All of them ask for a recent login: they decide who gets in."""

    @app.get(PATH)
    def account_logins() -> Response:
        person = get_person(site, PATH, is_sensitive=True)
        return _show(site, person, done=_done(read_query().get("done")))

    @app.post(f"{PATH}/link")
    def account_logins_link() -> Response:
        person, form = read_person_form(site, PATH, is_sensitive=True)
        provider = find_provider(site.deployment, form.get("provider") or "")
        if provider is None or provider.is_disabled:
            raise InvalidRequest("no such provider can be linked here")
        errand = Errand(purpose="link", session_id=person.session_id, user_id=person.user_id)
        return send_away(site, provider, errand, way_to_logins(site))

    @app.post(f"{PATH}/unlink")
    def account_logins_unlink() -> Response:
        person, form = read_person_form(site, PATH, is_sensitive=True)
        link_id = form.get("link") or ""
        if _LINK_ID.fullmatch(link_id) is None:
            raise InvalidRequest("link is malformed")
        return _unlink(site, person, int(link_id))


def finish_link(site: Site, provider: Provider, parameters: Parameters, returned: Return) -> Response:
    """Somebody has come back with a login that is to be linked to the account with which they left."""
    way = way_to_logins(site)
    try:
        session = _find_session(site, returned.errand)
        identity = identify(site, provider, parameters, returned)
        is_new = link_login(site.deployment, provider, identity, session, whereabouts=find_whereabouts())
    except Turned as turned:
        return show_turned(site, turned, way)
    except LinkedElsewhere:
        sentence = gettext(
            "Your account at %(name)s is linked to another account here.", name=provider.document.display_name
        )
        return show_turned(site, Turned(AccessDenied("the login belongs to another account"), sentence), way)
    return site.redirect(site.url(f"{PATH}?done={'linked' if is_new else 'linked_already'}"))


def way_to_logins(site: Site) -> Way:
    """Back to the page of linked logins."""
    return Way(f"{site.base_path}{PATH}", gettext("Back to your linked logins"))


def _find_session(site: Site, errand: Errand) -> SessionRow:
    """The session with which they left: still alive, in this browser. Raises `Turned`."""
    for session in current_sessions(site.deployment, site.cookies.read_browser(request)):
        if session.session_id == errand.session_id and session.user_id == errand.user_id:
            return session
    raise _session_over()


def _session_over() -> Turned:
    sentence = gettext("You are no longer signed in with the account to which the login was to be linked.")
    return Turned(AccessDenied("the session is over, or another person's"), sentence)


def _unlink(site: Site, session: SessionRow, link_id: int) -> Response:
    try:
        name = unlink_login(site.deployment, session, link_id, whereabouts=find_whereabouts())
    except LastSignInMethod:
        sentence = gettext(
            "This is the only way in which you can sign in. Add a password or a passkey before you remove it."
        )
        return _show(site, session, error=sentence, status=400)
    except LinkGone:
        return _show(site, session, error=gettext("This login is not linked to your account."), status=404)
    return _show(site, session, done=gettext("Your account is no longer linked to %(name)s.", name=name))


def _show(
    site: Site, session: SessionRow, *, done: str | None = None, error: str | None = None, status: int = 200
) -> Response:
    logins, linkable = _list(site, session)
    page = LinkedLoginsPage(
        frame=account_frame(site, session, "security", done=done, error=error),
        csrf_token=form_token(site, session),
        logins=logins,
        linkable=linkable,
    )
    # The form that links leads to the provider, and Chromium applies `form-action` to the whole way there.
    response = site.page(render_linked_logins(page), status=status, has_form=True, leads_to_client=True)
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response


def _list(site: Site, session: SessionRow) -> tuple[tuple[LinkedLogin, ...], tuple[LinkableProvider, ...]]:
    found = find_links(site.deployment, session.user_id)
    logins = tuple(
        LinkedLogin(
            value=str(row.id),
            provider_name=name,
            label=row.label,
            lets_in=row.lets_in,
            linked_at=_moment(row.created_at),
            last_used_at=None if row.last_used_at is None else _moment(row.last_used_at),
        )
        for row, name in found.links
    )
    linkable = tuple(
        LinkableProvider(name=provider.name, display_name=provider.document.display_name) for provider in found.addable
    )
    return logins, linkable


def _done(what: str | None) -> str | None:
    """What was just done, by the word with which we sent the person here."""
    if what == "linked":
        return gettext("The login is linked to your account.")
    if what == "linked_already":
        return gettext("The login was linked to your account already.")
    return None


def _moment(at: int) -> str:
    return format_moment(datetime.fromtimestamp(at / 1000, UTC))
