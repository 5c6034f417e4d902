"""/account/email and /verify: another address for an account, and the proof that one reads what comes there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from flask import Flask, Response, render_template

from app.services.email_links import PATHS, LinkOver, LinkPurpose, look_at_link
from app.services.own_account import find_own_row
from app.services.refusal import Refusal
from app.services.verified_email import (
    EmailTaken,
    ask_for_new_email,
    ask_for_verification,
    check_new_address,
    confirm_new_email,
    verify_email,
)
from app.storage.sessions import SessionRow
from app.web.account_frame import AccountFrame, account_frame
from app.web.language import gettext
from app.web.links import link_over, show_outcome
from app.web.own_pages import account_page, form_token, get_person, read_person_form
from app.web.recovery_pages import ConfirmPage, OutcomePage, render_confirm
from app.web.security_sections import Section
from app.web.site import Site, find_whereabouts, form_status

EMAIL: Final = PATHS["email"]
VERIFY: Final = PATHS["verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailPage:
    """The address of an account, and the form for another one, or for a link to this one (`asks`: "new", "proof")."""

    frame: AccountFrame
    csrf_token: str = field(repr=False)
    asks: str
    email: str
    is_verified: bool
    entered: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailState:
    """What the section about the address shows."""

    email: str
    is_verified: bool


def email_section(site: Site, session: SessionRow) -> Section | None:
    """The address, and what can be done about it, where there is mail."""
    if site.deployment.settings.smtp_url is None:
        return None
    user = find_own_row(site.deployment, session)
    state = EmailState(email=user.email, is_verified=user.claims.get("email_verified") is True)
    return Section(template="security/email.html", value=state)


def add_account_email(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get(EMAIL)
    def account_email() -> Response:
        person = get_person(site, EMAIL, is_sensitive=True)
        return _show(site, person, asks="new")

    @app.post(EMAIL)
    def account_email_post() -> Response:
        person, form = read_person_form(site, EMAIL, is_sensitive=True)
        email = (form.get("email") or "").strip()
        try:
            check_new_address(email)
        except (Refusal, ValueError):
            error = gettext("This is no e-mail address that mail can be sent to.")
            return _show(site, person, asks="new", entered=email[:254], error=error)
        ask_for_new_email(site.deployment, person, email, find_whereabouts())
        return _show(
            site,
            person,
            asks="new",
            done=gettext("A link is on its way to %(email)s. The address changes once you open it.", email=email),
        )

    @app.get(VERIFY)
    def verify() -> Response:
        person = get_person(site, VERIFY)
        return _show(site, person, asks="proof")

    @app.post(VERIFY)
    def verify_post() -> Response:
        person, _form = read_person_form(site, VERIFY)
        email = ask_for_verification(site.deployment, person, find_whereabouts())
        return _show(
            site,
            person,
            asks="proof",
            done=gettext("A link is on its way to %(email)s. It works for a day.", email=email),
        )

    _add_link(app, site, "verify", verify_email)
    _add_link(app, site, "email", confirm_new_email)


def _add_link(app: Flask, site: Site, purpose: LinkPurpose, spend: Callable[..., None]) -> None:
    """The page behind a link that says: this address is mine."""
    path = PATHS[purpose]

    @app.get(f"{path}/<secret>", endpoint=f"{purpose}_link_get")
    def link_get(secret: str) -> Response:
        try:
            opened = look_at_link(site.deployment, purpose, secret)
            owner = opened.owner
        except LinkOver:
            return link_over(site, link_path="/account/security", link_label=gettext("Go to your account"))
        page = ConfirmPage(
            action=f"{site.base_path}{path}/{secret}",
            heading=gettext("Confirm your address"),
            lead=gettext(
                "Is %(email)s your address, and %(username)s your account here?",
                email=opened.body.get("email", owner.email),
                username=owner.username,
            ),
            button=gettext("Yes, confirm it"),
        )
        return site.page(render_confirm(page), has_form=True)

    @app.post(f"{path}/<secret>", endpoint=f"{purpose}_link_post")
    def link_post(secret: str) -> Response:
        site.check_own_form()
        origin = find_whereabouts()
        label = gettext("Go to your account")
        try:
            spend(site.deployment, secret, origin)
        except LinkOver:
            return link_over(site, link_path="/account/security", link_label=label)
        except EmailTaken:
            return _taken(site)
        page = OutcomePage(
            heading=gettext("Your address is confirmed"),
            lead=gettext("Thank you. It belongs to your account now."),
            link_url=f"{site.base_path}/account/security",
            link_label=label,
        )
        return show_outcome(site, page)


def _taken(site: Site) -> Response:
    page = OutcomePage(
        heading=gettext("Your address is not confirmed"),
        lead=gettext("It belongs to another account here already. An address can belong to one account only."),
        is_refusal=True,
        link_url=f"{site.base_path}/account/security",
        link_label=gettext("Go to your account"),
    )
    return show_outcome(site, page)


def _show(
    site: Site,
    session: SessionRow,
    *,
    asks: str,
    entered: str = "",
    done: str | None = None,
    error: str | None = None,
) -> Response:
    user = find_own_row(site.deployment, session)
    page = EmailPage(
        frame=account_frame(site, session, "security", done=done),
        csrf_token=form_token(site, session),
        asks=asks,
        email=user.email,
        is_verified=user.claims.get("email_verified") is True,
        entered=entered,
        error=error,
    )
    return account_page(site, render_email(page), status=form_status(error))


def render_email(page: EmailPage) -> str:
    """Return the page about somebody's address as HTML."""
    return render_template("account_email.html", page=page)
