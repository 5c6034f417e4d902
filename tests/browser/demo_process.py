"""`tokenhouse demo` as a process of its own, in a directory of its own."""

import json
import os
import secrets
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from app.cli.side_by_side import is_free

TOKENHOUSE = Path(sys.executable).with_name("tokenhouse")


@dataclass
class Demo:
    """One run of the command: what it printed as JSON, and its processes."""

    process: subprocess.Popen[str]
    document: dict[str, Any]

    @property
    def app_url(self) -> str:
        """The address that people are told to open."""
        return str(self.document["app_url"])

    @property
    def issuer(self) -> str:
        """The authorization server's."""
        return str(self.document["issuer"])

    def processes(self) -> list[psutil.Process]:
        """Itself and everything that it started."""
        itself = psutil.Process(self.process.pid)
        return [itself, *itself.children(recursive=True)]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C, or another signal; the exit status."""
        self.process.send_signal(number)
        self.process.communicate(timeout=80)
        return self.process.returncode


def begin_demo(directory: Path, *options: str) -> subprocess.Popen[str]:
    """The command, just started. The settings of another deployment are around, and must not matter; nor must it that
    a shell has whatever it starts in the background pass over interrupts.
    """
    return subprocess.Popen(
        [str(TOKENHOUSE), "demo", *options],
        cwd=directory,
        env={**os.environ, "TOKENHOUSE_ISSUER": "https://another.deployment.example"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )


def start_demo(directory: Path, *options: str) -> Demo:
    """The command, once it has said where everything is."""
    process = begin_demo(directory, "--json", *options)
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or lines[-1] != "}\n":
        line = process.stdout.readline()
        assert line, f"the demo ended at its start: {process.communicate()}"
        lines.append(line)
    document = json.loads("".join(lines))
    assert "error" not in document, document
    return Demo(process=process, document=document)


def find_free_ports() -> int:
    """The first of three ports in a row that nobody uses; below the range that the kernel gives to outgoing calls."""
    for _ in range(1000):
        port = 10_000 + secrets.randbelow(22_000)
        if all(is_free(each) for each in (port, port + 1, port + 2)):
            return port
    raise AssertionError("no three free ports in a row")


def check_gone(processes: list[psutil.Process], *, within_s: float) -> None:
    """Fails with their command lines where some of them live on."""
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    assert not alive, [process.cmdline() for process in alive]
