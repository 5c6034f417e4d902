"""The one place that reads the time."""

import time
from collections.abc import Callable

Clock = Callable[[], int]


def system_clock() -> int:
    """The time now, in milliseconds UTC."""
    return time.time_ns() // 1_000_000
