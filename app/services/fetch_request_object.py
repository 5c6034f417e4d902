"""Request objects at addresses that clients registered, fetched when a person arrives with such an address.

What comes is not remembered: what a client puts there is for one request. Few are fetched at a time, fewer for one
client and one for each peer that asks, because anybody may ask; who finds no place waits a moment for one. A host that
could not be reached is left alone for a while. Hosts that hang must not occupy the threads of a server.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cachetools import TTLCache

from app.services.fetch_document import DocumentFetcher, FetchedDocument, FetchError, FetchFailed
from app.services.whereabouts import network_of
from app.specs.protocol_error import InvalidRequestUri, TemporarilyUnavailable
from app.specs.rfc9101_request_objects import MAX_BYTES, MEDIA_TYPE

DEADLINE_S: Final = 3.0
MAX_WAITING: Final = 4
MAX_WAITING_FOR_ONE_CLIENT: Final = 2
MAX_WAITING_FOR_ONE_PEER: Final = 1
PATIENCE_S: Final = 1.0
LEFT_ALONE_FOR_S: Final = 5.0
MAX_REMEMBERED: Final = 1000

_ACCEPT: Final = f"{MEDIA_TYPE}, application/jwt, application/jose"


class RequestObjectFetcher:
    """Fetches request objects, one per process; safe for its threads."""

    def __init__(self, fetcher: DocumentFetcher) -> None:
        self._fetcher = fetcher
        self._by_client: Counter[str] = Counter()
        self._by_peer: Counter[str] = Counter()
        self._unreachable: TTLCache[tuple[str, str], str] = TTLCache(MAX_REMEMBERED, ttl=LEFT_ALONE_FOR_S)
        self._lock = threading.Condition()

    def fetch(self, url: str, *, client_id: str, address: str) -> str:
        """What stands at the URL, unverified. Raises `InvalidRequestUri`, or `TemporarilyUnavailable` where too many
        wait already. `address`: of the peer that asks.

        Its content type is not looked at: a signature says more.
        """
        with self._place(client_id, network_of(address)):
            try:
                document = self._fetch(url, client_id)
            except FetchError as error:
                raise InvalidRequestUri("the request object cannot be fetched", detail=error.reason) from error
        if document.status != 200:
            raise InvalidRequestUri("the request object cannot be fetched", detail=f"answered {document.status}")
        try:
            return document.body.decode("ascii").strip()
        except UnicodeDecodeError as error:
            raise InvalidRequestUri("there is no request object at request_uri", detail="is not ASCII") from error

    def _fetch(self, url: str, client_id: str) -> FetchedDocument:
        with self._lock:
            reason = self._unreachable.get((client_id, url))
        if reason is not None:
            raise FetchFailed(f"could not be fetched a moment ago: {reason}")
        try:
            return self._fetcher.fetch(url, max_bytes=MAX_BYTES, accept=_ACCEPT, deadline_s=DEADLINE_S)
        except FetchFailed as error:
            with self._lock:
                self._unreachable[client_id, url] = error.reason
            raise

    @contextmanager
    def _place(self, client_id: str, peer: str) -> Iterator[None]:
        with self._lock:
            if not self._lock.wait_for(lambda: self._has_place(client_id, peer), PATIENCE_S):
                raise TemporarilyUnavailable(
                    "request objects are being fetched", detail="too many wait already", headers={"Retry-After": "1"}
                )
            self._by_client[client_id] += 1
            self._by_peer[peer] += 1
        try:
            yield
        finally:
            with self._lock:
                self._by_client[client_id] -= 1
                self._by_peer[peer] -= 1
                # Names that nobody waits for any more leave.
                self._by_client += Counter()
                self._by_peer += Counter()
                self._lock.notify_all()

    def _has_place(self, client_id: str, peer: str) -> bool:
        return (
            self._by_client.total() < MAX_WAITING
            and self._by_client[client_id] < MAX_WAITING_FOR_ONE_CLIENT
            and self._by_peer[peer] < MAX_WAITING_FOR_ONE_PEER
        )
