"""The language of the words that a person reads.

Templates write `{% trans %}…{% endtrans %}`; Python writes `gettext("…")` where a sentence is used, and `mark("…")`
where it is only declared, to be given to `gettext` later. English is what stands in the source; the other languages are
catalogs in `locales`, read once and compiled in memory, so that a checkout needs no build step.

What is not a page of a request (a mail) says for whom it speaks: `with speaking("de-AT"): …`.
"""

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Final

from babel import Locale, dates, lists, localedata, units
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

from app.settings import UI_LANGUAGES

_DIRECTORY: Final = Path(__file__).with_name("locales")
DOMAIN: Final = "tokenhouse"
SOURCE: Final = "en"

# BCP 47's shape and no more than anybody needs: a language, and a region among what follows it.
_TAG: Final = re.compile(r"([A-Za-z]{2,3})((?:-[A-Za-z0-9]{1,8}){0,6})", re.ASCII)
_REGION: Final = re.compile(r"[A-Za-z]{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Language:
    """A language that we speak: `tag` and `direction` are for HTML, `locale` also knows the reader's region."""

    tag: str
    direction: str
    locale: Locale


# ----- Which language -----


def find_language(tags: Iterable[str]) -> Language | None:
    """The first of these language tags that we speak, best first; None for none. What is no tag is passed over."""
    for tag in tags:
        match = _TAG.fullmatch(tag)
        if match is not None and match[1].lower() in UI_LANGUAGES:
            regions = [part.upper() for part in match[2].split("-")[1:] if _REGION.fullmatch(part)]
            return _language(match[1].lower(), regions[0] if regions else "")
    return None


def current() -> Language:
    """The language that is spoken here and now; English where nobody chose one."""
    return _CURRENT.get() or _language(SOURCE, "")


def speak(language: Language | None, zone: tzinfo | None = None) -> None:
    """From here on, in this request, the words are of this language; None is English. `zone` is the reader's."""
    _CURRENT.set(language)
    _ZONE.set(zone)


@contextmanager
def speaking(tag: str | None) -> Iterator[Language]:
    """Within it the words are of the language of a tag, English where we do not speak it."""
    token = _CURRENT.set(find_language([tag] if tag else []))
    try:
        yield current()
    finally:
        _CURRENT.reset(token)


_CURRENT: Final[ContextVar[Language | None]] = ContextVar("language", default=None)
_ZONE: Final[ContextVar[tzinfo | None]] = ContextVar("zone", default=None)


# Two letters are a few hundred regions for each language at most, whatever is sent.
@cache
def _language(name: str, region: str) -> Language:
    identifier = f"{name}_{region}"
    locale = Locale.parse(identifier) if region and localedata.exists(identifier) else Locale(name)
    return Language(tag=name, direction=locale.text_direction, locale=locale)


# ----- Sentences -----


def gettext(message: str, **values: object) -> str:
    """The message in the reader's language; `%(name)s` in it are the values."""
    translated = find_message(message)
    return translated % values if values else translated


def ngettext(singular: str, plural: str, number: int, **values: object) -> str:
    """As `gettext`, in the form that goes with a number, which `%(num)s` shows."""
    return find_plural(singular, plural, number) % {"num": number, **values}


def mark(message: str) -> str:
    """The message as it stands: a sentence that is translated where it is shown."""
    return message


def find_message(message: str) -> str:
    """The message in the reader's language, its placeholders still in it: the templates' engine fills them, escaped."""
    translated: str = _catalog(current().tag).gettext(message)
    return translated


def find_plural(singular: str, plural: str, number: int) -> str:
    """As `find_message`, in the form that goes with a number."""
    translated: str = _catalog(current().tag).ngettext(singular, plural, number)
    return translated


@cache
def _catalog(name: str) -> NullTranslations:
    path = _DIRECTORY / name / "LC_MESSAGES" / f"{DOMAIN}.po"
    if name == SOURCE:
        return NullTranslations()
    with path.open("rb") as file:
        catalog = read_po(file, locale=name, domain=DOMAIN)
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return Translations(compiled, domain=DOMAIN)


# ----- Times and lists -----


def format_list(words: Iterable[str]) -> str:
    """`a, b and c`."""
    return lists.format_list(list(words), locale=current().locale)


def format_date(moment: datetime) -> str:
    """The day of an aware moment, in the reader's zone or in UTC."""
    return dates.format_date(moment.astimezone(_ZONE.get() or UTC), format="long", locale=current().locale)


def format_moment(moment: datetime) -> str:
    """An aware moment to the minute, in the reader's zone; where that is not known, in UTC, and it says so."""
    zone, locale = _ZONE.get(), current().locale
    local = moment.astimezone(zone or UTC)
    day, clock = dates.format_date(local, "medium", locale), dates.format_time(local, "short", locale=locale)
    text = (
        str(dates.get_datetime_format("medium", locale=locale))
        .replace("'", "")
        .replace("{0}", clock)
        .replace("{1}", day)
    )
    return text if zone is not None else gettext("%(moment)s (UTC)", moment=text)


def in_words(seconds: int) -> str:
    """A lifetime as people say it: "5 minutes", "90 days"."""
    if seconds >= 2 * 86_400:
        return _unit(seconds // 86_400, "day")
    if seconds % 60 or seconds < 60:
        return _unit(seconds, "second")
    return _unit(seconds // 60, "minute")


def _unit(number: int, name: str) -> str:
    text: str = units.format_unit(number, f"duration-{name}", length="long", locale=current().locale)
    return text
