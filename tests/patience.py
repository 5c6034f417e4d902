"""Waiting for what a running server does on its own: bounded, and looked at often.

The bounds are generous, because two busy cores serve every test at once: what is promised within a second is measured
by the benchmarks, and here it must come at all.
"""

import threading
import time
from collections.abc import Callable


def wait_until(holds: Callable[[], bool], *, within_s: float = 15) -> float:
    """Seconds until `holds()` was true; fails when it is not within the bound."""
    began = time.monotonic()
    pause = threading.Event()
    while not holds():
        assert time.monotonic() - began < within_s, f"not within {within_s} s"
        pause.wait(0.03)
    return time.monotonic() - began
