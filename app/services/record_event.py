"""What happened, told once: an audit row in the transaction that did it, a log line and a metric after its commit.

Refusals of callers who have proven nothing go through `refuse`: they wait in a bounded queue and are written in
batches, because junk must not own the only writer; what does not fit is counted, not stored. Where the operator chose
it, machines' tokens go through `record_in_batches`: they wait too, but whoever finds the queue full or late writes it
first, so that what a crash can take is bounded and nothing is dropped.
"""

import os
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson
from cachetools import LRUCache
from prometheus_client import Counter

from app.services.clock import Clock
from app.services.identifiers import random_bytes
from app.services.seals import Seals, seal_under, unseal_under
from app.services.write_log import LogLines
from app.storage.audit import AuditRow, insert_audit_rows
from app.storage.database import Connection, Database, DatabaseUnavailable, after_commit
from app.storage.users import find_user_by_sub

SCHEMA_VERSION = 1
_TABLE = "audit_events"
_PURPOSE = "audit_events"
_QUEUE_LENGTH = 2000
_BATCH = 200
# What a crash can take of the events that are recorded in batches: those of about a second, and as many as wait here
# while as many more are being written. The README says so.
_MOST_IN_BATCH = 500
_LONGEST_WAIT_MS = 1000

EVENTS = Counter("tokenhouse_events_total", "What happened, by the type of the audit event.", ["type"])
REFUSALS_DROPPED = Counter("tokenhouse_refusals_dropped_total", "Refusals that were counted but not stored.")


