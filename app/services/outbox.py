"""Telling others what happened, after it has happened: at least once, and never in the way of a request.

Whoever makes something true writes the message into the outbox in the same transaction (`enqueue`). A dispatcher in
each process takes what is due, hands it to the sender of its kind, and forgets it once it has arrived. A claim ends by
itself, so that what a killed process had in its hands is taken up by another. Failures come back with growing pauses,
until the message's time is over; then it is dead, and the operator sees it (`tokenhouse outbox list`).
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog
from prometheus_client import Counter

from app.services.deployment import Deployment
from app.services.record_event import Event, uuid7_bytes
from app.services.seals import SealError, Seals, seal_under, unseal_under
from app.storage import outbox
from app.storage.database import Connection, DatabaseUnavailable, after_commit
from app.storage.outbox import OutboxRow

_TABLE: Final = "outbox"
_PURPOSE: Final = "outbox"
# One failure may be a restart; an hour is how late somebody may hear of it who was away for a day.
FIRST_PAUSE_MS: Final = 5_000
LONGEST_PAUSE_MS: Final = 3_600_000
# Longer than whatever a claimed message waits for its turn and then takes: see `_CLAIMED_PER_SENDER`.
CLAIMED_FOR_MS: Final = 60_000
_CLAIMED_PER_SENDER: Final = 4
_LOOK_EVERY_S: Final = 0.5
_GATHER_S: Final = 0.25
_BURY_EVERY: Final = 20
_MOST_BURIED: Final = 200
_MOST_ERROR_CHARACTERS: Final = 300

DELIVERIES = Counter("tokenhouse_outbox_deliveries_total", "Attempts to deliver a message.", ["kind", "outcome"])
_log = structlog.get_logger("tokenhouse.outbox")


class DeliveryFailed(Exception):
    """The message did not arrive; the reason is for the operator."""


class DeliveryRefused(DeliveryFailed):
    """It never will: there is nobody at that address. It is not tried again by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is to be told. `recipient` is what waits for each other; `client_pk` where it is a client of ours."""

    kind: str
    recipient: str
    body: Mapping[str, Any] = field(repr=False)
    client_pk: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message in the hands of its sender. `attempt` counts from 1."""

    message_id: bytes
    recipient: str
    body: Mapping[str, Any] = field(repr=False)
    attempt: int


Sender = Callable[[Delivery], None]
"""Delivers, or raises `DeliveryFailed`; takes at most some ten seconds."""


def enqueue(deployment: Deployment, connection: Connection, messages: list[Message], *, now: int) -> None:
    """Write messages in the caller's transaction; they leave once it has committed."""
    expires_at = now + deployment.settings.outbox_deadline_s * 1000
    outbox.insert_messages(
        connection, [_seal(deployment.seals, message, now=now, expires_at=expires_at) for message in messages]
    )
    if messages:
        after_commit(connection, deployment.outbox_changed.set)


def open_body(seals: Seals, row: OutboxRow) -> dict[str, Any]:
    """What a message says. Raises `SealError`."""
    key = seals.derive_key(row.seal_key_id, _PURPOSE)
    body: dict[str, Any] = orjson.loads(
        unseal_under(key, row.sealed_body, table=_TABLE, row=row.message_id.hex(), purpose=row.kind)
    )
    return body


def _seal(seals: Seals, message: Message, *, now: int, expires_at: int) -> OutboxRow:
    message_id = uuid7_bytes(now)
    # From the digest key, so that deployments made before there was an outbox have it too.
    key_id = seals.digest_key_id
    key = seals.derive_key(key_id, _PURPOSE)
    return OutboxRow(
        message_id=message_id,
        kind=message.kind,
        client_pk=message.client_pk,
        recipient=message.recipient,
        sealed_body=seal_under(
            key, orjson.dumps(message.body), table=_TABLE, row=message_id.hex(), purpose=message.kind
        ),
        seal_key_id=key_id,
        created_at=now,
        expires_at=expires_at,
        attempts=0,
        next_attempt_at=now,
        claimed_until=None,
        last_error=None,
        dead_at=None,
    )


def pause_ms(attempts: int) -> int:
    """How long to wait after so many failures: doubling, with jitter, so that nodes and recipients spread."""
    longest = min(FIRST_PAUSE_MS * 2 ** min(attempts - 1, 20), LONGEST_PAUSE_MS)
    return int(longest * random.uniform(0.8, 1.2))  # noqa: S311 - not a secret


@dataclass(frozen=True, slots=True)
class _Outcome:
    row: OutboxRow
    error: str | None
    is_final: bool = False


class Pace:
    """How many may leave now: a few at once, and then so many a second.

    A logout of thousands must not be what the server is occupied with. Durations come from the monotonic clock.
    """

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._allowance = float(per_s)
        self._counted_at = time.monotonic()

    def limit(self, wanted: int) -> int:
        """At most `wanted`, never less than none."""
        now = time.monotonic()
        self._allowance = min(float(self._per_s), self._allowance + (now - self._counted_at) * self._per_s)
        self._counted_at = now
        return max(0, min(wanted, int(self._allowance)))

    def take(self) -> None:
        """One leaves."""
        self._allowance -= 1


