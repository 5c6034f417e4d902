"""Time per call of a function, on one core, undisturbed by what else the machine does."""

import gc
import time
from collections.abc import Callable, Mapping


def time_calls_us(
    contestants: Mapping[str, Callable[[], object]], *, seconds: float, clock: Callable[[], float]
) -> dict[str, float]:
    """Microseconds per call of each, measured in turns so that a slow moment of the machine meets all of them.

    Of each one's batches the fastest counts: other load only ever adds. `clock` is `time.process_time` for what
    computes in this process, `time.perf_counter` for what also waits for another.
    """
    calls_per_batch = {name: _calls_in(call, 0.02) for name, call in contestants.items()}
    best = dict.fromkeys(contestants, float("inf"))
    end = time.perf_counter() + seconds * len(contestants)
    gc.collect()
    gc.disable()
    try:
        while time.perf_counter() < end:
            for name, call in contestants.items():
                spent = _spent_s(call, calls_per_batch[name], clock)
                best[name] = min(best[name], spent / calls_per_batch[name] * 1e6)
    finally:
        gc.enable()
    return best


def _calls_in(call: Callable[[], object], seconds: float) -> int:
    """How many calls fill about `seconds`; also the warm-up."""
    calls = 1
    while True:
        spent = _spent_s(call, calls, time.perf_counter)
        if spent >= seconds / 2:
            return max(1, round(calls * seconds / spent))
        calls *= 2


def _spent_s(call: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(calls):
        call()
    return clock() - start
