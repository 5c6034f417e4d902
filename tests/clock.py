"""A clock that tests move: the system's time plus an offset that several processes share through a file."""

import mmap
import struct
import time
from pathlib import Path


class MovableClock:
    """Milliseconds UTC; `move` moves it for every process that has the same file open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_bytes(struct.pack("<q", 0))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8)

    def __call__(self) -> int:
        """The time now."""
        (offset_ms,) = struct.unpack("<q", self._memory[:8])
        return time.time_ns() // 1_000_000 + int(offset_ms)

    def move(self, *, seconds: float) -> None:
        """Move the time, forwards or (with a negative number) backwards."""
        (offset_ms,) = struct.unpack("<q", self._memory[:8])
        self._memory[:8] = struct.pack("<q", offset_ms + int(seconds * 1000))

    def reset(self) -> None:
        """Back to the system's time."""
        self._memory[:8] = struct.pack("<q", 0)
