"""Waiting with a bound, for what must come true by itself."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LOOK_EVERY_S = 0.05


def eventually(look: Callable[[], T], *, within_s: float, what: str) -> T:
    """What `look` returns once that is true; fails with `what` when it stays false for `within_s`."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        pause.wait(_LOOK_EVERY_S)


class Stopwatch:
    """How long the block took."""

    elapsed_s = 0.0

    def __enter__(self) -> "Stopwatch":
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.elapsed_s = time.monotonic() - self._began
