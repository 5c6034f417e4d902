"""How this server speaks to other providers while a person waits: never for long, and never with all its threads.

One deadline bounds everything that one login needs. Few logins wait for one provider, and few for all together; who
would be one too many hears at once that they may try again. A provider that failed several times in a row is left alone
for a while, and then asked by one login whether it is back.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from app.services.clock import Clock
from app.services.fetch_document import DocumentFetcher, FetchedDocument, FetchError

DEADLINE_S: Final = 8.0
MOST_AT_ONCE: Final = 6
MOST_AT_ONE_PROVIDER: Final = 3
FAILURES_UNTIL_OPEN: Final = 3
OPEN_FOR_MS: Final = 30_000

_log = structlog.get_logger("tokenhouse.upstream")


class ProviderUnavailable(Exception):
    """The provider cannot be asked now; later it may work. `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class _Health:
    failures: int = 0
    open_until: int = 0
    is_being_tried: bool = False


class Channel:
    """One login's way to one provider. Every call counts against the same deadline."""

    def __init__(self, fetcher: DocumentFetcher, deadline_s: float) -> None:
        self._fetcher = fetcher
        self._ends_at = time.monotonic() + deadline_s

    def get(self, url: str, *, max_bytes: int, accept: str, authorization: str | None = None) -> FetchedDocument:
        """What GET answers. Raises `ProviderUnavailable`, also for an answer that says that the provider is broken."""
        try:
            answer = self._fetcher.fetch(
                url, max_bytes=max_bytes, accept=accept, deadline_s=self._remaining_s(), authorization=authorization
            )
        except FetchError as error:
            raise ProviderUnavailable(error.reason) from error
        return _check(answer)

    def post(self, url: str, body: bytes, *, max_bytes: int, authorization: str | None) -> FetchedDocument:
        """What POST of a form answers, once. Raises `ProviderUnavailable` as `get` does."""
        try:
            answer = self._fetcher.post(
                url,
                body,
                content_type="application/x-www-form-urlencoded",
                accept="application/json",
                max_bytes=max_bytes,
                deadline_s=self._remaining_s(),
                authorization=authorization,
            )
        except FetchError as error:
            raise ProviderUnavailable(error.reason) from error
        return _check(answer)

    def _remaining_s(self) -> float:
        remaining_s = self._ends_at - time.monotonic()
        if remaining_s <= 0:
            raise ProviderUnavailable("took too long altogether")
        return remaining_s


class ProviderChannels:
    """The ways to the providers of one process. Safe for its threads."""

    def __init__(self, fetcher: DocumentFetcher, clock: Clock) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._in_use: Counter[int] = Counter()
        self._health: dict[int, _Health] = {}
        self._lock = threading.Lock()

    @contextmanager
    def open(self, provider_id: int, *, deadline_s: float = DEADLINE_S) -> Iterator[Channel]:
        """A channel to a provider. Raises `ProviderUnavailable` at once where it is left alone, or has no place.

        What raises `ProviderUnavailable` within counts as a failure of the provider; whatever else ends it does not.
        """
        is_trial = self._enter(provider_id)
        try:
            yield Channel(self._fetcher, deadline_s)
        except ProviderUnavailable as error:
            self._note_failure(provider_id, error.reason)
            raise
        else:
            with self._lock:
                self._health.pop(provider_id, None)
        finally:
            with self._lock:
                self._in_use[provider_id] -= 1
                if is_trial and provider_id in self._health:
                    self._health[provider_id].is_being_tried = False

    def _enter(self, provider_id: int) -> bool:
        """Take a place; whether this login is the one that finds out whether the provider is back."""
        with self._lock:
            health = self._health.get(provider_id)
            is_trial = health is not None and health.failures >= FAILURES_UNTIL_OPEN
            if health is not None and is_trial and self._is_left_alone(health):
                raise ProviderUnavailable("left alone after several failures")
            if self._in_use[provider_id] >= MOST_AT_ONE_PROVIDER or self._in_use.total() >= MOST_AT_ONCE:
                raise ProviderUnavailable("too many wait already")
            if health is not None and is_trial:
                health.is_being_tried = True
            self._in_use[provider_id] += 1
            return is_trial

    def _is_left_alone(self, health: _Health) -> bool:
        # A clock that was set back must not keep a provider away for longer.
        return health.is_being_tried or 0 < health.open_until - self._clock() <= OPEN_FOR_MS

    def _note_failure(self, provider_id: int, reason: str) -> None:
        with self._lock:
            health = self._health.setdefault(provider_id, _Health())
            health.failures += 1
            if health.failures >= FAILURES_UNTIL_OPEN:
                health.open_until = self._clock() + OPEN_FOR_MS
        _log.warning("provider unavailable", provider=provider_id, reason=reason[:200])


def _check(answer: FetchedDocument) -> FetchedDocument:
    if answer.status >= 500 or answer.status == 429:
        raise ProviderUnavailable(f"answered {answer.status}")
    return answer