class OutboxDispatcher:
    """One thread that looks and writes, and some that deliver: no request and no transaction waits for any of them.

    What was learnt meanwhile is written with the next claim, in one transaction.
    """

    def __init__(self, deployment: Deployment, senders: Mapping[str, Sender]) -> None:
        self._deployment = deployment
        self._senders = senders
        self._places = deployment.settings.outbox_senders
        self._outcomes: deque[_Outcome] = deque()
        self._in_hand = 0
        self._is_busy = False
        self._pace = Pace(deployment.settings.outbox_deliveries_per_s)
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(self._places, thread_name_prefix="outbox sender")
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End. What is on its way is waited for a moment; else whoever comes next delivers it again."""
        self._stopped.set()
        self._deployment.outbox_changed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        beat = 0
        while not self._stopped.is_set():
            try:
                if beat % _BURY_EVERY == 0:
                    self._bury_expired()
                beat += 1
                self._work()
            except DatabaseUnavailable as error:
                _log.warning("the outbox waits", reason=str(error))
                self._stopped.wait(_LOOK_EVERY_S)
            except Exception as error:  # a bug here must not end the thread: the next beat tries again
                _log.error("the outbox failed", error=type(error).__name__)
                self._stopped.wait(_LOOK_EVERY_S)
        with suppress(DatabaseUnavailable):
            self._settle(most=0)

    def _work(self) -> None:
        self._deployment.outbox_changed.wait(_LOOK_EVERY_S)
        self._deployment.outbox_changed.clear()
        if self._is_busy:
            # Outcomes come one by one; a transaction for each would be as many commits, and as many looks for what
            # comes next among thousands.
            self._stopped.wait(_GATHER_S)
        room = self._pace.limit(self._places * _CLAIMED_PER_SENDER - self._in_hand)
        if not self._outcomes and (room == 0 or not self._has_due()):
            return
        claimed = self._settle(most=room)
        self._is_busy = len(claimed) > 1
        for row in claimed:
            self._in_hand += 1
            self._pace.take()
            with suppress(RuntimeError):  # the pool was shut down a moment ago
                self._pool.submit(self._deliver, row)

    def _has_due(self) -> bool:
        with self._deployment.database.reading() as connection:
            return outbox.has_due(connection, now=self._deployment.clock())

    def _settle(self, *, most: int) -> tuple[OutboxRow, ...]:
        """Write what came of the last deliveries, and claim at most so many."""
        outcomes = [self._outcomes.popleft() for _ in range(len(self._outcomes))]
        now = self._deployment.clock()

        def write(connection: Connection) -> tuple[OutboxRow, ...]:
            delivered = [outcome.row for outcome in outcomes if outcome.error is None]
            outbox.delete_messages(connection, [row.message_id for row in delivered])
            waited = {row.recipient for row in delivered if row.next_attempt_at != row.created_at}
            outbox.release_recipients(connection, sorted(waited), now=now)
            for outcome in outcomes:
                if outcome.error is not None:
                    self._note_failure(connection, outcome, outcome.error, now=now)
            if most == 0:
                return ()
            return outbox.claim_messages(
                connection, kinds=self._senders, most=most, now=now, claimed_until=now + CLAIMED_FOR_MS
            )

        try:
            claimed = self._deployment.database.transact(write)
        except BaseException:
            self._outcomes.extendleft(reversed(outcomes))
            raise
        self._in_hand -= len(outcomes)
        return claimed

    def _note_failure(self, connection: Connection, outcome: _Outcome, error: str, *, now: int) -> None:
        row = outcome.row
        next_attempt_at = now + pause_ms(row.attempts + 1)
        if not outcome.is_final and next_attempt_at < row.expires_at:
            outbox.postpone(connection, row, error=error, next_attempt_at=next_attempt_at)
            return
        outbox.bury(connection, row, error=error, now=now)
        self._tell_of_death(connection, row, attempts=row.attempts + 1, error=error)

    def _bury_expired(self) -> None:
        now = self._deployment.clock()

        def bury(connection: Connection) -> None:
            for row in outbox.bury_expired(connection, now=now, most=_MOST_BURIED):
                self._tell_of_death(connection, row, attempts=row.attempts, error=row.last_error or "")

        self._deployment.database.transact(bury)

    def _tell_of_death(self, connection: Connection, row: OutboxRow, *, attempts: int, error: str) -> None:
        body = {"message": row.message_id.hex(), "kind": row.kind, "attempts": attempts, "error": error}
        # A client of ours is its own recipient.
        client_id = None if row.client_pk is None else row.recipient
        event = Event(type="outbox.dead", actor="server", client_id=client_id, body=body)
        self._deployment.recorder.record(connection, event)

    def _deliver(self, row: OutboxRow) -> None:
        outcome = _Outcome(row, "the server failed")
        try:
            outcome = self._attempt(row)
        finally:
            DELIVERIES.labels(row.kind, "delivered" if outcome.error is None else "failed").inc()
            self._outcomes.append(outcome)
            self._deployment.outbox_changed.set()

    def _attempt(self, row: OutboxRow) -> _Outcome:
        self._deployment.failpoint(f"outbox.before_delivery.{row.kind}")
        try:
            delivery = Delivery(
                message_id=row.message_id,
                recipient=row.recipient,
                body=open_body(self._deployment.seals, row),
                attempt=row.attempts + 1,
            )
            self._senders[row.kind](delivery)
        except (DeliveryFailed, SealError, DatabaseUnavailable) as failure:
            is_final = isinstance(failure, DeliveryRefused)
            return _Outcome(row, f"{failure}"[:_MOST_ERROR_CHARACTERS], is_final)
        except Exception as bug:
            _log.error("a sender failed", kind=row.kind, error=type(bug).__name__)
            return _Outcome(row, f"the server failed: {type(bug).__name__}")
        self._deployment.failpoint(f"outbox.after_delivery.{row.kind}")
        return _Outcome(row, None)
