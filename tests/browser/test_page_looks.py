"""The pages in a real Chromium: accessible, at home on a phone, usable by keyboard, and quiet under their own policy.

The pages are answered from the templates through the browser's own network layer, on an https name that is not
localhost and with their real headers, so that the Content-Security-Policy counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, ViewportSize

from app.settings import UI_LANGUAGES
from app.web.language import speaking
from app.web.security_headers import page_headers
from app.web.static_files import find_static_file
from tests.browser.barriers import find_barriers
from tests.web.page_samples import SAMPLES, make_page_app

ORIGIN = "https://login.meadow.example"
LOGO = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48">'
    b'<circle cx="18" cy="24" r="14" fill="#e76f51"/><circle cx="31" cy="24" r="14" fill="#2a9d8f"/></svg>'
)
AXE_RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "rules": {"target-size": {"enabled": True}, "color-contrast": {"enabled": False}},
}
AXE_COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
PHONE: ViewportSize = {"width": 360, "height": 740}
DESK: ViewportSize = {"width": 1100, "height": 740}
# WCAG 2.5.8 asks for 24 pixels; a thumb asks for more where an answer has consequences.
SMALLEST_BUTTON_PX = 44


@dataclass  # without slots: playwright marks the handler's object
class Visit:
    """A browser on our origin: what it asked others for, and what it complained about."""

    page: Page
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, name: str) -> Page:
        self.page.goto(f"{ORIGIN}/{name}")
        return self.page

    def post_by(self, press: Callable[[], None]) -> list[tuple[str, str]]:
        """Return the fields that the browser posts when `press` is called, in their order."""
        with self.page.expect_request(lambda request: request.method == "POST") as posted:
            press()
        return parse_qsl(posted.value.post_data or "", keep_blank_values=True)

    def answer(self, route: Route) -> None:
        request = route.request
        target = urlsplit(request.url)
        if f"{target.scheme}://{target.netloc}" != ORIGIN:
            self.foreign.append(request.url)
            route.abort()
        elif request.method == "POST":
            route.fulfill(status=204)
        elif target.path.startswith("/static/"):
            found = find_static_file(target.path.removeprefix("/static/"))
            assert found is not None
            route.fulfill(status=200, headers=found[1], body=found[0])
        elif target.path == "/client-logo/photo-prints":
            route.fulfill(status=200, headers={"Content-Type": "image/svg+xml"}, body=LOGO)
        else:
            html = render(target.path.removeprefix("/"))
            asks_for_passkeys = 'data-passkey="' in html
            nonce = re.search(r'nonce="([^"]+)"', html) if asks_for_passkeys else None
            headers = page_headers(
                has_form="<form" in html,
                leads_to_client=True,
                issuer_is_https=True,
                script_nonce=None if nonce is None else nonce[1],
                asks_for_passkeys=asks_for_passkeys,
            )
            route.fulfill(status=200, headers={"Content-Type": "text/html; charset=utf-8", **headers}, body=html)


def render(path: str) -> str:
    """The page of a sample's name, in English or in the language that stands before it: `ar/login`."""
    tag, _, name = path.rpartition("/")
    function, page = SAMPLES[name]
    with make_page_app().test_request_context(), speaking(tag or "en"):
        return function(page)


def begin(context: BrowserContext) -> Visit:
    visit = Visit(page=context.new_page())
    context.route("**/*", visit.answer)
    visit.page.on("console", lambda message: visit.complaints.append(message.text))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    return visit


def open_context(chromium: Browser, **options: Any) -> BrowserContext:
    options = {"viewport": PHONE, "locale": "en", **options}
    return chromium.new_context(**options)


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    context = open_context(chromium)
    yield begin(context)
    context.close()


def focused(page: Page) -> str:
    """Return what has the focus: its id, else name=value, else its text."""
    return page.evaluate(
        """() => { const e = document.activeElement;
        return e.id || (e.name ? `${e.name}=${e.value}` : e.firstChild?.textContent.trim() || e.tagName) }"""
    )


