"""What is known of a person, in words, with the permission by which applications learn it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from app.settings import UI_LANGUAGES
from app.specs.oidc_claims_request import base_name, covering_scope
from app.web.account_pages import ProfileField, ShownClaim
from app.web.language import find_language, format_moment, gettext, mark

_LABELS: Final = {
    "name": mark("Full name"),
    "given_name": mark("Given name"),
    "family_name": mark("Family name"),
    "middle_name": mark("Middle name"),
    "nickname": mark("Nickname"),
    "preferred_username": mark("Username"),
    "profile": mark("Profile page"),
    "picture": mark("Picture"),
    "website": mark("Website"),
    "gender": mark("Gender"),
    "birthdate": mark("Date of birth"),
    "zoneinfo": mark("Time zone"),
    "locale": mark("Language"),
    "updated_at": mark("Last changed"),
    "email": mark("E-mail address"),
    "email_verified": mark("E-mail address is verified"),
    "address": mark("Postal address"),
    "phone_number": mark("Telephone number"),
    "phone_number_verified": mark("Telephone number is verified"),
}
_PERMISSIONS: Final = {
    "profile": mark("with the permission for your profile"),
    "email": mark("with the permission for your e-mail address"),
    "address": mark("with the permission for your postal address"),
    "phone": mark("with the permission for your telephone number"),
}
_HINTS: Final = {
    "picture": mark("The address of a picture, which begins with https://"),
    "profile": mark("It begins with https://"),
    "website": mark("It begins with https://"),
    "zoneinfo": mark("For instance Europe/Berlin"),
    "birthdate": mark("Year-month-day, or the year alone"),
}
_AUTOCOMPLETE: Final = {
    "name": "name",
    "given_name": "given-name",
    "family_name": "family-name",
    "middle_name": "additional-name",
    "nickname": "nickname",
    "picture": "photo",
    "website": "url",
    "gender": "sex",
    "birthdate": "bday",
}
_URLS: Final = frozenset({"picture", "profile", "website"})
# Each in its own words, so that whoever does not read this page's language finds theirs.
_LANGUAGE_NAMES: Final = {"en": "English", "de": "Deutsch", "ar": "العربية"}


def describe_claims(claims: Mapping[str, Any]) -> tuple[ShownClaim, ...]:
    """Everything that is recorded of a person and that applications can be given."""
    return tuple(
        ShownClaim(label=describe_claim(name), value=_say(name, value), scope=_permission(name))
        for name, value in sorted(claims.items(), key=lambda item: _place(item[0]))
    )


def describe_claim(name: str) -> str:
    """What people call a claim; one of the operator's own by its name."""
    label = _LABELS.get(base_name(name))
    return name if label is None or base_name(name) != name else gettext(label)


def profile_fields(
    allowed: tuple[str, ...], claims: Mapping[str, Any], entered: Mapping[str, str], wrong: str | None
) -> tuple[ProfileField, ...]:
    """The form for what somebody may say of themselves. `wrong`: the name of what cannot be kept."""
    return tuple(
        ProfileField(
            name=name,
            label=describe_claim(name),
            value=entered.get(name, str(claims.get(name, ""))),
            kind="url" if name in _URLS else "text",
            autocomplete=_AUTOCOMPLETE.get(name, "off"),
            hint=gettext(_HINTS[name]) if name in _HINTS else None,
            choices=_languages(entered.get(name, str(claims.get(name, "")))) if name == "locale" else (),
            error=gettext("This cannot be kept as it is.") if name == wrong else None,
        )
        for name in allowed
    )


def _languages(current: str) -> tuple[tuple[str, str], ...]:
    choices = [("", gettext("As the browser says"))]
    choices += [(tag, _LANGUAGE_NAMES.get(tag, tag)) for tag in sorted(UI_LANGUAGES)]
    if current and current not in UI_LANGUAGES:
        # A region, or a language that the pages do not speak: applications may.
        spoken = find_language([current])
        name = current if spoken is None else f"{_LANGUAGE_NAMES.get(spoken.tag, spoken.tag)} ({current})"
        choices.append((current, name))
    return tuple(choices)


def _say(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return gettext("Yes") if value else gettext("No")
    if name == "updated_at" and isinstance(value, int):
        return format_moment(datetime.fromtimestamp(value, tz=UTC))
    if isinstance(value, dict):
        return ", ".join(str(part) for part in value.values())
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    return str(value)


def _permission(name: str) -> str:
    scope = covering_scope(name)
    words = None if scope is None else _PERMISSIONS.get(scope)
    return gettext("if an application asks for it by name and you allow it") if words is None else gettext(words)


def _place(name: str) -> tuple[int, str]:
    known = list(_LABELS)
    return (known.index(base_name(name)) if base_name(name) in _LABELS else len(known), name)
