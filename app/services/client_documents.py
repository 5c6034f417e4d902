"""Clients that are a document on the web (Client ID Metadata Documents): fetched at `/authorize`, and nowhere else.

Whoever opens a link makes us fetch what the link names, so everything here is bounded: what is fetched (fetch_document,
5 KB, JSON), how often (per peer for documents that nobody has met, per host for all of them, once per address at a
time, few at a time), and what stays (a copy that leaves when it is old and nobody uses it).

What was fetched counts for as long as its host says, between a minute and a day. A host that cannot be reached fails
nobody: the copy serves for another day at `/authorize`, and without an end at `/token`, where nothing is ever fetched.
A host that answers something else than the document withdraws the client. A failure is remembered for ten seconds.
"""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
from cachetools import LRUCache

from app.features import PROFILES, Profile
from app.services.client_registry import METADATA_DOCUMENT, Client
from app.services.deployment import Deployment
from app.services.fetch_document import FetchedDocument, FetchError, FetchFailed
from app.services.limit_requests import RequestLimits
from app.services.manage_clients import canonical_policy
from app.services.record_event import Event
from app.specs.client_id_metadata_document import (
    MAX_DOCUMENT_BYTES,
    check_client_id_url,
    document_host,
    is_document_url,
    is_json_type,
    parse_client_document,
)
from app.specs.protocol_error import (
    InvalidClientMetadata,
    InvalidRedirectUri,
    InvalidRequest,
    TemporarilyUnavailable,
    TooManyRequests,
)
from app.specs.rfc7591_metadata import ClientMetadata
from app.specs.rfc9111_caching import find_freshness_s
from app.storage import changes
from app.storage.client_documents import (
    StoredDocument,
    count_documents,
    delete_unused_documents,
    find_document,
    insert_document,
    renew_document,
    set_metadata,
    set_policy,
)
from app.storage.clients import find_client_by_pk, insert_client, lock_client
from app.storage.conflicts import AlreadyTaken
from app.storage.database import Connection
from app.storage.resources import find_resource

SHORTEST_FRESH_S: Final = 60
USUAL_FRESH_S: Final = 300
LONGEST_FRESH_S: Final = 86_400
STALE_FOR_MS: Final = 86_400_000
"""How long a copy goes on serving at `/authorize` after it has ceased to be fresh, while its host cannot be reached."""
FAILURE_REMEMBERED_FOR_MS: Final = 10_000
DEADLINE_S: Final = 4.0
MAX_WAITING: Final = 6
MAX_WAITING_FOR_ONE_HOST: Final = 4
"""How many requests may wait at a time: hosts that hang must not occupy every thread, nor one of them every place."""
MAX_DOCUMENTS: Final = 10_000
"""How many such clients are kept. Each is a page on the web, and those that nobody uses leave after two days, or
earlier where somebody else needs the place."""
LEAVE_AT_ONCE: Final = 50
"""So that the others' caches, which this empties, are emptied for every fiftieth newcomer only."""

_ACCEPT: Final = "application/json"
_MAX_LOGGED_CHARACTERS: Final = 200
_NOT_HAD: Final = "the client's metadata document cannot be had from its address"
_log = structlog.get_logger("tokenhouse.client_documents")


