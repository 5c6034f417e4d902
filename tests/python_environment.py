"""Python packages of others that must not meet ours: an environment of their own, per lock file.

It lands under `build/python/`, which git ignores, named by the lock's hash: a changed lock never meets old packages and
an unchanged one is installed once.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from tests.server import ROOT

CACHE = ROOT / "build" / "python"
INSTALL_TIMEOUT_S = 300


class EnvironmentUnavailable(RuntimeError):
    """The packages could not be installed; the message says what was tried."""


def python_environment(lock: Path) -> Path:
    """The Python of an environment with the locked packages. Safe to call from several processes at once."""
    folder = CACHE / f"{lock.stem}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    python, installed = folder / "bin" / "python", folder / ".installed"
    if installed.exists():
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not installed.exists():
            try:
                _install_with_uv(folder, lock)
            except EnvironmentUnavailable:
                # pip may be told of an index that uv does not know.
                _install_with_pip(folder, lock)
            installed.touch()
    return python


def _install_with_uv(folder: Path, lock: Path) -> None:
    uv = (sys.executable, "-m", "uv")
    _run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
    _run([*uv, "pip", "install", "--quiet", "--python", str(folder), "--require-hashes", "--no-deps", "-r", str(lock)])


def _install_with_pip(folder: Path, lock: Path) -> None:
    python = str(folder / "bin" / "python")
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    _run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", str(lock)])


def _run(command: list[str]) -> None:
    answer = subprocess.run(
        command, env=dict(os.environ), capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
    )
    if answer.returncode != 0:
        raise EnvironmentUnavailable(f"{' '.join(command)} failed:\n{answer.stderr.strip()[-2000:]}")
