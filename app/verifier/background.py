"""The thread that renews keys and status lists before anybody needs them."""

import logging
import os
import threading
import weakref
from typing import Final, Protocol

logger = logging.getLogger("tokenhouse_verifier")

THREAD_NAME: Final = "tokenhouse-verifier-refresher"
# How late a renewal may begin; looking costs some microseconds.
_TICK_S: Final = 0.25


class Renewable(Protocol):
    def renew_due(self) -> None:
        """Starts what fetches are due, and waits for nothing."""


class Refresher:
    """One thread for one verifier; it ends when nobody holds the verifier any more.

    A thread does not survive a fork: `ensure_running` starts it anew in a worker process. Where no thread can be
    started, verification goes on without: then the first caller who finds a copy due starts its renewal.
    """

    def __init__(self, target: Renewable) -> None:
        self._target = weakref.ref(target)
        self._lock = threading.Lock()
        self._process_id: int | None = None

    def ensure_running(self) -> None:
        if self._process_id == os.getpid():
            return
        with self._lock:
            if self._process_id == os.getpid():
                return
            thread = threading.Thread(target=_run, args=(self._target,), name=THREAD_NAME, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                logger.warning("keys and status lists are renewed without a thread of their own: %s", error)
            # Also after a failure: it would be tried for every token.
            self._process_id = os.getpid()


def _run(reference: "weakref.ref[Renewable]") -> None:
    pause = threading.Event()
    while True:
        target = reference()
        if target is None:
            return
        try:
            target.renew_due()
        except Exception:  # the thread must outlive a bug in one renewal; nobody would notice that it is gone
            logger.exception("renewing keys and status lists failed")
        del target
        pause.wait(_TICK_S)
