"""/account/authenticator and /account/recovery-codes: second factors that are codes."""

from typing import Final

from flask import Flask, Response

from app.services.enrol_totp import EnrolmentOver, begin_enrolment, confirm_enrolment, remove_totp
from app.services.recovery_codes import NoSecondFactor, renew_recovery_codes
from app.services.second_factors import Factors, find_person_with_factors
from app.storage.sessions import SessionRow
from app.web.account_frame import account_frame
from app.web.factor_pages import AuthenticatorPage, RecoveryCodesPage, render_authenticator, render_recovery_codes
from app.web.language import gettext
from app.web.own_pages import account_page, form_token, get_person, read_person_form
from app.web.security_sections import Section
from app.web.site import Site, find_whereabouts, form_status

AUTHENTICATOR: Final = "/account/authenticator"
RECOVERY_CODES: Final = "/account/recovery-codes"


def authenticator_section(site: Site, session: SessionRow) -> Section:
    """Whether they have an authenticator app."""
    return Section(template="security/authenticator.html", value=_factors(site, session))


def recovery_codes_section(site: Site, session: SessionRow) -> Section | None:
    """How many recovery codes are left, for who has something that they stand in for."""
    factors = _factors(site, session)
    return Section(template="security/recovery_codes.html", value=factors) if factors.levels else None


def add_account_factors(app: Flask, site: Site) -> None:
    """Add the routes. All of them ask for a recent login: they decide who gets in."""

    @app.get(AUTHENTICATOR)
    def account_authenticator() -> Response:
        person = get_person(site, AUTHENTICATOR, is_sensitive=True)
        return _show_authenticator(site, person)

    @app.post(AUTHENTICATOR)
    def account_authenticator_confirm() -> Response:
        person, form = read_person_form(site, AUTHENTICATOR, is_sensitive=True)
        return _confirm(site, person, form.get("code") or "")

    @app.post(f"{AUTHENTICATOR}/remove")
    def account_authenticator_remove() -> Response:
        person, _form = read_person_form(site, AUTHENTICATOR, is_sensitive=True)
        remove_totp(site.deployment, person, whereabouts=find_whereabouts())
        return site.redirect(site.url("/account/security?done=totp_removed"))

    @app.get(RECOVERY_CODES)
    def account_recovery_codes() -> Response:
        person = get_person(site, RECOVERY_CODES, is_sensitive=True)
        return show_recovery_codes(site, person)

    @app.post(RECOVERY_CODES)
    def account_recovery_codes_renew() -> Response:
        person, _form = read_person_form(site, RECOVERY_CODES, is_sensitive=True)
        try:
            codes = renew_recovery_codes(site.deployment, person, whereabouts=find_whereabouts())
        except NoSecondFactor:
            return show_recovery_codes(site, person)
        done = gettext("These are your new codes. The old ones let nobody in any more.")
        return show_recovery_codes(site, person, codes=codes, done=done)


def show_recovery_codes(
    site: Site, session: SessionRow, *, codes: tuple[str, ...] = (), done: str | None = None
) -> Response:
    """The page of the recovery codes; `codes` are those that were made just now, and are shown this once."""
    factors = _factors(site, session)
    page = RecoveryCodesPage(
        frame=account_frame(site, session, "security", done=done),
        csrf_token=form_token(site, session),
        remaining=factors.recovery_codes,
        has_factor=bool(factors.levels),
        codes=codes,
    )
    return account_page(site, render_recovery_codes(page))


def _show_authenticator(site: Site, session: SessionRow, *, code_error: str | None = None) -> Response:
    enrolment = begin_enrolment(site.deployment, session)
    page = AuthenticatorPage(
        frame=account_frame(site, session, "security"),
        csrf_token=form_token(site, session),
        uri=None if enrolment is None else enrolment.uri,
        key=None if enrolment is None else enrolment.key,
        code_error=code_error,
    )
    return account_page(site, render_authenticator(page), status=form_status(code_error))


def _confirm(site: Site, session: SessionRow, code: str) -> Response:
    try:
        enrolled = confirm_enrolment(site.deployment, session, code, whereabouts=find_whereabouts())
    except EnrolmentOver:
        return _show_authenticator(
            site, session, code_error=gettext("That took too long. Add the key that is shown now to your app.")
        )
    if enrolled is None:
        return _show_authenticator(
            site,
            session,
            code_error=gettext("The code is not right. Enter the one that the app shows now."),
        )
    if not enrolled.recovery_codes:
        return site.redirect(site.url("/account/security?done=totp_added"))
    done = gettext("The authenticator app is on.")
    return show_recovery_codes(site, session, codes=enrolled.recovery_codes, done=done)


def _factors(site: Site, session: SessionRow) -> Factors:
    return find_person_with_factors(site.deployment, session.user_id)[1]
