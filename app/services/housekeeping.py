"""What runs beside the requests: refusals are written, keys are rotated, expired rows leave in small batches.

Every process has one such thread; the work that must happen once takes a lock in the database first.
"""

import threading

import structlog

from app.services.deployment import Deployment
from app.services.identifiers import random_bytes
from app.services.keep_status_lists import keep_status_lists
from app.services.status_lists import sign_status_lists
from app.services.unused_clients import BATCH as UNUSED_BATCH
from app.services.unused_clients import remove_unused_clients
from app.storage.database import Connection, DatabaseUnavailable
from app.storage.leases import take_lease
from app.storage.purge import BATCH, purge_expired

FLUSH_EVERY_S = 0.5
ROTATE_EVERY = 20
PURGE_EVERY = 40
# At most so many batches a beat: what expired while everything was down leaves over some beats, not in one long one.
PURGE_AT_MOST = 40
KEEP_STATUS_LISTS_EVERY = 4
LEASED_FOR_MS = 10_000
# Longer than the pause between two purges, or two processes would take turns.
PURGE_LEASED_FOR_MS = 60_000
_log = structlog.get_logger("tokenhouse.housekeeping")


class Housekeeper:
    """A daemon thread with a beat of half a second."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._holder = random_bytes(12).hex()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the current piece of work."""
        self._stopped.set()
        self._thread.join(timeout=5)
        self._deployment.log.flush()

    def _run(self) -> None:
        beat = 0
        while not self._stopped.wait(FLUSH_EVERY_S):
            beat += 1
            self._deployment.log.flush()
            try:
                self._deployment.recorder.flush_refusals()
                self._deployment.recorder.flush_batched()
                self._deployment.client_uses.flush()
                self._deployment.login_watch.flush()
                self._deployment.notice_changes(at_once=True)
                sign_status_lists(self._deployment)
                if beat % KEEP_STATUS_LISTS_EVERY == 1:
                    self.keep_status_lists()
                if beat % ROTATE_EVERY == 0:
                    self._deployment.rotate_keys_if_due()
                if beat % PURGE_EVERY == 0:
                    self.purge()
                    self.remove_unused_clients()
            except DatabaseUnavailable as error:
                _log.warning("housekeeping waits", reason=str(error))
            except Exception as error:  # a bug here must not end the thread: the next beat tries again
                _log.error("housekeeping failed", error=type(error).__name__)

    def purge(self) -> int:
        """Let expired rows leave, unless another process does it; how many left.

        A transaction is one small batch per table, so that nobody who issues waits for long.
        """
        left = 0
        for _ in range(PURGE_AT_MOST):
            batch = self._purge_batch()
            left += batch
            if batch < BATCH:
                break
        return left

    def _purge_batch(self) -> int:
        settings = self._deployment.settings
        now = self._deployment.clock()

        def work(connection: Connection) -> int:
            if not take_lease(connection, "purge", holder=self._holder, now=now, expires_at=now + PURGE_LEASED_FOR_MS):
                return 0
            return purge_expired(
                connection,
                now=now,
                audit_before=now - settings.audit_retention_s * 1000,
                retries_end_before=now - settings.refresh_token_retry_window_s * 1000,
                outbox_dead_before=now - settings.outbox_retention_s * 1000,
            )

        return self._deployment.database.transact(work)

    def remove_unused_clients(self) -> int:
        """Let clients go that registered themselves and are not used, unless another process does it; how many."""
        now = self._deployment.clock()

        def work(connection: Connection) -> int:
            expires_at = now + PURGE_LEASED_FOR_MS
            if not take_lease(connection, "unused_clients", holder=self._holder, now=now, expires_at=expires_at):
                return 0
            return remove_unused_clients(self._deployment, connection, now=now)

        left = 0
        for _ in range(PURGE_AT_MOST):
            batch = self._deployment.database.transact(work)
            left += batch
            if batch < UNUSED_BATCH:
                break
        return left

    def keep_status_lists(self) -> bool:
        """Announce, close and drop status lists as far as due, unless another process does it; whether it was us."""
        now = self._deployment.clock()

        def work(connection: Connection) -> bool:
            if not take_lease(connection, "status_lists", holder=self._holder, now=now, expires_at=now + LEASED_FOR_MS):
                return False
            keep_status_lists(connection, self._deployment.seals, now=now)
            return True

        return self._deployment.database.transact(work)
