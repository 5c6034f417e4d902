"""/account/applications: what acts for a person, what it may do, and how each of it is limited or ended."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from flask import Flask, Response, request

from app.services.connected_applications import end_access, end_application, list_applications
from app.services.limit_networks import UnusableNetworks, parse_chosen_networks
from app.services.narrow_grant import EndIsPast, NothingLeft, Restriction, UnknownAccess, narrow_grant
from app.services.preferences import find_preferences
from app.specs.protocol_error import InvalidRequest
from app.specs.strict_request import Parameters
from app.storage.sessions import SessionRow
from app.web.account_frame import account_frame
from app.web.application_pages import ApplicationsPage, render_applications
from app.web.describe_access import describe_application
from app.web.describe_networks import describe_problem
from app.web.language import gettext
from app.web.own_pages import account_page, form_token, get_person, read_person_form
from app.web.site import Site, find_whereabouts, read_query

PATH: Final = "/account/applications"


def add_account_applications(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get(PATH)
    def account_applications() -> Response:
        person = get_person(site, PATH)
        return _show(site, person, done=_done(read_query().get("done")))

    @app.post(f"{PATH}/end")
    def account_applications_end() -> Response:
        person, form = _read(site)
        try:
            end_access(site.deployment, person, form.get("grant") or "", find_whereabouts())
        except UnknownAccess:
            return _show_gone(site, person)
        return site.redirect(site.url(f"{PATH}?done=ended"))

    @app.post(f"{PATH}/disconnect")
    def account_applications_disconnect() -> Response:
        person, form = _read(site)
        try:
            end_application(site.deployment, person, form.get("client_id") or "", find_whereabouts())
        except UnknownAccess:
            return _show_gone(site, person)
        return site.redirect(site.url(f"{PATH}?done=disconnected"))

    @app.post(f"{PATH}/narrow")
    def account_applications_narrow() -> Response:
        return _narrow(site, *_read(site))


def _read(site: Site) -> tuple[SessionRow, Parameters]:
    return read_person_form(site, PATH, repeatable=frozenset({"scope"}))


def _narrow(site: Site, person: SessionRow, form: Parameters) -> Response:
    error: str | None = None
    changed = False
    try:
        wish = Restriction(
            kept=frozenset(form.get_all("scope")),
            until=_read_end(form.get("until"), find_preferences(site.deployment, person.user_id).zone),
            networks=parse_chosen_networks(form.get("network")),
        )
        changed = narrow_grant(site.deployment, person, form.get("grant") or "", wish, find_whereabouts())
    except UnknownAccess:
        return _show_gone(site, person)
    except NothingLeft:
        error = gettext("Nothing would be left of this access. If that is what you want, end it.")
    except EndIsPast:
        error = gettext("Choose a day that has not passed yet.")
    except UnusableNetworks as reason:
        error = describe_problem(reason)
    if error is not None:
        return _show(site, person, error=error, status=400)
    return site.redirect(site.url(f"{PATH}?done={'narrowed' if changed else 'same'}"))


def _read_end(text: str | None, zone: ZoneInfo | None) -> int | None:
    """The end of a day where the person is, in milliseconds. Raises `InvalidRequest` for what no date field sends."""
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
        midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=zone or UTC)
        return int(midnight.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest("the end is not a date") from error


def _show_gone(site: Site, person: SessionRow) -> Response:
    """For what has ended, what never was, and what is somebody else's: nobody learns which."""
    return _show(site, person, error=gettext("That access is no longer there."), status=404)


def _show(
    site: Site, person: SessionRow, *, done: str | None = None, error: str | None = None, status: int = 200
) -> Response:
    zone = find_preferences(site.deployment, person.user_id).zone
    address = request.environ.get("REMOTE_ADDR", "")
    page = ApplicationsPage(
        frame=account_frame(site, person, "applications", done=done, error=error),
        csrf_token=form_token(site, person),
        applications=tuple(
            describe_application(site, application, zone=zone, address=address)
            for application in list_applications(site.deployment, person)
        ),
    )
    return account_page(site, render_applications(page), status=status)


def _done(what: str | None) -> str | None:
    """What was just done, by the word with which a form of this page came back here."""
    sentences = {
        "ended": gettext("The access has ended. What the application still held is refused within seconds."),
        "disconnected": gettext("The application has no access any more, and is asked about before it gets any."),
        "narrowed": gettext("The access is limited. What the application held before is refused within seconds."),
        "same": gettext("Nothing was changed."),
    }
    return sentences.get(what or "")
