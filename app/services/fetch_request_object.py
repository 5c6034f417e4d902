"""Request objects at addresses that clients registered, fetched when a person arrives with such an address.

Nothing is remembered: what a client puts there is for one request. Few wait at a time, and fewer for one client: hosts
that hang must not occupy the threads of a server.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from app.services.fetch_document import DocumentFetcher, FetchError
from app.specs.protocol_error import InvalidRequestUri, TemporarilyUnavailable
from app.specs.rfc9101_request_objects import MAX_BYTES, MEDIA_TYPE

DEADLINE_S: Final = 3.0
MAX_WAITING: Final = 4
MAX_WAITING_FOR_ONE_CLIENT: Final = 2

_ACCEPT: Final = f"{MEDIA_TYPE}, application/jwt, application/jose"


class RequestObjectFetcher:
    """Fetches request objects, one per process; safe for its threads."""

    def __init__(self, fetcher: DocumentFetcher) -> None:
        self._fetcher = fetcher
        self._waiting: Counter[str] = Counter()
        self._lock = threading.Lock()

    def fetch(self, url: str, *, client_id: str) -> str:
        """What stands at the address, unverified. Raises `InvalidRequestUri`, or `TemporarilyUnavailable` where too
        many wait already.

        Its content type is not looked at: a signature says more.
        """
        with self._place(client_id):
            try:
                document = self._fetcher.fetch(url, max_bytes=MAX_BYTES, accept=_ACCEPT, deadline_s=DEADLINE_S)
            except FetchError as error:
                raise InvalidRequestUri("the request object cannot be fetched", detail=error.reason) from error
        if document.status != 200:
            raise InvalidRequestUri("the request object cannot be fetched", detail=f"answered {document.status}")
        try:
            return document.body.decode("ascii").strip()
        except UnicodeDecodeError as error:
            raise InvalidRequestUri("there is no request object at request_uri", detail="is not ASCII") from error

    @contextmanager
    def _place(self, client_id: str) -> Iterator[None]:
        with self._lock:
            if self._waiting.total() >= MAX_WAITING or self._waiting[client_id] >= MAX_WAITING_FOR_ONE_CLIENT:
                raise TemporarilyUnavailable(
                    "request objects are being fetched", detail="too many wait already", headers={"Retry-After": "1"}
                )
            self._waiting[client_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting[client_id] -= 1
                self._waiting += Counter()  # names that nobody waits for any more leave
