"""attacks.md, "Every endpoint": headers that lie, headers that we owe, cookies, markup, forged log lines (7-12)."""

import json
import re
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from app.web.cookies import Cookies
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply, send
from tests.attacks.good_conduct import assert_json_error, assert_page, nothing_changes, post
from tests.attacks.raw_http import post_form, send_raw
from tests.conftest import run_world
from tests.databases import migrated_database_url, on_sqlite
from tests.patience import wait_until
from tests.world import World

pytestmark = pytest.mark.usefixtures("standing")

FORM = "application/x-www-form-urlencoded"
MARKUP = "<script>alert(1)</script>{{7*7}}${7*7}'\"><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def proxied_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server behind a proxy that it trusts, for an issuer with https."""
    directory = tmp_path_factory.mktemp("proxied")
    with migrated_database_url("sqlite", directory) as database_url:
        yield from run_world(
            directory, database_url, origin="https://auth.example", trusted_proxies="127.0.0.0/8", rate_limits="off"
        )


def log_lines(world: World, *, about: str) -> list[dict[str, object]]:
    """The log lines so far that hold a word. Fails on one that is not one JSON object."""
    return [json.loads(line) for line in world.server.log_text().splitlines() if about in line]


def logged_peer(world: World, marker: str) -> object:
    """The peer that the access log names for the one request to `/marker`."""
    found: list[object] = []

    def look() -> bool:
        found.extend(line["peer"] for line in log_lines(world, about=marker) if line.get("path") == f"/{marker}")
        return bool(found)

    wait_until(look)
    return found[0]


# ----- 7 and 8: who is asking -----

FORWARDED = {
    "an address": ("X-Forwarded-For", "203.0.113.7"),
    "loopback": ("X-Forwarded-For", "127.0.0.1"),
    "a thousand": ("X-Forwarded-For", ", ".join(["203.0.113.7"] * 1000)),
    "a zone": ("X-Forwarded-For", "fe80::1%25eth0"),
    "a name": ("X-Forwarded-For", "localhost"),
    "real ip": ("X-Real-IP", "203.0.113.7"),
    "forwarded": ("Forwarded", "for=203.0.113.7;host=evil.example;proto=https"),
    "underscores": ("X_Forwarded_For", "203.0.113.7"),
}


@pytest.mark.parametrize("header", FORWARDED.values(), ids=FORWARDED.keys())
@on_sqlite
def test_a_stranger_cannot_choose_the_address_that_counts(world: World, header: tuple[str, str]) -> None:
    """Case 7: without a trusted proxy the socket's peer is used."""
    marker = f"marker-{time.monotonic_ns()}"
    send(f"{world.url}/{marker}", headers=dict([header]))
    assert logged_peer(world, marker) == "127.0.0.1"


@pytest.mark.parametrize(
    ("forwarded_for", "peer"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 127.0.0.1", "203.0.113.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        (", ".join(["6.6.6.6"] * 1000 + ["203.0.113.7"]), "203.0.113.7"),
        ("203.0.113.7, a", "unknown"),
        ("a", "unknown"),
        ("203.0.113.7:80", "unknown"),
        ("fe80::1%eth0", "unknown"),
        ("localhost", "unknown"),
        (",", "unknown"),
        ("0x7f.1", "unknown"),
        ("127.1", "unknown"),
        ("2130706433", "unknown"),
    ],
)
@on_sqlite
def test_only_what_the_trusted_proxy_appended_is_believed(proxied_world: World, forwarded_for: str, peer: str) -> None:
    """Case 7: the last entry before our proxies; what is no address is nobody's, and no name is looked up."""
    marker = f"marker-{time.monotonic_ns()}"
    send(f"{proxied_world.url}/{marker}", headers={"X-Forwarded-For": forwarded_for})
    assert logged_peer(proxied_world, marker) == peer


@pytest.mark.parametrize("forwarded_for", ["a", "localhost", "127.1", "::1%lo", "203.0.113.7", "127.0.0.1:9", ","])
@on_sqlite
def test_an_unreadable_address_does_not_open_what_is_for_loopback(proxied_world: World, forwarded_for: str) -> None:
    """Case 7: unparsable never skips a policy, though the proxy itself stands on loopback."""
    reply = send(f"{proxied_world.url}/metrics", headers={"X-Forwarded-For": forwarded_for})
    assert_json_error(reply, "access_denied")


