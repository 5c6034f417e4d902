"""The section of /account/security that lists somebody's passkeys, and in which they make another."""

import secrets
from datetime import UTC, datetime

from app.services.advance_visit import due_prompt
from app.services.passkey_names import MAX_NAME_CHARACTERS
from app.services.passkeys import MAX_PASSKEYS, TooManyPasskeys, begin_passkey, find_passkeys
from app.services.transactions import OwnPage
from app.storage.passkeys import PasskeyRow
from app.storage.sessions import SessionRow
from app.web.language import format_date
from app.web.own_pages import RECENT_S, form_token
from app.web.passkey_forms import PasskeyLine, PasskeySection
from app.web.security_sections import Section
from app.web.site import Site
from app.web.static_files import passkeys_script_url


def passkey_section(site: Site, session: SessionRow) -> Section | None:
    """The section for whoever is signed in; None where this server has no passkeys."""
    if not site.deployment.settings.offers_passkeys:
        return None
    known = find_passkeys(site.deployment, session.user_id)
    csrf_token = form_token(site, session)
    is_full = len(known) >= MAX_PASSKEYS
    value = PasskeySection(
        base_path=site.base_path,
        csrf_token=csrf_token,
        passkeys=tuple(_line(passkey) for passkey in known),
        most=MAX_PASSKEYS,
        longest_name=MAX_NAME_CHARACTERS,
        is_full=is_full,
        options=_options(site, session, csrf_token) if not is_full else None,
        script_url=passkeys_script_url(site.base_path),
        script_nonce=secrets.token_urlsafe(18),
        lifetime_ms=_remaining_ms(site, session),
    )
    return Section(template="security/passkeys.html", value=value, script_nonce=value.script_nonce)


def _options(site: Site, session: SessionRow, csrf_token: str) -> str | None:
    """None where the login is too old for it: the button then leads to another one."""
    page = OwnPage(path="/account/security", max_age_s=RECENT_S, level="mfa")
    if due_prompt(site.deployment, page, session) is not None:
        return None
    try:
        return begin_passkey(site.deployment, session, bound_to=csrf_token)
    except TooManyPasskeys:
        return None


def _remaining_ms(site: Site, session: SessionRow) -> int:
    """For how long the login stays recent: what is made later would be refused, and lie about on the device."""
    return max(0, session.events[0].at + RECENT_S * 1000 - site.deployment.clock() - 5_000)


def _line(passkey: PasskeyRow) -> PasskeyLine:
    return PasskeyLine(
        value=str(passkey.id),
        name=passkey.name,
        created=_day(passkey.created_at),
        last_used=None if passkey.last_used_at is None else _day(passkey.last_used_at),
        is_backed_up=passkey.is_backed_up,
    )


def _day(at: int) -> str:
    return format_date(datetime.fromtimestamp(at / 1000, tz=UTC))
