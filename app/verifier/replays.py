"""Which DPoP proofs have been seen (RFC 9449 11.1): each is good for one request."""

import threading
from collections.abc import Callable
from typing import Final, Protocol

from ..specs.protocol_error import TemporarilyUnavailable
from ..specs.rfc9449_dpop import REPLAY_WINDOW_S

# 32 bytes each, about 100 with what a set needs: 20 MB for two windows.
MAX_PROOFS_PER_WINDOW: Final = 100_000


class ReplayStore(Protocol):
    """A memory of proofs. Processes that share a store refuse each other's replays; see docs/verifier.md.

    `is_immediate` says that `add` never waits for a network: otherwise the ASGI middleware calls it in a thread.
    """

    is_immediate: bool

    def add(self, replay_key: bytes) -> bool:
        """Remembers 32 bytes for at least REPLAY_WINDOW_S; returns whether they are new, atomically.

        Raises TemporarilyUnavailable where it cannot say: the request is refused then.
        """


class InProcessReplays:
    """The proofs that this process has seen, in two windows of REPLAY_WINDOW_S: this one and the last."""

    is_immediate = True

    def __init__(self, *, monotonic: Callable[[], float], max_proofs_per_window: int = MAX_PROOFS_PER_WINDOW) -> None:
        self._monotonic = monotonic
        self._max_proofs = max_proofs_per_window
        self._lock = threading.Lock()
        self._window_began_at = monotonic()
        self._this_window: set[bytes] = set()
        self._last_window: set[bytes] = set()

    def add(self, replay_key: bytes) -> bool:
        now = self._monotonic()
        with self._lock:
            if now - self._window_began_at >= REPLAY_WINDOW_S:
                # After a pause of two windows nothing that was seen before it can be replayed any more.
                is_next = now - self._window_began_at < 2 * REPLAY_WINDOW_S
                self._last_window = self._this_window if is_next else set()
                self._this_window = set()
                self._window_began_at = now
            if replay_key in self._this_window or replay_key in self._last_window:
                return False
            if len(self._this_window) >= self._max_proofs:
                # Forgetting one would let it be replayed.
                raise TemporarilyUnavailable(
                    "too many DPoP proofs at once", headers={"Retry-After": str(REPLAY_WINDOW_S)}
                )
            self._this_window.add(replay_key)
            return True