class Unreachable(Exception):
    """The document may be there later; until then an older copy serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetched:
    metadata: ClientMetadata
    digest: bytes
    fresh_for_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    description: str
    detail: str
    is_passing: bool
    at: int

    def as_error(self) -> InvalidRequest | Unreachable:
        """Made anew each time: an exception that is kept keeps the frames of everybody who raised it."""
        return (
            Unreachable(self.description) if self.is_passing else InvalidRequest(self.description, detail=self.detail)
        )


class ClientDocuments:
    """The door through which a client_id that is a URL becomes a client. One per process; safe for its threads."""

    def __init__(self, deployment: Deployment, limits: RequestLimits) -> None:
        self._deployment = deployment
        self._limits = limits
        self._is_on = "client_id_metadata_documents" in deployment.settings.feature_names
        policy = deployment.settings.client_id_metadata_documents_policy
        self._policy = {} if policy is None else policy.model_dump(mode="json", exclude_defaults=True)
        self._failures: LRUCache[str, _Failure] = LRUCache(maxsize=1000)
        self._being_fetched: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()

    def find_client(self, client_id: str, *, address: str) -> Client | None:
        """The client, disabled ones too; fetched where it is a document and no fresh copy is here.

        Raises `InvalidRequest` for a document that is not one, `TooManyRequests` and `TemporarilyUnavailable` for
        another time, `BrokenClient`. `address`: of the peer that asks.
        """
        if not self._is_on or not is_document_url(client_id):
            return self._deployment.registry.find_client(client_id)
        stored = self._find_stored(client_id)
        if stored is None or self._is_due(stored):
            check_client_id_url(client_id)
            return self._renew(client_id, stored, address)
        return self._find_known(stored)

    # ----- Whether to ask -----

    def _find_stored(self, client_id: str) -> StoredDocument | None:
        with self._deployment.database.reading() as connection:
            return find_document(connection, client_id)

    def _find_known(self, stored: StoredDocument) -> Client | None:
        """The client as it is stored: a copy that left, and came again from another process, may be remembered."""
        row, registry = stored.client, self._deployment.registry
        known = registry.find_client(row.client_id)
        if row.origin != METADATA_DOCUMENT or row.removed_at is not None:
            return known
        client = registry.read_client(row)
        if known != client:
            # The whole of it is compared: SQLite gives the key of a row that left to the next one.
            registry.forget_client(row.client_id)
        return client

    def _is_due(self, stored: StoredDocument) -> bool:
        """Whether the copy is not fresh. What an operator made, disabled or removed is never asked for."""
        row = stored.client
        if row.origin != METADATA_DOCUMENT or row.disabled_at is not None or row.removed_at is not None:
            return False
        # A clock that was set back must not make a copy immortal.
        return not stored.fetched_at <= self._deployment.clock() < stored.fresh_until

    def _renew(self, client_id: str, stored: StoredDocument | None, address: str) -> Client | None:
        stale = stored if stored is not None and self._may_serve(stored) else None
        try:
            return self._fetch_once(client_id, stored, address)
        except (Unreachable, TemporarilyUnavailable) as error:
            if stale is not None:
                return self._deployment.registry.read_client(stale.client)
            if isinstance(error, TemporarilyUnavailable):
                raise
            raise InvalidRequest(_NOT_HAD, detail=str(error)) from error

    def _may_serve(self, stored: StoredDocument) -> bool:
        now = self._deployment.clock()
        return stored.fetched_at <= now < stored.fresh_until + STALE_FOR_MS

    def _fetch_once(self, client_id: str, stored: StoredDocument | None, address: str) -> Client | None:
        self._check_not_failed_lately(client_id)
        with self._place(document_host(client_id)), self._one_at_a_time(client_id):
            # Whoever waited finds what the first one fetched, or that there is nothing to be had.
            self._check_not_failed_lately(client_id)
            newer = self._find_stored(client_id)
            if newer is not None and not self._is_due(newer):
                return self._find_known(newer)
            self._check_limits(client_id, is_new=stored is None, address=address)
            return self._fetch(client_id)

    @contextmanager
    def _place(self, host: str) -> Iterator[None]:
        with self._lock:
            if self._waiting.total() >= MAX_WAITING or self._waiting[host] >= MAX_WAITING_FOR_ONE_HOST:
                raise TemporarilyUnavailable("try again in a moment", headers={"Retry-After": "1"})
            self._waiting[host] += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting[host] -= 1
                self._waiting += Counter()  # hosts that nobody waits for any more leave

    def _check_not_failed_lately(self, client_id: str) -> None:
        with self._lock:
            failure = self._failures.get(client_id)
        if failure is not None and 0 <= self._deployment.clock() - failure.at < FAILURE_REMEMBERED_FOR_MS:
            raise failure.as_error()

    def _check_limits(self, client_id: str, *, is_new: bool, address: str) -> None:
        wait_s = self._limits.count_new_document(address) if is_new else None
        if wait_s is not None:
            raise TooManyRequests(
                "too many applications that nobody has met here", headers={"Retry-After": str(wait_s)}
            )
        wait_s = self._limits.count_fetch(document_host(client_id))
        if wait_s is not None:
            raise TemporarilyUnavailable("try again in a moment", headers={"Retry-After": str(wait_s)})

    @contextmanager
    def _one_at_a_time(self, client_id: str) -> Iterator[None]:
        with self._lock:
            turn = self._being_fetched.setdefault(client_id, threading.Lock())
        with turn:
            try:
                yield
            finally:
                with self._lock:
                    if self._being_fetched.get(client_id) is turn:
                        del self._being_fetched[client_id]

    # ----- Asking, and keeping what came -----

    def _fetch(self, client_id: str) -> Client | None:
        try:
            fetched = _read(client_id, self._ask(client_id), self._policy)
        except (InvalidRequest, Unreachable) as error:
            self._remember_failure(client_id, error)
            raise
        with self._lock:
            self._failures.pop(client_id, None)
        try:
            return self._store(client_id, fetched)
        except AlreadyTaken:
            # Another process was faster by a moment.
            self._deployment.registry.forget_client(client_id)
            return self._deployment.registry.find_client(client_id)

    def _remember_failure(self, client_id: str, error: InvalidRequest | Unreachable) -> None:
        is_passing = isinstance(error, Unreachable)
        description = _NOT_HAD if isinstance(error, Unreachable) else error.description
        detail = str(error) if isinstance(error, Unreachable) else error.detail
        _log.warning("no client document", client_id=client_id[:_MAX_LOGGED_CHARACTERS], reason=detail or description)
        failure = _Failure(description=description, detail=detail, is_passing=is_passing, at=self._deployment.clock())
        with self._lock:
            self._failures[client_id] = failure

    def _ask(self, client_id: str) -> FetchedDocument:
        try:
            answer = self._deployment.fetcher.fetch(
                client_id, max_bytes=MAX_DOCUMENT_BYTES, accept=_ACCEPT, deadline_s=DEADLINE_S
            )
        except FetchFailed as error:
            raise Unreachable(error.reason) from error
        except FetchError as error:
            # One sentence for all that cannot be had: which of our addresses answers is nobody's business.
            raise InvalidRequest(_NOT_HAD, detail=error.reason) from error
        if answer.status >= 500 or answer.status == 429:
            raise Unreachable(f"answered {answer.status}")
        return answer

    def _store(self, client_id: str, fetched: _Fetched) -> Client | None:
        now = self._deployment.clock()
        times = {"fetched_at": now, "fresh_until": now + fetched.fresh_for_s * 1000}

        def work(connection: Connection) -> Client | None:
            policy = canonical_policy(connection, self._policy)
            known = find_document(connection, client_id)
            is_news = known is not None and (known.digest != fetched.digest or known.client.policy != policy)
            if is_news:
                # Before the client's own row: all who change clients lock in this order.
                changes.bump(connection, "clients")
            row = lock_client(connection, client_id)
            if row is None:
                return self._insert(connection, client_id, fetched, times)
            if row.origin != METADATA_DOCUMENT or row.disabled_at is not None or row.removed_at is not None:
                # An operator was faster by a moment.
                return None if row.removed_at is not None else self._deployment.registry.read_client(row)
            renew_document(connection, row.id, digest=fetched.digest, **times)
            if not is_news:
                return self._deployment.registry.read_client(row)
            if row.policy != policy:
                set_policy(connection, row.id, policy)
            set_metadata(connection, row.id, _to_stored(fetched.metadata))
            self._record(connection, "client.document_changed", client_id)
            return self._deployment.registry.read_client(find_client_by_pk(connection, row.id) or row)

        client = self._deployment.database.transact(work)
        self._deployment.registry.forget_client(client_id)
        return client

    def _insert(
        self, connection: Connection, client_id: str, fetched: _Fetched, times: dict[str, int]
    ) -> Client | None:
        if find_resource(connection, client_id) is not None:
            raise InvalidRequest("the client is not known here", detail="client_id is the identifier of a resource")
        if not self._makes_room(connection):
            raise TemporarilyUnavailable(
                "no further application can be met at present",
                detail=f"{MAX_DOCUMENTS} client metadata documents are stored",
                headers={"Retry-After": "3600"},
            )
        client_pk = insert_client(
            connection,
            client_id=client_id,
            metadata=_to_stored(fetched.metadata),
            policy=canonical_policy(connection, self._policy),
            security_profile=_strictest(self._deployment.profile),
            created_at=times["fetched_at"],
            origin=METADATA_DOCUMENT,
        )
        insert_document(connection, client_pk, digest=fetched.digest, **times)
        self._record(connection, "client.document_met", client_id)
        row = find_client_by_pk(connection, client_pk)
        return None if row is None else self._deployment.registry.read_client(row)

    def _makes_room(self, connection: Connection) -> bool:
        """Whether one more may be kept; where all places are taken, the oldest that nobody uses leave for it."""
        if count_documents(connection) < MAX_DOCUMENTS:
            return True
        delete_unused_documents(connection, at_most=LEAVE_AT_ONCE)
        # Counted again: another process may have made room meanwhile, or filled it.
        return count_documents(connection) < MAX_DOCUMENTS

    def _record(self, connection: Connection, event_type: str, client_id: str) -> None:
        body = {"host": document_host(client_id)}
        self._deployment.recorder.record(
            connection, Event(type=event_type, actor="client", client_id=client_id, body=body)
        )


def _read(client_id: str, answer: FetchedDocument, policy: Mapping[str, Any]) -> _Fetched:
    # Section 5: "The authorization server MUST treat any response other than 200 OK as an error".
    if answer.status != 200:
        raise InvalidRequest(_NOT_HAD, detail=f"answered {answer.status}")
    if not is_json_type(answer.content_type):
        raise InvalidRequest("the client's metadata document is not JSON", detail=f"{answer.content_type!r:.200}")
    digest = hashlib.sha256(answer.body).digest()
    try:
        metadata = parse_client_document(answer.body, client_id=client_id, policy=policy)
    except (InvalidClientMetadata, InvalidRedirectUri) as error:
        raise InvalidRequest(
            f"the client's metadata document is not valid: {error.description}",
            detail=error.detail,
            differences=error.differences,
        ) from error
    fresh_for_s = find_freshness_s(
        answer.cache_control, default_s=USUAL_FRESH_S, least_s=SHORTEST_FRESH_S, most_s=LONGEST_FRESH_S
    )
    return _Fetched(metadata=metadata, digest=digest, fresh_for_s=fresh_for_s)


def _strictest(server: Profile) -> Profile:
    """Nobody vouches for a document, so nothing is ever loosened for it."""
    profiles: tuple[Profile, ...] = ("oauth21", server)
    return max(profiles, key=lambda name: PROFILES[name].strictness)


def _to_stored(metadata: ClientMetadata) -> dict[str, object]:
    document = metadata.to_document()
    document.pop("client_id", None)
    document.pop("policy", None)
    return document