def overflow_px(page: Page) -> int:
    return page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")


def tab_order(page: Page, *, steps: int) -> list[str]:
    order = []
    for _ in range(steps):
        page.keyboard.press("Tab")
        order.append(focused(page))
    return order


@pytest.mark.timeout(300)
@pytest.mark.parametrize("turn", range(len(UI_LANGUAGES)))
def test_every_page_is_accessible_fits_and_keeps_to_its_policy(chromium: Browser, turn: int) -> None:
    """On a phone, with large letters, and on a desk, over the turns in each language; its colours in one of them."""
    # Without transitions: a colour on its way to the other scheme's is no finding.
    context = open_context(chromium, reduced_motion="reduce")
    visit = begin(context)
    findings: list[str] = []
    for place, sample in enumerate(SAMPLES):
        name = f"{UI_LANGUAGES[(place + turn) % len(UI_LANGUAGES)]}/{sample}"
        page = visit.open(name)
        page.set_viewport_size(PHONE)
        findings += [f"{name}: {barrier}" for barrier in find_barriers(page, AXE_RULES)]
        if turn == 0:
            findings += [f"{name}: {colour}" for colour in find_faint_colours(page)]
        findings += [f"{name}: {overflow}" for overflow in find_overflow(page)]
    context.close()
    assert findings == []
    assert visit.complaints == []
    assert visit.foreign == []


