"""Every page that the application has, found by asking it: its headers (case 9), and junk in each of its fields (11,
12, 14), as a stranger and as somebody who has just signed in. A page that is added is tried without being named here.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from urllib.parse import quote, urljoin

import pytest
from flask import Flask

from app.factory import add_pages
from app.services import manage_providers
from app.services.client_logo import MAX_SIGN_IN_LOGO_BYTES
from app.services.limit_requests import RequestLimits
from app.settings import UI_LANGUAGES
from app.specs.page_appearance import MAX_LOGO_BYTES
from app.web.look import Looks
from tests.actors.browser import Browser, Form, _FormReader, find_form
from tests.actors.http import Reply
from tests.attacks.good_conduct import nothing_changes
from tests.conftest import run_world
from tests.databases import migrated_database_url
from tests.server import free_port
from tests.world import World

NASTY = (
    "<script>alert(1)</script>\"'><img src=x>",
    "{{7*7}}${7*7}javascript:alert(1)",
    "x\r\nSet-Cookie: a=b\r\n\r\n\x1b[2J\u202e\ufeff",
    "\x00",
    "(" * 3000 + "a@" * 3000 + "%0" * 3000,
    "-1",
    "9" * 5000,
    "//evil.example/\\evil.example",
)
QUERIES = ("transaction", "account", "next", "return_to", "error", "username", "code", "state", "id", "page", "before")
# Words as long as operators write them.
LOOK: dict[str, Any] = {
    "accent": "#7a2e8e",
    "corner_radius_px": 4,
    "font": "serif",
    "texts": {
        "en": {
            "title": "Welcome to Meadow",
            "subtitle": "One account for everything that grows, in the garden and on the balcony.",
            "footer": "Meadow Ltd, 1 Field Lane, Meadowtown. Registered in Meadowshire under 1234567.",
            "links": [
                {"text": name, "uri": f"https://meadow.example/{name.lower()}"}
                for name in ("Help", "Imprint", "Privacy")
            ],
        }
    },
}
# What a form of ours must keep for the rest of it to be looked at.
KEPT = frozenset({"csrf_token", "transaction"})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server on which everything is on that has pages; its issuer is https, so that every header is there."""
    directory = tmp_path_factory.mktemp("pages")
    logo = directory / "logo.png"
    logo.write_bytes(b"\x89PNG\r\n\x1a\n".ljust(MAX_LOGO_BYTES, b"\0"))
    with migrated_database_url("sqlite", directory) as database_url:
        yield from run_world(
            directory,
            database_url,
            origin="https://auth.example",
            rate_limits="off",
            signup="on",
            smtp_url=f"smtp://127.0.0.1:{free_port()}",
            mail_from="door@auth.example",
            appearance=json.dumps({**LOOK, "logo_file": str(logo)}),
        )


def page_routes(world: World) -> list[tuple[str, frozenset[str]]]:
    """The path and the methods of every page, with something that exists nowhere for each variable part."""
    pages = Flask("paths", static_folder=None)
    deployment = world.operator.deployment
    looks = Looks(deployment.settings.appearance, base_path="")
    add_pages(pages, deployment, RequestLimits(is_enabled=False), looks)
    routes = []
    for rule in pages.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "nothing-there", str(rule))
        routes.append((path, frozenset(rule.methods or ()) - {"HEAD", "OPTIONS"}))
    return sorted(routes, key=lambda route: route[0])


def sign_in(world: World) -> Browser:
    """Somebody who has signed in just now, for the pages of their account."""
    account, browser = world.operator.add_user(), world.browser()
    page = browser.get(f"{world.issuer}/account")
    page = browser.log_in(page, account.username, account.password)
    assert page.status == 200, page.status
    return browser


