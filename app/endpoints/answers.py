"""A program's answer: status, headers, body; and how it is put on the wire."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

# What a page of another origin may see of the answer of an endpoint that is made for such pages.
CORS = (("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", "WWW-Authenticate, DPoP-Nonce"))
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


@dataclass(frozen=True, slots=True)
class PublicDocument:
    """A document for everybody, made beforehand. `headers_of_get` are all that a plain GET of it is answered with."""

    body: bytes
    etag: str
    media_type: str
    headers: tuple[tuple[str, str], ...]
    headers_of_get: tuple[tuple[str, str], ...]

    @classmethod
    def of(
        cls, body: bytes, *, etag: str, cache_control: str, media_type: str = "application/json"
    ) -> "PublicDocument":
        """The document with its headers: anybody may keep it, and pages of other origins may read it."""
        headers = (("Cache-Control", cache_control), ("ETag", etag), ("X-Content-Type-Options", "nosniff"))
        content = ("Content-Type", media_type)
        return cls(body, etag, media_type, headers, (content, *headers, *CORS, ("Content-Length", str(len(body)))))

    def answer(self, if_none_match: str) -> Answer:
        """The answer to whoever may have it already."""
        # RFC 9110 13.1.2: a list of tags, compared weakly; "*" is whatever we have.
        if self.etag in if_none_match or if_none_match.strip() == "*":
            return Answer(304, [*self.headers], b"")
        return Answer(200, [("Content-Type", self.media_type), *self.headers], self.body)


def json_answer(status: int, document: Mapping[str, Any], headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """A JSON answer that nobody may store (RFC 6749 5.1)."""
    return Answer(
        status,
        [JSON, NO_STORE, ("Pragma", "no-cache"), ("X-Content-Type-Options", "nosniff"), *headers],
        orjson.dumps(document),
    )
