"""HTTP as programs speak it: no redirects followed, nothing retried, nothing normalised on the way."""

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

Form = Mapping[str, str | Sequence[str]] | Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, as it came."""

    status: int
    header_list: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """By lower-case name; the last of each."""
        return {name.lower(): value for name, value in self.header_list}

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        return self.headers["location"]


def send(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    form: Form | None = None,
    timeout_s: float = 20,
) -> Reply:
    """One request on a connection of its own. The path and the query of `url` go out exactly as they stand."""
    origin, target = split_target(url)
    parts = urlsplit(origin)
    sent_headers = dict(headers or {})
    if form is not None:
        body = urlencode(form, doseq=True).encode()
        sent_headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    # http.client refuses some bytes that attackers send; the server must see them.
    connection._validate_path = lambda _url: None  # type: ignore[attr-defined]
    try:
        connection.request(method, target, body=body, headers=sent_headers)
        answer = connection.getresponse()
        return Reply(answer.status, tuple(answer.getheaders()), answer.read())
    finally:
        connection.close()


def split_target(url: str) -> tuple[str, str]:
    """The origin and everything after it."""
    scheme, _, rest = url.partition("://")
    authority, slash, target = rest.partition("/")
    return f"{scheme}://{authority}", slash + target or "/"