@pytest.mark.parametrize(
    "header",
    ["SSL-Client-Cert", "X-SSL-Client-Cert", "X-Client-Cert", "X-Forwarded-Client-Cert", "Client-Cert", "SSL_CERT"],
)
@on_sqlite
def test_a_certificate_in_a_header_authenticates_nobody(world: World, header: str) -> None:
    """Case 8: IC, NC."""
    account, party = world.operator.add_user(), world.relying_party()
    code, pending = world.get_code(party, account)
    with nothing_changes(world):
        reply = party.try_exchange(
            code, pending, headers={header: "-----BEGIN%20CERTIFICATE-----"}, client_id=party.client_id
        )
        assert_json_error(reply, "invalid_client", 401)
    party.exchange(code, pending)


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Forwarded-Port"])
@pytest.mark.parametrize("value", ["evil.example", "http", "/evil", "81"])
@on_sqlite
def test_a_forwarded_host_decides_nothing(world: World, header: str, value: str) -> None:
    """Cases 7 and 134: every URL is the issuer's."""
    headers = {header: value, "Host": "evil.example"}
    assert send(f"{world.url}/.well-known/openid-configuration", headers=headers).json()["issuer"] == world.issuer
    party = world.relying_party()
    reply = send(world.url + party.begin().url.removeprefix(world.issuer), headers=headers)
    assert reply.location.startswith(f"{world.issuer}/login?")


# ----- 9: headers that a page owes -----


def every_page(world: World, browser: Browser) -> dict[str, Reply]:
    """One of each page."""
    account, party = world.operator.add_user(), world.relying_party()
    login = browser.get(party.begin().url)
    form = find_form(login, "login-form")
    wrong = browser.post(browser.url, form.with_values(username=account.username, password="wrong"))
    return {
        "home": browser.get(f"{world.issuer}/"),
        "login": login,
        "wrong password": wrong,
        "consent": browser.log_in(login, account.username, account.password),
        "error": browser.get(f"{world.issuer}/authorize?client_id=unknown"),
        "forged": browser.post(f"{world.issuer}/login", form.with_values(csrf_token="wrong")),
        "not found": browser.get(f"{world.issuer}/nowhere"),
        "wrong method": send(f"{world.url}/login", method="PUT"),
    }


@on_sqlite
def test_every_page_carries_its_headers(proxied_world: World) -> None:
    """Case 9, on an issuer with https."""
    for name, page in every_page(proxied_world, proxied_world.browser()).items():
        headers = page.headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'", name
        scripts = re.findall(r"<script[^>]*>", page.text)
        if scripts:
            # The module of passkeys: a file of ours, under a nonce of this one answer.
            assert name in ("login", "wrong password"), name
            nonce = re.fullmatch(r"'nonce-([A-Za-z0-9_-]{24,})'", policy["script-src"])
            assert nonce is not None, name
            assert all(f'nonce="{nonce[1]}"' in tag and ' src="/' in tag for tag in scripts), name
        else:
            assert not set(policy) & {"script-src", "script-src-elem"}, name
        assert "unsafe" not in headers["content-security-policy"], name
        assert headers["x-frame-options"] == "DENY", name
        assert headers["x-content-type-options"] == "nosniff", name
        assert headers["referrer-policy"] == ("same-origin" if "<form" in page.text else "no-referrer"), name
        assert headers["strict-transport-security"].startswith("max-age=31536000"), name
        assert headers["cache-control"] == "no-store", name
        assert headers["content-type"] == "text/html; charset=utf-8", name
        assert "cross-origin-opener-policy" not in headers, name
        assert "access-control-allow-origin" not in headers, name
        assert "style=" not in page.text, name
        assert 'src="http' not in page.text, name


# ----- 10: cookies -----


@on_sqlite
def test_cookies_are_host_cookies(proxied_world: World) -> None:
    """Case 10: __Host-, Secure, HttpOnly, SameSite=Lax, Path=/, and no Domain."""
    account, party, browser = proxied_world.operator.add_user(), proxied_world.relying_party(), proxied_world.browser()
    first = browser.send_once(party.begin().url)
    page = browser.get(first.location)
    form = find_form(page, "login-form")
    fields = form.with_values(username=account.username, password=account.password)
    second = browser.send_once(f"{proxied_world.issuer}/login", fields=fields)
    cookies = [value for reply in (first, second) for name, value in reply.header_list if name == "set-cookie"]
    assert len(cookies) == 4
    own = Cookies.of_issuer(proxied_world.issuer)
    for cookie in cookies:
        name, _, attributes = cookie.partition(";")
        given = set(attributes.strip().split("; "))
        assert name.startswith("__Host-")
        assert {"Secure", "Path=/"} <= given
        if name.partition("=")[0] == own.browser_state_name:
            # For the script of the check-session iframe, in pages of other sites.
            assert "SameSite=None" in given
            assert "HttpOnly" not in given
        else:
            assert {"HttpOnly", "SameSite=Lax"} <= given
        assert "domain" not in attributes.lower()


