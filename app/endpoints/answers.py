"""A program's answer: status, headers, body; and how it is put on the wire."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

NO_STORE = ("Cache-Control", "no-store")
JSON = ("Content-Type", "application/json")
_PHRASES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent. `headers` is the list that WSGI wants, still open to additions."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def respond(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Put the answer on the wire; a HEAD request gets the headers alone."""
        headers = [*self.headers, ("Content-Length", str(len(self.body)))]
        if self.status in (204, 304):
            headers.pop()
        start_response(_PHRASES[self.status], headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [self.body]


def json_answer(status: int, document: Mapping[str, Any], headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """A JSON answer that nobody may store (RFC 6749 5.1)."""
    return Answer(
        status,
        [JSON, NO_STORE, ("Pragma", "no-cache"), ("X-Content-Type-Options", "nosniff"), *headers],
        orjson.dumps(document),
    )
