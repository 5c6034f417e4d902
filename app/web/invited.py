"""/login/invited/SECRET: somebody was invited to make an account by signing in at another provider."""

from typing import Final

from flask import Flask, Response, request

from app.services.email_links import PATHS, LinkOver
from app.services.identity_providers import Provider
from app.services.invite_by_provider import find_inviting_provider
from app.services.transactions import OwnPage, begin_visit
from app.services.upstream_trip import Errand
from app.web.language import gettext
from app.web.links import link_over
from app.web.recovery_pages import ConfirmPage, render_confirm
from app.web.site import Site
from app.web.upstream import send_away, way_to_login

PATH: Final = PATHS["provider_invitation"]


def add_invited(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get(f"{PATH}/<secret>")
    def invited_get(secret: str) -> Response:
        provider = _find(site, secret)
        if provider is None:
            return link_over(site)
        name = provider.document.display_name
        page = ConfirmPage(
            action=f"{site.base_path}{PATH}/{secret}",
            heading=gettext("You are invited"),
            lead=gettext(
                "Sign in at %(name)s with the e-mail address to which the invitation was sent. That makes your "
                "account here.",
                name=name,
            ),
            button=gettext("Continue with %(name)s", name=name),
        )
        return site.page(render_confirm(page), has_form=True, leads_to_client=True)

    @app.post(f"{PATH}/<secret>")
    def invited_post(secret: str) -> Response:
        site.check_own_form()
        provider = _find(site, secret)
        if provider is None:
            return link_over(site)
        visit, visit_secret = begin_visit(site.deployment, OwnPage(path="/account"))
        errand = Errand(purpose="login", transaction_id=visit.transaction_id, invitation=secret)
        response = send_away(site, provider, errand, way_to_login(site, visit.transaction_id))
        site.cookies.set_transaction(request, response, visit.transaction_id, visit_secret)
        return response


def _find(site: Site, secret: str) -> Provider | None:
    try:
        return find_inviting_provider(site.deployment, secret)
    except LinkOver:
        return None
