"""A small amount of memory for a server and its children: a control group where this process may make one.

Where it may not (no root, no control group of the first or second version), the address space of each process is
bounded instead, which is coarser: stacks and arenas that nobody has touched count there.
"""

import contextlib
import os
import resource
import secrets
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_ROOT = Path("/sys/fs/cgroup")
_FILE_NAMES = ("memory.max", "memory.limit_in_bytes")
# Threads of a server reserve tens of megabytes each and touch hardly any of them.
_ADDRESS_SPACE_PER_BYTE = 24


@dataclass
class Memory:
    """What the processes use, looked at again and again while the block runs."""

    peak_bytes: int = 0


@contextlib.contextmanager
def bounded_memory(processes: Iterable[psutil.Process], most_bytes: int) -> Iterator[str]:
    """Within it the processes, and what they start, have at most so much together; says what enforces it.

    A process that wants more is killed by the kernel, or told that there is none.
    """
    victims = list(processes)
    group = _make_group(most_bytes)
    if group is None:
        for victim in victims:
            bound = most_bytes * _ADDRESS_SPACE_PER_BYTE
            resource.prlimit(victim.pid, resource.RLIMIT_AS, (bound, resource.getrlimit(resource.RLIMIT_AS)[1]))
        yield "address space"
        return
    for victim in victims:
        (group / "cgroup.procs").write_text(str(victim.pid))
    try:
        yield "control group"
    finally:
        # Whoever still lives goes back to where they came from; a group that somebody is in cannot be removed.
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (group.parent / "cgroup.procs").write_text(pid)
        with contextlib.suppress(OSError):
            group.rmdir()


@contextlib.contextmanager
def watched_memory(processes: Iterable[psutil.Process]) -> Iterator[Memory]:
    """The most resident memory of all of them together at any look, of which there are fifty a second."""
    watched, memory, ended = list(processes), Memory(), threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            memory.peak_bytes = max(memory.peak_bytes, resident_bytes(watched))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield memory
    finally:
        ended.set()
        thread.join(timeout=10)


def resident_bytes(processes: Iterable[psutil.Process]) -> int:
    """Resident memory of those that live, together."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


def _make_group(most_bytes: int) -> Path | None:
    if os.geteuid() != 0:
        return None
    for parent in (_ROOT, _ROOT / "memory"):
        group = parent / f"tokenhouse-test-{secrets.token_hex(4)}"
        try:
            group.mkdir()
        except OSError:
            continue
        for name in _FILE_NAMES:
            with contextlib.suppress(OSError):
                if (group / name).exists():
                    (group / name).write_text(str(most_bytes))
                    return group
        group.rmdir()
    return None
