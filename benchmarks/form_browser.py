"""A browser that is just enough to log in: follows redirects on one origin, keeps cookies, fills in forms by id.

The benchmarks measure programs, not pages; this drives the pages once per session, over the names that design.md
fixes (`#login-form`, `#consent-form`), so that Tokenhouse and the peer are logged into by the same code.
"""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

from benchmarks.cookies import CookieJar

MOST_HOPS = 12
TIMEOUT_S = 20


class UnexpectedPage(RuntimeError):
    """The server showed something that the flow does not know how to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    action: str
    method: str
    fields: Mapping[str, tuple[str, ...]]
    buttons: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the address bar would show. `status` 0 means: a redirect away from the origin, not followed."""

    url: str
    status: int
    body: str = ""
    forms: Mapping[str, Form] = field(default_factory=dict)


class FormBrowser:
    """One person's browser at one origin (`http://host:port`)."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.cookies = CookieJar()
        self._connection = http.client.HTTPConnection(urlsplit(origin).netloc, timeout=TIMEOUT_S)

    def close(self) -> None:
        self._connection.close()

    def open(self, url: str) -> Page:
        """The page at `url` after all redirects that stay on the origin."""
        return self._follow("GET", url, None)

    def submit(self, page: Page, form_id: str, fields: Mapping[str, str], *, button: str) -> Page:
        """Fills in `fields`, leaves all other inputs as the page gave them, and presses `button` (an id)."""
        form = page.forms[form_id]
        values = {**form.fields, **{name: (value,) for name, value in fields.items()}}
        pressed_name, pressed_value = form.buttons.get(button, ("", ""))
        if pressed_name:
            values[pressed_name] = (pressed_value,)
        body = urlencode(values, doseq=True)
        target = urljoin(page.url, form.action or page.url)
        return self._follow("POST", target, body)

    def authorize(self, authorization_url: str, *, redirect_uri: str, username: str, password: str) -> str:
        """Logs in and allows where asked; the URL (with `code`) that the client would be called at."""
        page = self.open(authorization_url)
        for _ in range(3):
            if page.status == 0 and page.url.startswith(redirect_uri):
                return page.url
            if "login-form" in page.forms:
                filled = {"username": username, "password": password}
                page = self.submit(page, "login-form", filled, button="login-submit")
            elif "consent-form" in page.forms:
                page = self.submit(page, "consent-form", {}, button="consent-allow")
            else:
                break
        if page.status == 0 and page.url.startswith(redirect_uri):
            return page.url
        raise UnexpectedPage(f"{page.status} at {page.url}: {page.body[:600]}")

    def _follow(self, method: str, url: str, body: str | None) -> Page:
        for _ in range(MOST_HOPS):
            if not url.startswith(self.origin + "/"):
                return Page(url=url, status=0)
            status, location, text = self._request(method, url, body)
            if location is None:
                parser = _FormParser()
                parser.feed(text)
                return Page(url=url, status=status, body=text, forms=parser.forms)
            url, method, body = urljoin(url, location), "GET", None
        raise UnexpectedPage(f"more than {MOST_HOPS} redirects, the last to {url}")

    def _request(self, method: str, url: str, body: str | None) -> tuple[int, str | None, str]:
        parts = urlsplit(url)
        headers = {"Accept": "text/html", "Cookie": self.cookies.header(parts.path)}
        if body is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.origin}
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        self._connection.request(method, target, body=body, headers=headers)
        response = self._connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        self.cookies.store(response.headers.get_all("Set-Cookie") or ())
        redirected = response.status in (301, 302, 303, 307, 308)
        return response.status, response.headers.get("Location") if redirected else None, text


class _FormParser(HTMLParser):
    """Collects every form that has an id."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: dict[str, Form] = {}
        self._fields: dict[str, tuple[str, ...]] = {}
        self._buttons: dict[str, tuple[str, str]] = {}
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._fields, self._buttons, self._inside = {}, {}, True
            self.forms[attributes.get("id", "")] = Form(
                action=attributes.get("action", ""),
                method=attributes.get("method", "get"),
                fields=self._fields,
                buttons=self._buttons,
            )
        elif self._inside and tag == "button":
            pressed = (attributes.get("name", ""), attributes.get("value", ""))
            self._buttons[attributes.get("id", "")] = pressed
        elif self._inside and tag == "input" and "name" in attributes and "disabled" not in attributes:
            kind = attributes.get("type", "text")
            if kind in ("checkbox", "radio") and "checked" not in attributes:
                return
            name = attributes["name"]
            value = attributes.get("value", "on" if kind == "checkbox" else "")
            self._fields[name] = (*self._fields.get(name, ()), value)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
