"""/account/activity: what happened to an account, in its owner's words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from flask import Flask, Response, render_template

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
        cursor = read_query().get("before")
        history = read_history(site.deployment, person, cursor)
        # Once for each, because a removed one is remembered nowhere.
        names = {event.client_id: _name(site, event.client_id) for event in history.events}
        page = ActivityPage(
            frame=account_frame(site, person, "activity"),
            events=tuple(_describe(event, names) for event in history.events),
            older_url=None if history.older is None else f"{site.base_path}{PATH}?before={history.older}",
            newest_url=None if cursor is None else f"{site.base_path}{PATH}",
        )
        return account_page(site, render_activity(page))


def _describe(event: AuditEvent, names: Mapping[str | None, str]) -> ShownEvent:
    user_agent = event.personal.get("user_agent")
    # An event that tells the name has it as it was when it happened.
    named = event.body.get("client_name")
    return ShownEvent(
        sentence=describe_event(event, names[event.client_id] if named is None else _quote(named)),
        when=say_when(event.at),
        address=event.personal.get("address"),
        device=None if not user_agent else describe_device(user_agent),
        methods=find_methods(event.body) or None,
    )


def _name(site: Site, client_id: str | None) -> str:
    """The application's name is its own word, so it stands in quotation marks."""
    if client_id is None:
        return gettext("an application")
    return _quote(site.deployment.registry.find_client_name(client_id))


def _quote(name: str) -> str:
    return gettext("“%(name)s”", name=name)
