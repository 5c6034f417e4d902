"""The program as it is installed: commands, migrations and pages come with the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.processes import clean_environment
from tests.server import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that holds what the wheel holds."""
    directory = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = directory.glob("tokenhouse-*.whl")
    target = directory / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def test_the_migrations_are_found_where_the_wheel_was_installed(installed: Path, tmp_path: Path) -> None:
    environment = clean_environment(
        {"TOKENHOUSE_DATABASE_URL": f"sqlite:///{tmp_path}/t.db", "TOKENHOUSE_KEYS_DIR": str(tmp_path / "keys")}
    )
    # Before the checkout, which is an editable installation; -P leaves out the current directory.
    environment["PYTHONPATH"] = str(installed)
    run_main = "import app, migrations; from app.cli.main import main; print(app.__file__, migrations.__file__); main()"
    for arguments in (("init",), ("db", "check")):
        command = [sys.executable, "-P", "-c", run_main, *arguments]
        finished = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert finished.returncode == 0, finished.stderr
        assert finished.stdout.splitlines()[0].count(str(installed)) == 2


def test_the_wheel_brings_pages_and_no_tests(installed: Path) -> None:
    names = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    assert "app/web/templates/login.html" in names
    assert "migrations/versions/0001_first_tables.py" in names
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"app", "migrations"}
