"""Waiting for what a running server does on its own: bounded, and looked at often.

The bounds are generous, because two busy cores serve every test at once: what is promised within a second is measured
by the benchmarks, and here it must come at all.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def wait_until(holds: Callable[[], bool], *, within_s: float = 30) -> float:
    """Seconds until `holds()` was true; fails when it is not within the bound."""
    began = time.monotonic()
    pause = threading.Event()
    while not holds():
        assert time.monotonic() - began < within_s, f"not within {within_s} s"
        pause.wait(0.03)
    return time.monotonic() - began


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result, in a thread of its own: this one may have the running loop of a browser."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def cpu_seconds(work: Callable[[], object]) -> float:
    """The least CPU time of this thread that `work` took in five tries: a collection of garbage is not its doing."""
    tries = []
    for _ in range(5):
        began = time.thread_time()
        work()
        tries.append(time.thread_time() - began)
    return min(tries)