@cache
def _counter(event_type: str) -> Counter:
    return EVENTS.labels(event_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. `personal` is sealed under the person's own key; `body` must name nobody."""

    type: str
    actor: str
    sub: str | None = None
    client_id: str | None = None
    grant_id: str | None = None
    incident: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    personal: Mapping[str, str] = field(default_factory=dict)


class EventRecorder:
    """`record_event`, with what it needs: the seals, the clock, the log."""

    def __init__(self, database: Database, seals: Seals, clock: Clock, log: LogLines) -> None:
        self._database = database
        self._seals = seals
        self._clock = clock
        self._log = log
        self._person_keys: LRUCache[str, bytes] = LRUCache(maxsize=4096)
        self._person_keys_lock = threading.Lock()
        self._waiting: deque[tuple[int, Event]] = deque()
        self._waiting_lock = threading.Lock()
        self._batched: deque[tuple[int, Event]] = deque()
        self._batched_lock = threading.Lock()
        self._writing_batch = threading.Lock()

    def record(self, connection: Connection, event: Event) -> None:
        """One row now, in the caller's transaction; the log line and the metric only if it commits."""
        now = self._clock()
        insert_audit_rows(connection, (self._row(connection, event, at=now),))
        after_commit(connection, lambda: self._tell(event))

    def refuse(self, event: Event) -> None:
        """Remember a refusal for the next batch, and tell it at once. Never blocks on the database."""
        with self._waiting_lock:
            if len(self._waiting) < _QUEUE_LENGTH:
                self._waiting.append((self._clock(), event))
            else:
                REFUSALS_DROPPED.inc()
        self._tell(event)

    def flush_refusals(self) -> int:
        """Write one batch of waiting refusals and return how many. What cannot be written waits on."""
        with self._waiting_lock:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
        if not batch:
            return 0
        try:
            self._database.transact(
                lambda connection: insert_audit_rows(
                    connection, [self._row(connection, event, at=at) for at, event in batch]
                )
            )
        except DatabaseUnavailable:
            with self._waiting_lock:
                self._waiting.extendleft(reversed(batch))
            return 0
        return len(batch)

    def record_in_batches(self, event: Event) -> None:
        """Remember an event for the next batch. Raises `DatabaseUnavailable` where one is due and cannot be kept."""
        now = self._clock()
        if self._batch_is_due(now):
            with self._writing_batch:
                # Whoever waited for the lock finds that the other one has written it.
                if self._batch_is_due(now):
                    self._write_batch()
        with self._batched_lock:
            self._batched.append((now, event))
        self._tell(event)

    def flush_batched(self) -> int:
        """Write the events that wait for their batch and return how many. Raises `DatabaseUnavailable`."""
        with self._writing_batch:
            return self._write_batch()

    def _batch_is_due(self, now: int) -> bool:
        with self._batched_lock:
            return len(self._batched) >= _MOST_IN_BATCH or (
                len(self._batched) > 0 and now - self._batched[0][0] >= _LONGEST_WAIT_MS
            )

    def _write_batch(self) -> int:
        with self._batched_lock:
            batch, self._batched = self._batched, deque()
        if not batch:
            return 0

        def write(connection: Connection) -> None:
            insert_audit_rows(connection, [self._row(connection, event, at=at) for at, event in batch])

        try:
            self._database.transact(write)
        except BaseException:
            with self._batched_lock:
                self._batched.extendleft(reversed(batch))
            raise
        return len(batch)

    def read_personal(self, connection: Connection, row: AuditRow) -> dict[str, str]:
        """The sealed part of an event; empty when the person's key was destroyed."""
        if row.sealed_personal is None:
            return {}
        kind, sealed = row.sealed_personal[:1], row.sealed_personal[1:]
        place = row.event_id.hex()
        if kind == b"p":
            key = self._person_key(connection, row.sub)
            if key is None:
                return {}
            opened = unseal_under(key, sealed, table=_TABLE, row=place, purpose=_PURPOSE)
        else:
            key_id, _, sealed = sealed.partition(b"\0")
            opened = self._seals.unseal(_PURPOSE, sealed, key_id.decode(), table=_TABLE, row=place)
        personal: dict[str, str] = orjson.loads(opened)
        return personal

    def seal_for_person(
        self, connection: Connection, sub: str, personal: Mapping[str, str], *, table: str, row: str
    ) -> bytes | None:
        """What only its owner's pages show, sealed so that it goes when they are erased; None for who has no key."""
        key = self._person_key(connection, sub)
        plaintext = orjson.dumps(dict(personal), option=orjson.OPT_SORT_KEYS)
        return None if key is None else seal_under(key, plaintext, table=table, row=row, purpose=_PURPOSE)

    def open_for_person(
        self, connection: Connection, sub: str, sealed: bytes | None, *, table: str, row: str
    ) -> dict[str, str]:
        """What `seal_for_person` sealed; empty where nothing was, or the key is gone."""
        key = None if sealed is None else self._person_key(connection, sub)
        if key is None or sealed is None:
            return {}
        personal: dict[str, str] = orjson.loads(unseal_under(key, sealed, table=table, row=row, purpose=_PURPOSE))
        return personal

    def forget_person(self, sub: str) -> None:
        """The person's key was destroyed: do not go on with a copy of it."""
        with self._person_keys_lock:
            self._person_keys.pop(sub, None)

    def forget_people(self) -> None:
        """Some person's key may have been destroyed by another process: read every key anew."""
        with self._person_keys_lock:
            self._person_keys.clear()

    def _row(self, connection: Connection, event: Event, *, at: int) -> AuditRow:
        event_id = uuid7_bytes(at)
        body = {"actor": event.actor, **event.body}
        return AuditRow(
            event_id=event_id,
            at=at,
            type=event.type,
            schema_version=SCHEMA_VERSION,
            sub=event.sub,
            client_id=event.client_id,
            grant_id=event.grant_id,
            incident=event.incident,
            body=orjson.dumps(body, option=orjson.OPT_SORT_KEYS),
            sealed_personal=self._seal_personal(connection, event, event_id.hex()) if event.personal else None,
        )

    def _seal_personal(self, connection: Connection, event: Event, place: str) -> bytes:
        plaintext = orjson.dumps(dict(event.personal), option=orjson.OPT_SORT_KEYS)
        key = self._person_key(connection, event.sub)
        if key is not None:
            return b"p" + seal_under(key, plaintext, table=_TABLE, row=place, purpose=_PURPOSE)
        sealed, key_id = self._seals.seal(_PURPOSE, plaintext, table=_TABLE, row=place)
        return b"d" + key_id.encode() + b"\0" + sealed

    def _person_key(self, connection: Connection, sub: str | None) -> bytes | None:
        if sub is None:
            return None
        with self._person_keys_lock:
            key = self._person_keys.get(sub)
        if key is not None:
            return key
        user = find_user_by_sub(connection, sub)
        if user is None or user.sealed_audit_key is None or user.seal_key_id is None:
            return None
        key = self._seals.unseal(_PURPOSE, user.sealed_audit_key, user.seal_key_id, table="users", row=sub)
        with self._person_keys_lock:
            self._person_keys[sub] = key
        return key

    def _tell(self, event: Event) -> None:
        _counter(event.type).inc()
        # The log names no person beyond the pseudonymous `sub`; addresses and names are in the sealed part only.
        self._log.write(
            {
                "event": event.type,
                "actor": event.actor,
                "sub": event.sub,
                "client_id": event.client_id,
                "grant_id": event.grant_id,
                "incident": event.incident,
                **{f"event_{name}": value for name, value in event.body.items()},
            }
        )


def make_person_key(seals: Seals, sub: str) -> tuple[bytes, str]:
    """A new sealed key for what the audit trail says of a person, and the id of the key that seals it."""
    return seals.seal(_PURPOSE, os.urandom(32), table="users", row=sub)


def uuid7_bytes(at: int) -> bytes:
    """A UUIDv7 (RFC 9562 5.7) of the given millisecond: sorts by time."""
    random_part = bytearray(random_bytes(10))
    random_part[0] = 0x70 | (random_part[0] & 0x0F)
    random_part[2] = 0x80 | (random_part[2] & 0x3F)
    return at.to_bytes(6, "big") + bytes(random_part)
