"""Argon2id for human passwords, in a bounded pool: the only deliberately slow thing the server does.

At most `workers` hashes run at a time, so memory is workers x memory_kib; at most `queue` wait; beyond that the caller
is told to come back (`PasswordPoolBusy`). The threads are niced, so that tokens are not slower while people log in.
"""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

T = TypeVar("T")
MINIMUM_MEMORY_KIB = 19 * 1024
_TARGET_S = 0.075
_CALIBRATION_MEMORIES_KIB = (19 * 1024, 32 * 1024, 47 * 1024, 64 * 1024)


class PasswordPoolBusy(Exception):
    """All workers are hashing and the queue is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Argon2Parameters:
    """The cost of one hash; equal for real and dummy hashes."""

    time_cost: int = 2
    memory_kib: int = MINIMUM_MEMORY_KIB
    parallelism: int = 1


def hash_password(parameters: Argon2Parameters, password: str) -> str:
    """The encoded Argon2id hash of `password`, computed in the calling thread."""
    return _hasher(parameters).hash(password)


def calibrate() -> Argon2Parameters:
    """The parameters whose hash takes nearest to 75 ms here, never below 19 MiB and two passes."""
    best = Argon2Parameters()
    for memory_kib in _CALIBRATION_MEMORIES_KIB:
        parameters = Argon2Parameters(memory_kib=memory_kib)
        if _measure_s(parameters) > _TARGET_S:
            return best
        best = parameters
    for time_cost in (3, 4):
        parameters = Argon2Parameters(memory_kib=best.memory_kib, time_cost=time_cost)
        if _measure_s(parameters) > _TARGET_S:
            return best
        best = parameters
    return best


class PasswordPool:
    """Verifies passwords in niced threads, bounded in number and in waiting line."""

    def __init__(self, parameters: Argon2Parameters, *, workers: int, queue: int) -> None:
        self.parameters = parameters
        self._places = threading.BoundedSemaphore(workers + queue)
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="argon2", initializer=_be_nice)
        self._hasher = _hasher(parameters)
        # Unknown names cost the same as known ones because they are checked against this.
        self._dummy_hash = self._hasher.hash("no account has this password")

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether `password` belongs to `password_hash`; for None the same work is done and the answer is False.

        Raises `PasswordPoolBusy` at once when the queue is full.
        """
        if not self._places.acquire(blocking=False):
            raise PasswordPoolBusy
        try:
            return self._executor.submit(self._verify, password_hash, password).result()
        finally:
            self._places.release()

    def hash(self, password: str) -> str:
        """The encoded hash of a new password. Raises `PasswordPoolBusy`."""
        if not self._places.acquire(blocking=False):
            raise PasswordPoolBusy
        try:
            return self._executor.submit(self._hasher.hash, password).result()
        finally:
            self._places.release()

    def run(self, work: Callable[[], T]) -> T:
        """What `work` returns, done in these threads: for what is slow and has to do with passwords, too.

        Raises `PasswordPoolBusy`.
        """
        if not self._places.acquire(blocking=False):
            raise PasswordPoolBusy
        try:
            return self._executor.submit(work).result()
        finally:
            self._places.release()

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def shutdown(self) -> None:
        """End the threads."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        try:
            self._hasher.verify(password_hash or self._dummy_hash, password)
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None


def _hasher(parameters: Argon2Parameters) -> PasswordHasher:
    return PasswordHasher(
        time_cost=parameters.time_cost,
        memory_cost=parameters.memory_kib,
        parallelism=parameters.parallelism,
        type=Type.ID,
    )


def _measure_s(parameters: Argon2Parameters) -> float:
    hasher = _hasher(parameters)
    durations = []
    for _ in range(3):
        started = time.perf_counter()
        hasher.hash("the calibration's password")
        durations.append(time.perf_counter() - started)
    return min(durations)


def _be_nice() -> None:
    # On Linux a nice value belongs to the thread that sets it.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
