"""The catalogs: every sentence of the source in every language, whole, with its placeholders and its markup."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from app.settings import UI_LANGUAGES
from app.web import language
from app.web.language import find_language, gettext, ngettext, speak, speaking

ROOT = Path(__file__).parents[2]
TRANSLATED = [name for name in UI_LANGUAGES if name != "en"]
JINJA = {"trim_blocks": "true", "lstrip_blocks": "true", "newstyle_gettext": "true", "silent": "false"}
KEYWORDS = {"gettext": None, "_": None, "mark": None, "ngettext": (1, 2)}
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]|%%")
TAG = re.compile(r"<[^>]*>")
MessageId = str | tuple[str, ...]


@pytest.fixture(scope="module")
def sentences() -> set[MessageId]:
    """Every sentence that stands in the source."""
    found = extract_from_dir(
        ROOT / "app",
        method_map=[("**.py", "python"), ("web/templates/**.html", "jinja2")],
        options_map={"web/templates/**.html": JINJA},
        keywords=KEYWORDS,
    )
    return {message if isinstance(message, str) else tuple(message) for _file, _line, message, _, _ in found}


def read_catalog(name: str) -> Catalog:
    path = ROOT / "app/web/locales" / name / "LC_MESSAGES/tokenhouse.po"
    with path.open("rb") as file:
        return read_po(file, locale=name)


def pairs(name: str) -> Iterator[tuple[str, str]]:
    """Each sentence with its translation; of plurals, the source's plural with each form."""
    for message in read_catalog(name):
        if not message.id:
            continue
        if isinstance(message.id, str):
            assert isinstance(message.string, str)
            yield message.id, message.string
        else:
            yield from ((message.id[-1], form) for form in message.string)


@pytest.mark.parametrize("name", TRANSLATED)
def test_every_sentence_is_translated_and_nothing_else_is_kept(name: str, sentences: set[MessageId]) -> None:
    catalog = read_catalog(name)
    translated = {message.id for message in catalog if message.id}
    assert sorted(map(str, sentences - translated)) == [], "run `make messages` and translate them"
    assert sorted(map(str, translated - sentences)) == [], "run `make messages`"
    unfinished = [message.id for message in catalog if message.id and (message.fuzzy or not all_of(message.string))]
    assert unfinished == []


def all_of(string: MessageId) -> bool:
    return bool(string) if isinstance(string, str) else all(string)


@pytest.mark.parametrize("name", TRANSLATED)
def test_placeholders_and_markup_are_those_of_the_source(name: str) -> None:
    for source, translation in pairs(name):
        # "In two minutes" is one word in Arabic: a form for one number need not show it.
        missing = set(PLACEHOLDER.findall(source)) - set(PLACEHOLDER.findall(translation))
        assert missing <= {"num"}, translation
        assert set(PLACEHOLDER.findall(translation)) <= set(PLACEHOLDER.findall(source)), translation
        assert sorted(TAG.findall(source)) == sorted(TAG.findall(translation)), translation
        assert source.strip() == source or translation.strip() != translation


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_translation_of_german_and_arabic_is_in_its_own_letters(name: str) -> None:
    for source, translation in pairs(name):
        words = PLACEHOLDER.sub("", TAG.sub("", translation))
        if name == "ar" and re.search(r"[a-z]{3}", PLACEHOLDER.sub("", TAG.sub("", source))):
            assert re.search(r"[\u0600-\u06ff]", words), translation
        if name == "de":
            assert not re.search(r"\b([Dd]ein|[Dd]u|[Dd]ir|[Dd]ich)\b", words), translation


def test_the_plural_goes_with_the_number() -> None:
    forms = set()
    with speaking("ar"):
        for number in (0, 1, 2, 3, 11, 100):
            forms.add(ngettext(ONE_MINUTE, MANY_MINUTES, number))
    assert len(forms) == 6
    with speaking("de-CH"):
        assert ngettext(ONE_MINUTE, MANY_MINUTES, 1).endswith("in 1 Minute noch einmal.")
        assert ngettext(ONE_MINUTE, MANY_MINUTES, 5).endswith("in 5 Minuten noch einmal.")


ONE_MINUTE = "Too many attempts. Please try again in %(num)s minute."
MANY_MINUTES = "Too many attempts. Please try again in %(num)s minutes."


def test_times_are_in_the_readers_zone_or_say_that_they_are_not() -> None:
    moment = datetime(2026, 11, 28, 16, 5, tzinfo=UTC)
    with speaking("de"):
        assert language.format_moment(moment) == "28.11.2026, 16:05 (UTC)"
        assert language.format_date(moment) == "28. November 2026"
        assert language.in_words(300) == "5 Minuten"
    with speaking("en-GB"):
        assert language.format_moment(moment) == "28 Nov 2026, 16:05 (UTC)"
        assert language.format_list(["a", "b", "c"]) == "a, b and c"
    with speaking("ar"):
        assert language.in_words(2 * 86_400) == "يومان"
    try:
        speak(find_language(["de-AT"]), ZoneInfo("Europe/Vienna"))
        assert language.format_moment(moment) == "28.11.2026, 17:05"
    finally:
        speak(None)


def test_whoever_speaks_another_language_gets_english() -> None:
    for tag in (None, "", "tlh", "../de", "de_DE", "x" * 1000, "d\u0435"):
        with speaking(tag) as spoken:
            assert spoken.tag == "en"
            assert gettext("Sign in") == "Sign in"


@pytest.mark.parametrize("path", sorted((ROOT / "app/web/templates").rglob("*.html")), ids=lambda path: path.stem)
def test_a_template_has_no_words_that_nobody_translates(path: Path) -> None:
    text = path.read_text()
    for what in (
        r"\{#.*?#\}",
        r"\{%-?\s*trans\b.*?endtrans\s*-?%\}",
        r"\{% block width %\}\w+",
        r"\{%.*?%\}|\{\{.*?\}\}",
    ):
        text = re.sub(what, "", text, flags=re.DOTALL)
    spoken = re.findall(r'(?:alt|title|aria-label|placeholder)="([^"]*)"', text)
    shown = re.sub(r"<svg\b.*?</svg>|<[^>]*>", "", text, flags=re.DOTALL)
    assert re.findall(r"[A-Za-z]{3,}", " ".join((shown, *spoken))) == []
