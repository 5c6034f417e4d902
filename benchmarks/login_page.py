"""People at a login page, from addresses of their own: what the benchmarks of logins have in common."""

import http.client
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from app.services.deployment import open_deployment
from app.services.manage_users import NewUser, add_user, disable_user
from app.settings import load_settings
from benchmarks.form_browser import FormBrowser
from benchmarks.tokenhouse_server import Deployment

PASSWORD = "forty crows over a frozen harbour"
# The server believes this proxy, so that every try can come from an address of its own and none is throttled; and no
# number of failures is an alarm.
SETTINGS = {"trusted_proxies": "127.0.0.0/8", "stuffing_alarm_failures": "1000000"}


def add_people(
    deployment: Deployment, prefix: str, count: int, *, password: str | None = PASSWORD, disabled: bool = False
) -> list[str]:
    """Their names, made as the command line makes them."""
    names = [f"{prefix}-{number}" for number in range(count)]
    settings = load_settings(
        {name: value for name, value in deployment.environment.items() if name.startswith("TOKENHOUSE_")}
    )
    opened = open_deployment(settings, pool_size=2)
    try:
        for name in names:
            add_user(opened, NewUser(username=name, email=f"{name}@example.com", password=password))
            if disabled:
                disable_user(opened, name)
    finally:
        opened.close()
    return names


def addresses() -> Iterator[str]:
    """One after the other, each of another network."""
    return (f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}" for number in itertools.count(1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a try got: `seconds` from the request to the end of the body."""

    status: int
    seconds: float
    length: int
    header_names: Sequence[str]
    retry_after_s: int | None = None


class LoginPage:
    """One login page in one browser, which can be posted again and again."""

    def __init__(self, origin: str, authorization_url: str) -> None:
        browser = FormBrowser(origin)
        page = browser.open(authorization_url)
        form = page.forms["login-form"]
        self._fields = {name: values[0] for name, values in form.fields.items() if values}
        self._headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": browser.cookies.header("/login"),
            "Origin": origin,
        }
        browser.close()
        self._connection = http.client.HTTPConnection(urlsplit(origin).netloc, timeout=60)

    def post(self, username: str, password: str, *, address: str) -> Answer:
        """One try."""
        body = urlencode({**self._fields, "username": username, "password": password})
        began = time.perf_counter()
        response = self._send(body, {**self._headers, "X-Forwarded-For": address})
        length = len(response.read())
        seconds = time.perf_counter() - began
        names = tuple(sorted(name.lower() for name in response.headers))
        wait = response.headers.get("Retry-After")
        return Answer(
            status=response.status,
            seconds=seconds,
            length=length,
            header_names=names,
            retry_after_s=None if wait is None else int(wait),
        )

    def _send(self, body: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        try:
            self._connection.request("POST", "/login", body=body, headers=headers)
            return self._connection.getresponse()
        except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
            # A connection that waited is closed by either side at any moment; browsers open another one, too.
            self._connection.close()
            self._connection.request("POST", "/login", body=body, headers=headers)
            return self._connection.getresponse()