def find_faint_colours(page: Page) -> Iterator[str]:
    """In both schemes, which differ in nothing else; and no language has colours of its own."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        yield from (f"{scheme}: {barrier}" for barrier in find_barriers(page, AXE_COLOURS))


def find_overflow(page: Page) -> Iterator[str]:
    yield from scrolls_sideways(page, "on a phone")
    page.evaluate("() => { document.documentElement.style.fontSize = '200%' }")
    yield from scrolls_sideways(page, "with large letters")
    page.set_viewport_size(DESK)
    yield from scrolls_sideways(page, "on a desk")


def scrolls_sideways(page: Page, where: str) -> Iterator[str]:
    if overflow_px(page) > 0:
        yield f"scrolls sideways {where} by {overflow_px(page)} px"


def test_the_keyboard_goes_through_the_login_page_in_reading_order(visit: Visit) -> None:
    page = visit.open("login")
    assert focused(page) == "username"
    assert tab_order(page, steps=6) == [
        "password", "login-submit", "Home page", "Privacy policy", "Terms of service", "About this server",
    ]  # fmt: skip


def test_a_refused_login_puts_the_cursor_into_the_empty_password(visit: Visit) -> None:
    page = visit.open("login-refused")
    assert focused(page) == "password"
    assert page.input_value("#username") == "anna"
    assert page.input_value("#password") == ""


def test_the_keyboard_reaches_every_choice_of_the_consent_page_and_deny_before_allow(visit: Visit) -> None:
    page = visit.open("consent")
    assert tab_order(page, steps=11) == [
        "Home page", "Privacy policy", "Terms of service",
        "scope=profile", "scope=email", "scope=photos.metadata", "scope=photos.share", "duration=until_revoked",
        "consent-deny", "consent-allow", "About this server",
    ]  # fmt: skip


def test_an_account_is_chosen_by_keyboard(visit: Visit) -> None:
    page = visit.open("select-account")
    page.focus("input[value='anna']")
    page.keyboard.press("ArrowDown")
    assert visit.post_by(lambda: page.keyboard.press("Enter")) == [
        ("transaction", "transaction-value"),
        ("csrf_token", "csrf-value"),
        ("account", "work"),
    ]


@pytest.mark.parametrize(("scheme", "forced"), [("light", "none"), ("dark", "none"), ("dark", "active")])
def test_what_has_the_focus_shows_it(chromium: Browser, scheme: str, forced: str) -> None:
    context = open_context(chromium, color_scheme=scheme, forced_colors=forced)
    page = begin(context).open("consent")
    for _ in range(11):
        page.keyboard.press("Tab")
        style, width = page.evaluate(
            "() => { const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth] }"
        )
        assert (style, width) == ("solid", "3px"), focused(page)
    context.close()


def test_signing_in_posts_the_hidden_values_back_unchanged(visit: Visit) -> None:
    page = visit.open("login")
    page.fill("#username", "anna")
    page.fill("#password", "correct horse")
    assert visit.post_by(lambda: page.keyboard.press("Enter")) == [
        ("transaction", "transaction-value"),
        ("csrf_token", "csrf-value"),
        ("username", "anna"),
        ("password", "correct horse"),
    ]


def test_allow_posts_what_is_ticked_and_the_chosen_duration(visit: Visit) -> None:
    page = visit.open("consent")
    page.uncheck("input[value='email']")
    page.check("input[value='photos.share']")
    page.check("input[value='day']")
    assert visit.post_by(lambda: page.click("#consent-allow")) == [
        ("transaction", "transaction-value"),
        ("csrf_token", "csrf-value"),
        ("scope", "profile"),
        ("scope", "photos.metadata"),
        ("scope", "photos.share"),
        ("duration", "day"),
        ("decision", "allow"),
    ]


def test_enter_in_a_checkbox_never_grants(visit: Visit) -> None:
    page = visit.open("consent")
    page.focus("input[value='email']")
    posted = visit.post_by(lambda: page.keyboard.press("Enter"))
    assert ("decision", "deny") in posted
    assert ("decision", "allow") not in posted


def test_enter_after_typing_a_network_neither_grants_nor_refuses(visit: Visit) -> None:
    page = visit.open("consent-networks")
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.method))
    page.fill("#network", "192.0.2.0/24")
    page.keyboard.press("Enter")
    assert ("network", "192.0.2.0/24") in visit.post_by(lambda: page.click("#consent-allow"))
    assert posted.count("POST") == 1


def test_buttons_are_large_enough_for_a_thumb(visit: Visit) -> None:
    for name, selector in (("login", "#login-submit"), ("consent", "#consent-deny"), ("consent", "#consent-allow")):
        box = visit.open(name).locator(selector).bounding_box()
        assert box is not None
        assert min(box["height"], box["width"]) >= SMALLEST_BUTTON_PX


def test_a_logo_that_does_not_load_leaves_the_letter(chromium: Browser) -> None:
    context = open_context(chromium)
    visit = begin(context)
    context.route("**/client-logo/*", lambda route: route.fulfill(status=404, body=""))
    page = visit.open("login")
    content = page.evaluate("() => getComputedStyle(document.querySelector('.client-logo img'), '::after').content")
    assert content == '"P"'
    assert page.locator(".client-logo img").evaluate("image => image.naturalWidth") == 0
    context.close()


def test_nothing_moves_for_who_asked_for_less_motion(chromium: Browser) -> None:
    durations = {}
    for motion in ("reduce", "no-preference"):
        context = open_context(chromium, reduced_motion=motion)
        page = begin(context).open("consent")
        durations[motion] = page.evaluate(
            "() => [...document.querySelectorAll('*')].map(e => getComputedStyle(e).transitionDuration)"
        )
        context.close()
    assert set(durations["reduce"]) == {"0s"}
    assert set(durations["no-preference"]) != {"0s"}


def test_print_shows_the_page_without_its_buttons_and_on_white(chromium: Browser) -> None:
    context = open_context(chromium, color_scheme="dark")
    page = begin(context).open("consent")
    page.emulate_media(media="print")
    assert not page.is_visible("#consent-allow")
    assert page.is_visible("text=See your photos and albums")
    assert page.evaluate("() => getComputedStyle(document.body).color") == "rgb(26, 36, 40)"
    context.close()