def logged_in_cookies(world: World) -> tuple[Cookies, dict[str, str]]:
    """The names that cookies have here, and those of a browser in which somebody is logged in."""
    account, browser = world.operator.add_user(), world.browser()
    world.get_code(world.relying_party(), account, browser=browser)
    return Cookies.of_issuer(world.issuer), browser.cookies


@pytest.mark.parametrize(
    "cookie",
    [
        "={name}={value}",
        "=; {name}",
        "{name}={value}; {name}={other}",
        "{name}={other}; {name}={value}",
        "{name}={value}; {name}={value}",
        "{name}={value}x",
        "{name}={value} {value}",
        "{name}=" + "a" * 8192,
        "{upper}={value}",
        "{name} ={value}x",
        "{name}=th_br_" + "0" * 49,
        "{name}=\\303\\251",
        '{name}="{value}',
        "{name}",
        ";;;=;{name}",
        "{name}={value}\\073x",
    ],
)
@on_sqlite
def test_an_odd_cookie_is_nobody(world: World, cookie: str) -> None:
    """Case 10: anonymous, never a 500, never authenticated."""
    _, cookies = logged_in_cookies(world)
    name = next(name for name in cookies if "browser" in name)
    sent = cookie.format(name=name, upper=name.upper(), value=cookies[name], other=cookies[name][:-1] + "x")
    party = world.relying_party()
    url = world.url + party.begin(prompt="none").url.removeprefix(world.issuer)
    reply = send(url, headers={"Cookie": sent})
    assert party.read_answer(reply)["error"] == "login_required"


@pytest.mark.parametrize(
    "cookie", [b"\xff\xfe=\xff", b"a=\xc3\xa9", b"=" * 3000, b"a" * 8192, b"a=b;" * 2000, b'"', b"a=\t", b"$Version=1"]
)
@on_sqlite
def test_bytes_that_are_no_cookie_are_passed_over(world: World, cookie: bytes) -> None:
    """Case 10."""
    party = world.relying_party()
    path = party.begin(prompt="none").url.removeprefix(world.issuer).encode()
    answer = send_raw(
        world, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: " + cookie + b"\r\n\r\n"
    )
    assert answer.statuses == [303]
    assert b"login_required" in answer.received


@pytest.mark.parametrize("name", ["é€", "a b", 'x"y', "<script>", "0" * 24, "a" * 2000])
@on_sqlite
def test_planted_transaction_cookies_are_not_echoed(world: World, name: str) -> None:
    """Case 10: a neighbour's subdomain plants cookies under our prefix, to push out ours or to split a header."""
    own = Cookies.of_issuer(world.issuer)
    planted = "; ".join(f"{own.prefix}-tx-{name}{number}{own.suffix}=x" for number in range(12))
    path = world.relying_party().begin().url.removeprefix(world.issuer)
    answer = send_raw(
        world, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {planted}\r\n\r\n".encode()
    )
    assert answer.statuses in ([303], [431])
    assert f"-tx-{name}".encode() not in answer.received


@on_sqlite
def test_the_eleventh_transaction_pushes_another_one_out(world: World) -> None:
    """Case 10, model.md 4: at most ten cookies of transactions."""
    browser, party = world.browser(), world.relying_party()
    for _ in range(12):
        browser.get(party.begin().url)
    assert sum("-tx-" in name for name in browser.cookies) == 10


# ----- 11 and 12: markup and log lines -----


@on_sqlite
def test_markup_is_text_on_every_page(world: World) -> None:
    """Case 11: login_hint, client_name, scope descriptions, names of people, what was typed."""
    resource = world.operator.add_resource(
        resource_name=MARKUP, scopes=[{"name": "s{{7*7}}<b>", "description": MARKUP}]
    )
    party = world.relying_party(client_name=MARKUP)
    browser, account = world.browser(), world.operator.add_user()
    pending = party.begin(
        scope="openid s{{7*7}}<b>", resource=resource, login_hint=MARKUP, state=MARKUP, ui_locales=MARKUP
    )
    login = browser.get(pending.url)
    form = find_form(login, "login-form")
    assert dict(form.fields)["username"] == MARKUP
    typed = browser.post(browser.url, form.with_values(username=MARKUP + "x", password=MARKUP))
    consent = browser.log_in(login, account.username, account.password)
    assert 'id="consent-form"' in consent.text
    for page in (login, typed, consent):
        assert "<script" not in page.text.lower()
        assert "onerror=alert(1)>" not in page.text
        assert "{{7*7}}" in page.text
    reply = browser.consent(consent)
    assert party.read_answer(reply)["state"] == MARKUP
    assert reply.body == b""


