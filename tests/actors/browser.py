"""A browser without scripts: keeps cookies, follows redirects on our origin, fills in forms as a person would."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from urllib.parse import urljoin, urlsplit

from tests.actors.http import Reply, send


@dataclass
class Form:
    """A form on a page: its fields as a browser would post them untouched."""

    form_id: str
    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)

    def with_values(self, **values: str | Sequence[str] | None) -> list[tuple[str, str]]:
        """The fields with some of them replaced; None leaves one out."""
        kept = [(name, value) for name, value in self.fields if name not in values]
        for name, value in values.items():
            if value is None:
                continue
            kept += [(name, value)] if isinstance(value, str) else [(name, one) for one in value]
        return kept


class _FormReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(form_id=attributes.get("id", ""), action=attributes.get("action", ""))
            self.forms.append(self._open)
        elif tag == "input" and self._open is not None and "disabled" not in attributes:
            kind = attributes.get("type", "text")
            if kind in ("checkbox", "radio") and "checked" not in attributes:
                return
            if kind != "submit" and "name" in attributes:
                self._open.fields.append((attributes["name"], attributes.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


class Browser:
    """One browser profile, talking to one server whatever its issuer's name is."""

    def __init__(self, issuer: str, server_url: str | None = None) -> None:
        self.issuer = issuer
        self.origin = "{0.scheme}://{0.netloc}".format(urlsplit(issuer))
        self.server_url = server_url or self.origin
        self.cookies: dict[str, str] = {}
        self.headers: dict[str, str] = {}
        self.url = ""

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """Open a URL and follow redirects until a page, or a redirect that leaves our origin."""
        return self._follow(url, self._send(url, headers=headers))

    def post(self, url: str, fields: Sequence[tuple[str, str]], *, headers: Mapping[str, str] | None = None) -> Reply:
        """Post a form from our own page, and follow."""
        return self._follow(url, self._send(url, fields=fields, headers={"Origin": self.origin, **(headers or {})}))

    def send_once(
        self,
        url: str,
        *,
        method: str | None = None,
        fields: Sequence[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request with this browser's cookies; the answer as it is. A POST where there are `fields`, else a GET."""
        return self._send(url, method=method, fields=fields, headers=headers)

    def secret_cookies(self) -> list[str]:
        """The values of the cookies, without the one that any script may read: it opens nothing."""
        return [value for name, value in self.cookies.items() if value and "-state" not in name]

    def log_in(self, page: Reply, username: str, password: str) -> Reply:
        """Fill in the login page."""
        form = find_form(page, "login-form")
        return self.post(urljoin(self.url, form.action), form.with_values(username=username, password=password))

    def select_account(self, page: Reply, account: str) -> Reply:
        """Choose an account on the page that lists them."""
        form = find_form(page, "account-form")
        return self.post(urljoin(self.url, form.action), form.with_values(account=account))

    def consent(
        self,
        page: Reply,
        *,
        allow: bool = True,
        scope: Sequence[str] | None = None,
        duration: str | None = None,
    ) -> Reply:
        """Fill in the consent page; `scope` are the boxes left ticked, all of them by default."""
        form = find_form(page, "consent-form")
        values: dict[str, str | Sequence[str] | None] = {"decision": "allow" if allow else "deny"}
        if scope is not None:
            values["scope"] = list(scope)
        if duration is not None:
            values["duration"] = duration
        return self.post(urljoin(self.url, form.action), form.with_values(**values))

    def _send(
        self,
        url: str,
        *,
        method: str | None = None,
        fields: Sequence[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        self.url = url
        assert url.startswith(self.origin), f"{url} is not on {self.origin}"
        sent = {**self.headers, **(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        reply = send(
            self.server_url + url[len(self.origin) :],
            method=method or ("GET" if fields is None else "POST"),
            headers=sent,
            form=fields,
        )
        self._keep_cookies(reply)
        return reply

    def _follow(self, url: str, reply: Reply) -> Reply:
        for _ in range(10):
            if reply.status not in (301, 302, 303, 307, 308):
                return reply
            url = urljoin(url, reply.location)
            if not url.startswith(self.origin + "/"):
                return reply
            reply = self._send(url)
        raise AssertionError("redirects go round in circles")

    def _keep_cookies(self, reply: Reply) -> None:
        for name, value in reply.header_list:
            if name.lower() != "set-cookie":
                continue
            for cookie_name, morsel in SimpleCookie(value).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(cookie_name, None)
                else:
                    self.cookies[cookie_name] = morsel.value


def find_form(page: Reply, form_id: str) -> Form:
    """The form of that id. Fails with the page's beginning when it is not there."""
    reader = _FormReader()
    reader.feed(page.text)
    for form in reader.forms:
        if form.form_id == form_id:
            return form
    raise AssertionError(f"no #{form_id} on the page ({page.status}):\n{page.text[:1500]}")
