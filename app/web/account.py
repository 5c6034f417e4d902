"""/account: who somebody is here, what applications can learn of that, and what they may say themselves."""

from collections.abc import Mapping
from typing import Final

from flask import Flask, Response

from app.services.edit_profile import UnusableClaim, edit_profile
from app.services.notify_person import sends_mail
from app.services.own_account import find_own_row
from app.storage.sessions import SessionRow
from app.web.account_frame import account_frame
from app.web.account_pages import OverviewPage, render_overview
from app.web.describe_access import say_when
from app.web.describe_claims import describe_claims, profile_fields
from app.web.language import gettext
from app.web.own_pages import account_page, form_token, get_person, read_person_form
from app.web.site import Site, read_query

PATH: Final = "/account"


def add_account(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get(PATH)
    def account() -> Response:
        person = get_person(site, PATH)
        done = gettext("Your profile is saved.") if read_query().get("done") == "saved" else None
        return _show(site, person, done=done)

    @app.post(PATH)
    def account_post() -> Response:
        person, form = read_person_form(site, PATH)
        entered = {name: form.get(name) or "" for name in site.deployment.settings.self_service_claims}
        try:
            edit_profile(site.deployment, person, entered)
        except UnusableClaim as unusable:
            return _show(site, person, entered=entered, wrong=unusable.name, status=400)
        return site.redirect(site.url(f"{PATH}?done=saved"))


def _show(
    site: Site,
    person: SessionRow,
    *,
    done: str | None = None,
    entered: Mapping[str, str] | None = None,
    wrong: str | None = None,
    status: int = 200,
) -> Response:
    row = find_own_row(site.deployment, person)
    allowed = site.deployment.settings.self_service_claims
    page = OverviewPage(
        frame=account_frame(site, person, "overview", done=done),
        csrf_token=form_token(site, person),
        email=row.email,
        email_is_verified=row.claims.get("email_verified") is True,
        can_change_email=sends_mail(site.deployment),
        since=say_when(row.created_at),
        claims=describe_claims(row.claims),
        fields=profile_fields(allowed, row.claims, entered or {}, wrong),
    )
    return account_page(site, render_overview(page), status=status)
