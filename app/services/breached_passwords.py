"""Passwords that are known to attackers: a file of the operator's, looked through on disk and never loaded whole.

Its lines are SHA-1 digests in hexadecimal, in ascending order, each with a count behind a colon or without one: the
format in which "Pwned Passwords" (ordered by hash) is published.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Final

_LINE = re.compile(rb"([0-9A-Fa-f]{40})(?::[0-9]{1,12})?\r?")
_MOST_LINE_BYTES: Final = 64
_SAMPLES: Final = 64


class BreachedPasswords:
    """One such file. Raises ValueError where it is none; looks at its shape and, in samples, its order."""

    def __init__(self, path: Path) -> None:
        try:
            # Held open: a new list that is put in its place counts from the next start on.
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from error
        self._size = os.fstat(self._file).st_size
        try:
            self._check_order(path)
        except ValueError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def __contains__(self, password: str) -> bool:
        wanted = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
        low, high = 0, self._size
        while low < high:
            middle = (low + high) // 2
            start, found = self._first_line_from(middle)
            if found is None or found > wanted:
                high = middle
            elif found < wanted:
                low = start + len(found)
            else:
                return True
        return False

    def _first_line_from(self, offset: int) -> tuple[int, bytes | None]:
        """Where the first line that begins at `offset` or behind it begins, and its digest; None behind the last."""
        start = offset
        if offset > 0:
            before = os.pread(self._file, _MOST_LINE_BYTES, offset - 1)
            line_end = before.find(b"\n")
            if line_end < 0:
                return self._size, None
            start = offset + line_end
        line = os.pread(self._file, _MOST_LINE_BYTES, start).split(b"\n", 1)[0]
        if not line.strip():
            return self._size, None
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"byte {start} does not begin a line of a SHA-1 digest in hexadecimal")
        return start, match[1].upper()

    def _check_order(self, path: Path) -> None:
        latest = b""
        for number in range(_SAMPLES):
            try:
                _, found = self._first_line_from(self._size * number // _SAMPLES)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
            if found is None:
                if number == 0:
                    raise ValueError(f"{path}: is empty")
                continue
            if found < latest:
                raise ValueError(f"{path}: is not in ascending order of its digests")
            latest = found
