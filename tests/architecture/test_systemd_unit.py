"""docs/tokenhouse.service: systemd understands it, finds little to wish for, and it fits the command that it runs."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.supervise import DRAIN_S
from app.settings import Settings
from tests.server import ROOT

UNIT = (ROOT / "docs" / "tokenhouse.service").read_text()
PROGRAM = "/opt/tokenhouse/.venv/bin/tokenhouse"
# Tenths of systemd's exposure level: 10 is a plain service, 2 is what it calls "OK".
MOST_EXPOSURE = 20


@pytest.fixture
def systemd_analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("there is no systemd on this machine: the unit's text is checked all the same")
    return found


@pytest.fixture
def unit_file(tmp_path: Path) -> Path:
    """The unit with this machine's program in place of an operator's."""
    here = str(Path(sys.executable).with_name("tokenhouse"))
    assert UNIT.count(f"ExecStart={PROGRAM}") == 1
    path = tmp_path / "tokenhouse.service"
    path.write_text(UNIT.replace(PROGRAM, here).replace("/opt/tokenhouse", str(ROOT)))
    return path


def section(name: str) -> dict[str, str]:
    """One section; of a key that stands twice, the last."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(UNIT)
    return dict(parser[name])


def test_systemd_understands_every_line(systemd_analyze: str, unit_file: Path) -> None:
    command = [systemd_analyze, "verify", "--man=no", str(unit_file)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""


def test_systemd_finds_little_exposed(systemd_analyze: str, unit_file: Path) -> None:
    command = [systemd_analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSURE}", str(unit_file)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout


def test_the_options_that_it_gives_are_options_of_serve() -> None:
    options = re.findall(r"--[a-z-]+", section("Service")["ExecStart"])
    assert options
    command = [str(Path(sys.executable).with_name("tokenhouse")), "serve", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert [option for option in options if option not in told] == []


def test_the_settings_that_it_names_exist() -> None:
    names = set(re.findall(r"TOKENHOUSE_([A-Z_]+)", UNIT))
    assert names
    assert {name.lower() for name in names} <= set(Settings.model_fields)


def test_it_waits_longer_than_the_server_drains() -> None:
    service = section("Service")
    # The supervisor gives up by itself three seconds after the workers should have.
    assert int(service["TimeoutStopSec"].removesuffix("s")) > DRAIN_S + 3
    # A worker that is told as well would end before its supervisor has asked it to.
    assert service["KillMode"] == "mixed"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("User", "tokenhouse"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("CapabilityBoundingSet", ""),
        ("StateDirectoryMode", "0700"),
        ("UMask", "0077"),
        ("MemoryDenyWriteExecute", "yes"),
    ],
)
def test_it_keeps_its_walls(key: str, value: str) -> None:
    assert section("Service")[key] == value


def test_no_secret_stands_in_it() -> None:
    assert "Environment" not in section("Service")  # anybody may read a unit; EnvironmentFile is root's
    assert os.path.isabs(section("Service")["EnvironmentFile"])
