"""/account/activity: what happened to an account, in its owner's words."""

from dataclasses import dataclass, field
from typing import Final

from flask import Flask, Response, render_template

from app.services.connected_applications import find_client
from app.services.list_audit import AuditEvent
from app.services.security_history import read_history
from app.web.account_frame import AccountFrame, account_frame
from app.web.describe_access import say_when
from app.web.describe_device import describe_device
from app.web.describe_event import describe_event, find_methods
from app.web.language import gettext
from app.web.own_pages import account_page, get_person
from app.web.site import Site, read_query

PATH: Final = "/account/activity"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEvent:
    """One event, in words. `address`, `device` and `methods` are None where they are not known."""

    sentence: str
    when: str
    address: str | None = None
    device: str | None = None
    methods: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityPage:
    """A page of what happened, the newest first. `older_url` leads to the next one."""

    frame: AccountFrame
    events: tuple[ShownEvent, ...] = field(repr=False)
    older_url: str | None
    newest_url: str | None


def render_activity(page: ActivityPage) -> str:
    """Return the page as HTML."""
    return render_template("account_activity.html", page=page)


def add_account_activity(app: Flask, site: Site) -> None:
    """Add the route."""

    @app.get(PATH)
    def account_activity() -> Response:
        person = get_person(site, PATH)
        if isinstance(person, Response):
            return person
        cursor = read_query().get("before")
        history = read_history(site.deployment, person, cursor)
        page = ActivityPage(
            frame=account_frame(site, person, "activity"),
            events=tuple(_describe(site, event) for event in history.events),
            older_url=None if history.older is None else f"{site.base_path}{PATH}?before={history.older}",
            newest_url=None if cursor is None else f"{site.base_path}{PATH}",
        )
        return account_page(site, render_activity(page))


def _describe(site: Site, event: AuditEvent) -> ShownEvent:
    user_agent = event.personal.get("user_agent")
    return ShownEvent(
        sentence=describe_event(event, _name(site, event)),
        when=say_when(event.at),
        address=event.personal.get("address"),
        device=None if not user_agent else describe_device(user_agent),
        methods=find_methods(event.body) or None,
    )


def _name(site: Site, event: AuditEvent) -> str:
    """The application's name is its own word, so it stands in quotation marks."""
    if event.client_id is None:
        return gettext("an application")
    client = find_client(site.deployment, event.client_id)
    return gettext("“%(name)s”", name=event.client_id if client is None else client.name)
