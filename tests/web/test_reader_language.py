"""In which language a page answers, over HTTP: by the person, the application, the browser, or English."""

import time

import pytest

from app.services.preferences import Preferences, find_preferences, parse_zone
from app.web.reader_language import parse_accept_language
from tests.actors.browser import Browser
from tests.actors.http import Reply, send
from tests.deployments import PASSWORD
from tests.world import World

pytestmark = pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True)

ENGLISH, GERMAN, ARABIC = "Authorization server", "Autorisierungsserver", "خادم منح الأذونات"


def home(world: World, accept_language: str) -> Reply:
    return send(f"{world.url}/", headers={"Accept-Language": accept_language})


@pytest.mark.parametrize(
    ("accept_language", "title", "tag", "direction"),
    [
        ("", ENGLISH, "en", "ltr"),
        ("de", GERMAN, "de", "ltr"),
        ("de-AT,de;q=0.9,en;q=0.8", GERMAN, "de", "ltr"),
        ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", ENGLISH, "en", "ltr"),
        ("en;q=0.2, ar-EG;q=0.7", ARABIC, "ar", "rtl"),
        ("de;q=0, ar;q=0.1", ARABIC, "ar", "rtl"),
        ("fr, *", ENGLISH, "en", "ltr"),
        ("AR", ARABIC, "ar", "rtl"),
    ],
    ids=lambda value: value if value.isascii() else "title",
)
def test_a_page_is_in_the_browsers_language_and_says_so(
    world: World, accept_language: str, title: str, tag: str, direction: str
) -> None:
    page = home(world, accept_language)
    assert title in page.text
    assert f'<html lang="{tag}" dir="{direction}">' in page.text
    assert page.headers["content-language"] == tag
    assert "Accept-Language" in page.headers["vary"]
    assert "set-cookie" not in page.headers


@pytest.mark.parametrize(
    "junk",
    [
        "<script>alert(1)</script>",
        "{{7*7}}",
        "../../../../etc/passwd",
        ";;;q=,,,",
        "de;q=9",
        "de;q=1.5",
        "d" * 2000,
        "de-" * 300,
        "x-klingon",
    ],
    ids=range(9),
)
def test_11_junk_for_a_language_is_passed_over(world: World, junk: str) -> None:
    page = home(world, junk)
    assert page.status == 200
    assert ENGLISH in page.text
    assert "script>" not in page.text


@pytest.mark.parametrize("part", ["de-", "a,", ";q=0.", "((((", "q=0.1;", " \t", "*;q=1,", "de-aaaaaaaa-"])
def test_14_a_long_header_costs_no_time(part: str, shared_world: World) -> None:
    header = part * (100_000 // len(part))
    began = time.perf_counter()
    parse_accept_language(header)
    assert time.perf_counter() - began < 0.02


@pytest.mark.requirement("OpenID Connect Core 1.0", "3.1.2.1", "ui_locales are the languages of the pages")
def test_what_the_application_asks_for_counts_more_than_the_browser(world: World) -> None:
    browser, party = world.browser(), world.relying_party()
    browser.headers["Accept-Language"] = "de"
    page = browser.get(party.begin(ui_locales="tlh ar-SA en").url)
    assert '<html lang="ar" dir="rtl">' in page.text
    assert "تسجيل الدخول" in page.text
    # The next page of the same sign-in, which names no language by itself.
    refused = browser.log_in(page, "nobody", "wrong")
    assert "الاسم أو كلمة المرور غير صحيحة." in refused.text
    # Another sign-in in the same browser: nothing of it was remembered.
    assert '<html lang="de"' in browser.get(party.begin().url).text


def test_a_refusal_is_in_the_language_of_the_request_and_exact_in_english(world: World) -> None:
    party = world.relying_party()
    pending = party.begin(ui_locales="de", redirect_uri="https://elsewhere.example/cb")
    page = world.browser().get(pending.url)
    assert page.status == 400
    assert "Fehler bei der Autorisierung" in page.text
    assert '<span class="exact" lang="en" dir="ltr">' in page.text


def test_what_somebody_chose_for_their_account_counts_most(world: World) -> None:
    account = world.operator.add_user(locale="de-AT", zoneinfo="Europe/Vienna")
    browser, party = world.browser(), world.relying_party()
    page = browser.log_in(browser.get(party.begin(ui_locales="ar", prompt="consent").url), account.username, PASSWORD)
    assert 'id="consent-form"' in page.text
    assert '<html lang="de" dir="ltr">' in page.text
    assert "Zugriff erlauben?" in page.text
    assert '<html lang="de"' in open_account(browser, world).text


def open_account(browser: Browser, world: World) -> Reply:
    return browser.get(f"{browser.issuer}/account")


@pytest.mark.parametrize("name", ["", "Europe", "../../etc/passwd", "/etc/passwd", "Nowhere/Land", "a" * 500, "UTC\0"])
def test_a_zone_that_does_not_exist_is_none(name: str, shared_world: World) -> None:
    assert parse_zone(name) is None


def test_preferences_of_nobody_are_empty(world: World) -> None:
    assert find_preferences(world.operator.deployment, -1) == Preferences()


def test_the_metadata_names_the_languages(world: World) -> None:
    document = send(f"{world.url}/.well-known/openid-configuration").json()
    assert document["ui_locales_supported"] == ["en", "ar", "de"]
