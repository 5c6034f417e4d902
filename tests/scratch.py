"""Where the tests keep their files: in memory, where the machine has some to spare.

Each answer of the server waits until the disk holds what it promised, tens of thousands of times in one run. In memory
that wait is nothing, and all else is as it is on a disk: what a killed process has written is there.
"""

import os
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes a directory of its own there
_ENOUGH_BYTES = 4 << 30


def keep_files_in_memory() -> None:
    """Let everything temporary of this process and its children lie in memory, unless TMPDIR says where."""
    if "TMPDIR" not in os.environ and _has_room():
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None


def are_files_in_memory() -> bool:
    """Whether they do."""
    return Path(tempfile.gettempdir()) == _MEMORY


def _has_room() -> bool:
    try:
        state = os.statvfs(_MEMORY)
    except OSError:
        return False
    # Tests install programs, and run them from there.
    is_usable = os.access(_MEMORY, os.W_OK) and not state.f_flag & (os.ST_NOEXEC | os.ST_RDONLY)
    return is_usable and state.f_bavail * state.f_frsize > _ENOUGH_BYTES
