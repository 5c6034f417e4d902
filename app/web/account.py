"""GET /account: who somebody is here."""

from flask import Flask, Response

from app.web.account_frame import account_frame
from app.web.account_pages import OverviewPage, render_overview
from app.web.own_pages import account_page, get_person
from app.web.site import Site


def add_account(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get("/account")
    def account() -> Response:
        person = get_person(site, "/account")
        if isinstance(person, Response):
            return person
        return account_page(site, render_overview(OverviewPage(frame=account_frame(site, person, "overview"))))
