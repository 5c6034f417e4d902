"""Credential stuffing: passwords from elsewhere, tried on many accounts, each only once or twice.

No counter of a single account sees it, so the site looks at itself. Every process counts its logins in memory and adds
them to the database with each beat of housekeeping, in slots of five minutes that stay for eight days (2,304 narrow
rows). The alarm is raised when failures on unknown devices, within the last ten minutes,

- are at least `stuffing_alarm_failures`, and
- five times what is usual here (the mean of the seven days before), and
- at least half of all logins, those on known devices included.

While it is on, and for half an hour after, unknown devices have a quarter of the guesses that they have otherwise.
Known devices and passkeys notice nothing of it.
"""

import threading
from typing import Final

from prometheus_client import Counter

from app.services.clock import Clock
from app.services.record_event import Event, EventRecorder
from app.services.seals import Seals
from app.storage.database import Connection, Database, DatabaseUnavailable
from app.storage.login_rates import add_logins, raise_alarm, sum_logins
from app.storage.throttle import find_blocked_until

SLOT_MS: Final = 5 * 60_000
LOOKS_BACK_SLOTS: Final = 2
DAY_SLOTS: Final = 86_400_000 // SLOT_MS
USUAL_DAYS_MS: Final = 7 * 86_400_000
TIMES_THE_USUAL: Final = 5
ALARM_LASTS_MS: Final = 30 * 60_000

LOGINS: Final = Counter("tokenhouse_logins_total", "Passwords that were tried.", ["device", "outcome"])
STUFFING: Final = Counter("tokenhouse_stuffing_detected_total", "Alarms of credential stuffing.", ["seen_at"])


class LoginWatch:
    """The logins that one process has seen. Safe for its threads; holds two numbers."""

    def __init__(
        self, database: Database, seals: Seals, recorder: EventRecorder, clock: Clock, *, alarm_failures: int
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._alarm_failures = alarm_failures
        self._alarm_key = seals.digest("throttle-alarm", "stuffing")[0]
        self._attempts = 0
        self._failures = 0
        self._lock = threading.Lock()

    def note(self, *, on_known_device: bool, was_right: bool) -> None:
        """A password was looked at."""
        LOGINS.labels("known" if on_known_device else "unknown", "right" if was_right else "wrong").inc()
        with self._lock:
            self._attempts += 1
            self._failures += not on_known_device and not was_right

    def is_alarmed(self, connection: Connection, *, now: int) -> bool:
        """Whether unknown devices are to be given less."""
        return find_blocked_until(connection, self._alarm_key, now=now) is not None

    def flush(self) -> None:
        """Write what was seen, and look whether it is too much. Raises `DatabaseUnavailable`; then it waits on."""
        with self._lock:
            attempts, self._attempts = self._attempts, 0
            failures, self._failures = self._failures, 0
        if not attempts:
            return
        try:
            self._database.transact(lambda connection: self._add(connection, attempts=attempts, failures=failures))
        except DatabaseUnavailable:
            with self._lock:
                self._attempts += attempts
                self._failures += failures
            raise

    def _add(self, connection: Connection, *, attempts: int, failures: int) -> None:
        now = self._clock()
        slot = now - now % SLOT_MS
        add_logins(connection, slot_began_at=slot, attempts=attempts, failures=failures)
        if not failures or not self._is_too_much(connection, slot=slot):
            return
        if raise_alarm(connection, self._alarm_key, until=now + ALARM_LASTS_MS, now=now):
            STUFFING.labels("site").inc()
            body = {"seen_at": "site", "lasts_s": ALARM_LASTS_MS // 1000}
            self._recorder.record(connection, Event(type="stuffing.detected", actor="anonymous", body=body))

    def _is_too_much(self, connection: Connection, *, slot: int) -> bool:
        looked_at_since = slot - (LOOKS_BACK_SLOTS - 1) * SLOT_MS
        lately = sum_logins(connection, since=looked_at_since, before=slot + SLOT_MS)
        if lately.failures < self._alarm_failures or 2 * lately.failures < lately.attempts:
            return False
        before = sum_logins(connection, since=looked_at_since - USUAL_DAYS_MS, before=looked_at_since)
        if before.since is None:
            return True
        # At least a day's: on a site that has just begun, an attack must not become the usual within an hour.
        slots_before = max(DAY_SLOTS, (looked_at_since - before.since) // SLOT_MS)
        usual = before.failures * LOOKS_BACK_SLOTS / slots_before
        return lately.failures >= TIMES_THE_USUAL * usual