def assert_harmless(reply: Reply, where: str) -> None:
    """What holds for every answer of a page, whatever came."""
    assert reply.status < 500, (where, reply.status, reply.text[:500])
    headers = reply.headers
    is_ours_for_ever = headers.get("cache-control", "").startswith(("public", "max-age"))
    assert is_ours_for_ever or "no-store" in headers.get("cache-control", ""), where
    assert "a" not in {name for name, _ in reply.header_list}, where
    assert not any(value.startswith("a=b") for name, value in reply.header_list if name.lower() == "set-cookie"), where
    location = headers.get("location", "")
    assert "evil" not in location.partition("?")[0], (where, location)
    assert "<script>alert" not in reply.text, where
    assert "<img src=x" not in reply.text, where
    assert "Traceback" not in reply.text, where
    if "text/html" not in headers.get("content-type", "") or not reply.text:
        return
    policy = dict(part.partition(" ")[::2] for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'", where
    # The page that other sites' scripts ask about a session is in a frame by its nature.
    assert policy.get("frame-ancestors") == "'none'" or "/check-session" in where, where
    assert "unsafe" not in headers["content-security-policy"], where
    assert headers["x-content-type-options"] == "nosniff", where
    assert headers["referrer-policy"] in {"same-origin", "no-referrer", "strict-origin"}, (where, headers)
    assert headers["strict-transport-security"].startswith("max-age=31536000"), where
    assert 'src="http' not in reply.text, where
    assert not re.search(r"<script(?![^>]*\bsrc=)", reply.text) or "/check-session" in where, where


@pytest.mark.parametrize("who", ["a stranger", "somebody signed in"])
def test_9_11_12_14_no_page_is_broken_by_its_query_and_each_has_its_headers(world: World, who: str) -> None:
    browser = sign_in(world) if who == "somebody signed in" else world.browser()
    seen = 0
    for path, methods in page_routes(world):
        if "GET" not in methods:
            continue
        seen += 1
        plain = browser.send_once(f"{world.issuer}{path}")
        assert_harmless(plain, path)
        if path.startswith("/account") and "text/html" in plain.headers.get("content-type", "") and plain.text:
            is_ours = plain.status == 200
            assert not is_ours or plain.headers.get("cross-origin-opener-policy") == "same-origin", path
        for value in NASTY:
            # The transport itself refuses what is longer than any header may be.
            names = QUERIES if len(value) < 1000 else QUERIES[:1]
            query = "&".join(f"{name}={quote(value)}" for name in names)
            began = time.perf_counter()
            assert_harmless(browser.send_once(f"{world.issuer}{path}?{query}"), f"{path}?{value[:20]!r}")
            assert time.perf_counter() - began < 5, (path, value[:20], "not linear")
    assert seen > 20


def test_9_pages_before_a_sign_in_may_be_opened_in_a_popup(world: World) -> None:
    """Cross-Origin-Opener-Policy breaks logins in a popup: it stands on pages of an account alone."""
    login = world.browser().get(world.relying_party().begin().url)
    assert find_form(login, "login-form")
    assert "cross-origin-opener-policy" not in login.headers


@pytest.mark.parametrize("who", ["a stranger", "somebody signed in"])
def test_110_no_page_takes_a_form_that_is_not_its_own(world: World, who: str) -> None:
    """Each POST route, with nothing, with a made-up token, and from another origin: refused, and nothing changes."""
    browser = sign_in(world) if who == "somebody signed in" else world.browser()
    # A stranger at a page of an account begins a sign-in, which is a row and nothing more.
    with nothing_changes(world) if who == "somebody signed in" else nullcontext():
        for path, methods in page_routes(world):
            if "POST" not in methods or path == "/authorize":
                continue
            for fields, headers in (
                ([], {"Origin": browser.origin}),
                ([("csrf_token", "f" * 64), ("transaction", "a" * 24)], {"Origin": browser.origin}),
                ([("csrf_token", "f" * 64)], {"Origin": "https://evil.example"}),
            ):
                reply = browser.send_once(f"{world.issuer}{path}", fields=fields, headers=headers)
                assert_harmless(reply, path)
                # Who asks for a mail has nothing that a token could be bound to; another site may not ask for them.
                asks_for_mail = path in {"/reset", "/signup"} and "evil" not in headers["Origin"]
                assert reply.status in {303, 400, 401, 403, 404} or asks_for_mail, (path, reply.status)
                if reply.status == 303:
                    where = reply.headers["location"]
                    assert where.startswith((f"{world.issuer}/login", f"{world.issuer}/logout")), (path, where)


def test_11_12_14_no_form_of_ours_is_broken_by_what_is_typed_into_it(world: World) -> None:
    """Every form on every page of somebody signed in, each of its fields with junk, its token kept."""
    tried, browser = 0, sign_in(world)
    for path, methods in page_routes(world):
        if "GET" not in methods:
            continue
        for number in range(len(_forms(world, browser, path))):
            for value in NASTY:
                forms = _forms(world, browser, path)
                if number >= len(forms):
                    # One of the forms before ended the session.
                    browser = sign_in(world)
                    forms = _forms(world, browser, path)
                form = forms[number]
                fields = [(name, old if name in KEPT else value) for name, old in form.fields]
                reply = browser.send_once(
                    urljoin(browser.url, form.action), fields=fields, headers={"Origin": browser.origin}
                )
                assert_harmless(reply, f"{path} #{form.form_id} {value[:20]!r}")
                tried += 1
    assert tried > 30


def _forms(world: World, browser: Browser, path: str) -> list[Form]:
    reader = _FormReader()
    reply = browser.get(f"{world.issuer}{path}")
    if reply.status == 200 and "text/html" in reply.headers.get("content-type", ""):
        reader.feed(reply.text)
    return [form for form in reader.forms if not form.action.endswith("/logout")]


@pytest.fixture(scope="module")
def providers(world: World) -> None:
    for name in ("university", "employer"):
        document = {"name": name, "display_name": f"The {name}", "issuer": f"https://{name}.example"}
        registered = {**document, "client_id": "meadow", "client_secret": "only-they-know-it-of-us"}
        manage_providers.add_provider(world.operator.deployment, registered)


@pytest.mark.parametrize("language", sorted(UI_LANGUAGES))
@pytest.mark.usefixtures("providers")
def test_the_login_page_weighs_less_than_30_kb_and_asks_nobody_else(world: World, language: str) -> None:
    """The heaviest, with everything that it loads: stylesheets, icon, script, the largest logos, two providers."""
    browser = world.browser()
    browser.headers["Accept-Language"] = language
    links = {name: f"https://prints.example/{name}" for name in ("client_uri", "policy_uri", "tos_uri", "logo_uri")}
    party = world.relying_party(client_name="Photo Prints", policy={"appearance": LOOK}, **links)
    login = browser.get(party.begin().url)
    assert f'lang="{language}"' in login.text
    for part in ("passkey-form", "forgot-password", "sign-up", "continue-with-employer", "own-logo", "/client-logo/"):
        assert part in login.text
    # As much as the client's logo may bring along, from a host that no test asks.
    weight = len(login.text.encode()) + MAX_SIGN_IN_LOGO_BYTES
    waiting = [path for path in _assets(login.text) if not path.startswith("/client-logo/")]
    loaded: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in loaded:
            continue
        loaded.add(path)
        assert path.startswith("/"), (path, "another host")
        assert not path.startswith("//"), (path, "another host")
        asset = browser.send_once(f"{world.issuer}{path}")
        assert asset.status == 200, path
        weight += len(asset.body)
        if path.endswith(".js"):
            waiting += [urljoin(path, name) for name in re.findall(r'from\s*"([^"]+)"', asset.text)]
    assert any(path.endswith(".css") for path in loaded)
    assert weight < 30_000, (weight, loaded)


def _assets(html: str) -> list[str]:
    links = re.findall(r'<link[^>]*\shref="([^"]+)"', html) + re.findall(r'<(?:script|img)[^>]*\ssrc="([^"]+)"', html)
    return [link for link in links if link]
