"""Passwords that come while all places for hashing are taken are answered before anything else is done for them.

Two hundred people at once would otherwise cost two hundred times what a page costs, and whoever asks for a token
meanwhile would wait behind them. Nothing was looked at, so nothing is counted against anybody.
"""

from collections.abc import Callable, Iterable
from typing import Any

from app.services.hash_password import PasswordPool
from app.web.come_back import busy_sentence
from app.web.language import find_language, speaking
from app.web.reader_language import parse_accept_language
from app.web.security_headers import page_headers

StartResponse = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]
RETRY_AFTER_S = 1


class ShedLogins:
    """In front of the pages: a short page and `Retry-After`, and the form is still there one step back.

    `render` makes the page in the language that is spoken; it is called once for each.
    """

    def __init__(
        self, pages: WsgiApp, passwords: PasswordPool, *, render: Callable[[str], str], issuer_is_https: bool
    ) -> None:
        self._pages = pages
        self._render = render
        self._rendered: dict[str, bytes] = {}
        self._passwords = passwords
        self._headers = list(
            page_headers(has_form=False, leads_to_client=False, issuer_is_https=issuer_is_https).items()
        )

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a login that has no place, or pass the request on."""
        is_login = environ["PATH_INFO"] == "/login" and environ["REQUEST_METHOD"] == "POST"
        if not is_login or not self._passwords.is_full():
            return self._pages(environ, start_response)
        wanted = find_language(parse_accept_language(environ.get("HTTP_ACCEPT_LANGUAGE", "")))
        with speaking(None if wanted is None else wanted.tag) as language:
            if language.tag not in self._rendered:
                self._rendered[language.tag] = self._render(busy_sentence()).encode()
            body = self._rendered[language.tag]
        headers = [
            *self._headers,
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Retry-After", str(RETRY_AFTER_S)),
        ]
        start_response("503 Service Unavailable", headers)
        return [body]
