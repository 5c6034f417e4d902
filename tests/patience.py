"""Waiting for what a running server does on its own: bounded, and looked at often."""

import threading
import time
from collections.abc import Callable


def wait_until(holds: Callable[[], bool], *, within_s: float = 5) -> float:
    """Seconds until `holds()` was true; fails when it is not within the bound."""
    began = time.monotonic()
    pause = threading.Event()
    while not holds():
        assert time.monotonic() - began < within_s, f"not within {within_s} s"
        pause.wait(0.03)
    return time.monotonic() - began
