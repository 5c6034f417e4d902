"""The line in front of the password: as many logins are worked at as passwords are hashed at a time, some more wait.

Two hundred people at once would otherwise be two hundred threads' worth of work in one process, and whoever asks for a
token meanwhile would wait behind all of them. Who finds the line full is answered before anything is done: nothing was
looked at, so nothing is counted against anybody. One address has a quarter of the line: it cannot keep everybody
else waiting.
"""

import random
import threading
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from app.services.limit_guesses import TooManyAttempts
from app.services.throttle_logins import FairShare
from app.web.come_back import busy_sentence
from app.web.language import find_language, speaking
from app.web.reader_language import parse_accept_language
from app.web.security_headers import page_headers

StartResponse = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]
# Spread, so that those who were sent away together do not come back together.
RETRY_AFTER_S = (1, 4)


class LoginLine:
    """In front of the pages: a place, or a short page and `Retry-After`; the form is still there one step back.

    `at_work`: how many logins at a time, as many as there are threads for hashing; `waiting`: how many more. `render`
    makes the page for who is sent away in the language that is spoken; it is called once for each.
    """

    def __init__(
        self, pages: WsgiApp, *, at_work: int, waiting: int, render: Callable[[str], str], issuer_is_https: bool
    ) -> None:
        self._pages = pages
        self._places = threading.BoundedSemaphore(at_work + waiting)
        self._at_work = threading.BoundedSemaphore(at_work)
        self._shares = FairShare(max(2, (at_work + waiting) // 4))
        self._render = render
        self._rendered: dict[str, bytes] = {}
        self._headers = list(
            page_headers(has_form=False, leads_to_client=False, issuer_is_https=issuer_is_https).items()
        )

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Pass on what is no login; let a login wait for its turn, or send it away."""
        if environ["PATH_INFO"] != "/login" or environ["REQUEST_METHOD"] != "POST":
            return self._pages(environ, start_response)
        try:
            # The share first: what is more than it must not fill the line for others, not even for a moment.
            with self._shares.place(environ.get("REMOTE_ADDR", "")):
                return self._wait_in_line(environ, start_response)
        except TooManyAttempts:
            return self._send_away(environ, start_response, "429 Too Many Requests")

    def _wait_in_line(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if not self._places.acquire(blocking=False):
            return self._send_away(environ, start_response, "503 Service Unavailable")
        try:
            # Read before the turn comes: whoever sends slowly must not keep those waiting who are behind.
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = BytesIO(body)
            with self._at_work:
                return self._pages(environ, start_response)
        finally:
            self._places.release()

    def _send_away(self, environ: dict[str, Any], start_response: StartResponse, status: str) -> Iterable[bytes]:
        wanted = find_language(parse_accept_language(environ.get("HTTP_ACCEPT_LANGUAGE", "")))
        with speaking(None if wanted is None else wanted.tag) as language:
            if language.tag not in self._rendered:
                self._rendered[language.tag] = self._render(busy_sentence()).encode()
            body = self._rendered[language.tag]
        headers = [
            *self._headers,
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Retry-After", str(random.randint(*RETRY_AFTER_S))),  # noqa: S311 - not a secret
        ]
        start_response(status, headers)
        return [body]
