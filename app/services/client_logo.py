"""Clients' logos, fetched by us and shown from our origin.

A logo that the person's browser fetched would tell the client's host who is about to log in, and when. Only raster
images count, by their first bytes and never by the type that the host claims: an SVG is a document that can hold
scripts. The image is **not** decoded: a damaged one is shown as damaged, by a browser that is told not to sniff.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import structlog
from cachetools import LRUCache

from app.services.clock import Clock
from app.services.fetch_document import DocumentFetcher, FetchError

MAX_LOGO_BYTES: Final = 256 * 1024
MAX_SIGN_IN_LOGO_BYTES: Final = 3_000
"""The most on a page of a sign-in, which weighs less than 30 kB with all that it loads."""
REMEMBERED_FOR_MS: Final = 3_600_000
FAILURE_REMEMBERED_FOR_MS: Final = 60_000
MAX_REMEMBERED_BYTES: Final = 8 * 1024 * 1024
DEADLINE_S: Final = 3.0
MAX_WAITING: Final = 4
"""How many requests may wait for logos at a time: hosts that hang must not occupy every thread of a server."""

_ACCEPT: Final = "image/webp, image/png, image/jpeg, image/gif"
_ENTRY_BYTES: Final = 5120
"""What an entry takes beside the image: the longest client_id, the longest URI, and what holds them."""
_MAX_LOGGED_CHARACTERS: Final = 200
_log = structlog.get_logger("tokenhouse.logos")


class ClientLogo(NamedTuple):
    """An image. `content_type` is what its first bytes say."""

    content_type: str
    body: bytes


class NotALogo(FetchError):
    """Something came back, but no image that we show."""


class _Remembered(NamedTuple):
    logo: ClientLogo | None
    fetched_at: int

    def is_fresh(self, now: int) -> bool:
        lifetime_ms = FAILURE_REMEMBERED_FOR_MS if self.logo is None else REMEMBERED_FOR_MS
        # A clock that was set back must not make a logo immortal.
        return 0 <= now - self.fetched_at < lifetime_ms


# The client and the address: another client's logo never shows, and a change of the address counts at once.
_Key = tuple[str, str]


class ClientLogos:
    """The logos of one process, remembered for an hour (a failure for a minute). Safe for its threads."""

    def __init__(self, fetcher: DocumentFetcher, clock: Clock) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._remembered: LRUCache[_Key, _Remembered] = LRUCache(maxsize=MAX_REMEMBERED_BYTES, getsizeof=_count_bytes)
        self._being_fetched: dict[_Key, threading.Lock] = {}
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(MAX_WAITING)

    def find_client_logo(self, client_id: str, logo_uri: str | None) -> ClientLogo | None:
        """The image at the client's registered `logo_uri`.

        None where there is none, it cannot be had, or too many wait for logos already: then the next request may get
        it. Fetches, so it can take `DEADLINE_S`. Does **not** check that the client exists or is enabled.
        """
        if logo_uri is None:
            return None
        key = (client_id, logo_uri)
        remembered = self._find_remembered(key)
        if remembered is not None:
            return remembered.logo
        if not self._places.acquire(blocking=False):
            return None
        try:
            with self._one_at_a_time(key):
                # Whoever waited finds what the first one fetched.
                remembered = self._find_remembered(key) or self._fetch(key)
        finally:
            self._places.release()
        return remembered.logo

    def _find_remembered(self, key: _Key) -> _Remembered | None:
        with self._lock:
            remembered = self._remembered.get(key)
        return remembered if remembered is not None and remembered.is_fresh(self._clock()) else None

    @contextmanager
    def _one_at_a_time(self, key: _Key) -> Iterator[None]:
        with self._lock:
            turn = self._being_fetched.setdefault(key, threading.Lock())
        with turn:
            try:
                yield
            finally:
                with self._lock:
                    if self._being_fetched.get(key) is turn:
                        del self._being_fetched[key]

    def _fetch(self, key: _Key) -> _Remembered:
        client_id, logo_uri = key
        logo = None
        try:
            logo = _fetch_logo(self._fetcher, logo_uri)
        except FetchError as error:
            _log.warning("no client logo", client_id=client_id[:_MAX_LOGGED_CHARACTERS], reason=error.reason)
        remembered = _Remembered(logo, self._clock())
        with self._lock:
            self._remembered[key] = remembered
        return remembered


def _fetch_logo(fetcher: DocumentFetcher, logo_uri: str) -> ClientLogo:
    document = fetcher.fetch(logo_uri, max_bytes=MAX_LOGO_BYTES, accept=_ACCEPT, deadline_s=DEADLINE_S)
    if document.status != 200:
        raise NotALogo(f"answered {document.status}")
    content_type = find_image_type(document.body)
    if content_type is None:
        raise NotALogo("is not a PNG, JPEG, GIF or WebP image")
    return ClientLogo(content_type, document.body)


def find_image_type(body: bytes) -> str | None:
    """The media type of a raster image, by its first bytes (WHATWG MIME Sniffing 6.1); None for everything else."""
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if body.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if body.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if body[:4] == b"RIFF" and body[8:14] == b"WEBPVP":
        return "image/webp"
    return None


def _count_bytes(remembered: _Remembered) -> int:
    return _ENTRY_BYTES + (len(remembered.logo.body) if remembered.logo is not None else 0)