@pytest.mark.parametrize(
    "path",
    ["/authorize", "/login", "/second-factor", "/select-account", "/consent", "/authorize/resume", "/nowhere", "/"],
)
@pytest.mark.parametrize("value", ["%3Cscript%3E", "javascript:alert(1)", "{{7*7}}", "%22%3E%3Cimg%20src=x%3E"])
@on_sqlite
def test_a_page_never_repeats_what_a_query_holds(world: World, path: str, value: str) -> None:
    """Case 11."""
    for name in ("client_id", "redirect_uri", "state", "error", "error_description", "transaction"):
        reply = send(f"{world.url}{path}?{name}={value}")
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        for repeated in ("javascript:", "<script", "<img", "{{7*7}}", ">49<"):
            assert repeated not in reply.text, name


@pytest.mark.parametrize("name", ["grant_type", "client_id", "code", "resource"])
@on_sqlite
def test_a_json_error_is_never_html(world: World, name: str) -> None:
    """Case 11: also for a browser that would rather have HTML."""
    form = {"grant_type": "authorization_code", "client_id": "x", name: MARKUP}
    reply = post(world, "/token", form=form, headers={"Accept": "text/html"})
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "<" not in reply.text


FORGED = '"}\u2028{"event":"forged","level":"info"}\u0085\u202e\u2066'


@pytest.mark.parametrize("where", ["client_id", "token client_id", "username", "User-Agent", "path", "state"])
@on_sqlite
def test_no_value_forges_a_log_line(world: World, where: str) -> None:
    """Case 12: every line is one JSON object in ASCII, whoever splits it however."""
    marker = f"forged-{time.monotonic_ns()}"
    value = marker + FORGED
    if where == "client_id":
        assert_page(world.browser().get(world.relying_party().begin(client_id=value).url))
    elif where == "token client_id":
        form = {"grant_type": "authorization_code", "code": "x", "client_id": value, "client_secret": "x"}
        assert_json_error(post(world, "/token", form=form), "invalid_client", 401)
    elif where == "username":
        browser = world.browser()
        form_fields = find_form(browser.get(world.relying_party().begin().url), "login-form")
        browser.post(browser.url, form_fields.with_values(username=value, password=value))
    elif where == "User-Agent":
        raw = f"GET /{marker} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: {value}\r\n\r\n".encode()
        assert send_raw(world, raw).status == 404
    elif where == "path":
        assert send(f"{world.url}/{quote(value)}%0d%0a%7b%22event%22%3a%22forged%22%7d%1b%5b31m%00").status == 404
    else:
        world.browser().get(world.relying_party().begin(state=value).url)
    send(f"{world.url}/{marker}-end")
    logged_peer(world, f"{marker}-end")
    text = world.server.log_text()
    assert text.partition(marker)[2].isascii()
    assert not [line for line in log_lines(world, about="forged") if line.get("event") == "forged"]
    assert "\x1b" not in text and "\x00" not in text  # noqa: PT018


@pytest.mark.parametrize("name", ["state", "redirect_uri", "client_id", "nonce", "login_hint", "scope"])
@pytest.mark.parametrize(
    "split", ["%0d%0aSet-Cookie:%20a=b", "%0aLocation:%20https://evil.example", "%0d%0a%0d%0a<html>"]
)
@on_sqlite
def test_no_parameter_splits_a_header(world: World, name: str, split: str) -> None:
    """Case 12: caught as 400, on a page."""
    path = world.relying_party().begin(**{name: None}).url.removeprefix(world.issuer)
    answer = send_raw(world, f"GET {path}&{name}=a{split} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.statuses == [400]
    assert b"set-cookie" not in answer.received.lower()
    assert b"evil" not in answer.received


@pytest.mark.parametrize("field", ["username", "password", "csrf_token", "transaction"])
@on_sqlite
def test_a_megabyte_in_a_form_field_is_refused_unread(world: World, field: str) -> None:
    """Case 12."""
    body = f"{field}={'a' * 1_000_000}".encode()
    head = b"Content-Length: %d\r\n" % len(body)
    with nothing_changes(world):
        assert send_raw(world, post_form("/login", body, headers=head)).statuses == [413]
