"""The wheel: built, installed beside nothing but its dependencies' place, and used under its own name."""

import json
import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import cryptography
import pytest

from tests.verifier.issuer import API, IssuerServer, SigningKey, make_claims

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "app" / "verifier"

ROOT_MODULES = ("__init__.py", "asgi.py", "flask.py", "pytest_plugin.py", "redis.py", "wsgi.py", "py.typed")
TEST_OF_AN_API = """
import pytest
from flask import Flask
from tokenhouse_verifier import InvalidToken
from tokenhouse_verifier.flask import require_token, use_verifier

def test_photos(tokenhouse_issuer):
    app = Flask("api")
    use_verifier(app, tokenhouse_issuer.verifier())
    app.get("/photos")(require_token("photos.read")(lambda: "photos"))
    token = tokenhouse_issuer.token(scope="photos.read")
    client, headers = app.test_client(), tokenhouse_issuer.bearer(token)
    assert client.get("/photos", headers=headers).status_code == 200
    tokenhouse_issuer.revoke(token)
    assert client.get("/photos", headers=headers).status_code == 401
"""

USE_IT = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from tokenhouse_verifier import AccessTokenVerifier, InvalidToken
import tokenhouse_verifier, tokenhouse_verifier.asgi, tokenhouse_verifier.wsgi
issuer, audience, token = sys.argv[2:]
verifier = AccessTokenVerifier(issuer=issuer, audience=audience, clock=lambda: 1_800_000_000)
claims = verifier.verify(token, scope="photos.read")
try:
    verifier.verify(token[:-4] + "AAAA")
except InvalidToken as error:
    refusal = error.description
print(json.dumps({
    "subject": claims.subject,
    "refusal": refusal,
    "file": tokenhouse_verifier.__file__,
    "modules": sorted(sys.modules),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)], cwd=PROJECT, check=True
    )
    (built,) = directory.glob("tokenhouse_verifier-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A fresh environment's Python, and the directory into which the wheel alone was installed."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory / "venv", with_pip=True)
    python = directory / "venv" / "bin" / "python"
    target = directory / "target"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    subprocess.run([*install, "--disable-pip-version-check", str(wheel)], check=True, env=environment)
    return python, target


def test_the_wheel_holds_the_verifier_whole_and_nothing_of_the_server(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {f"tokenhouse_verifier/verifier/{path.name}" for path in PROJECT.glob("*.py")}
    modules |= {f"tokenhouse_verifier/specs/{path.name}" for path in (ROOT / "app" / "specs").glob("*.py")}
    roots = {f"tokenhouse_verifier/{name}" for name in ROOT_MODULES}
    assert {name for name in names if ".dist-info/" not in name} == modules | roots


def test_the_wheel_has_the_servers_version_and_one_dependency() -> None:
    ours = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    servers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (ours["version"], ours["requires-python"]) == (servers["version"], servers["requires-python"])
    assert [dependency.split(">")[0] for dependency in ours["dependencies"]] == ["cryptography"]


def _loaded_by_itself(python: Path) -> set[str]:
    """What an interpreter loads before anybody asks: distributions have a `sitecustomize`, environments hooks."""
    run = subprocess.run([str(python), "-I", "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True)
    return {module.split(".")[0] for module in run.stdout.split()}


def test_the_installed_wheel_verifies_a_token_and_loads_no_server_library(
    installed: tuple[Path, Path], key: SigningKey, tmp_path: Path
) -> None:
    python, target = installed
    # cryptography and its cffi come from this environment: one place with exactly the dependency that is declared.
    dependencies = tmp_path / "dependencies"
    dependencies.mkdir()
    site_packages = Path(cryptography.__file__).parents[1]
    for path in site_packages.iterdir():
        if path.name.split(".")[0].split("-")[0] in ("cryptography", "cffi", "_cffi_backend", "pycparser"):
            (dependencies / path.name).symlink_to(path)
    with IssuerServer(key) as server:
        token = key.sign(make_claims(server.issuer))
        paths = json.dumps([str(target), str(dependencies)])
        run = subprocess.run(
            [str(python), "-I", "-c", USE_IT, paths, server.issuer, API, token],
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["subject"] == "alice"
    assert result["refusal"].startswith("the signature") or "canonical" in result["refusal"]
    assert Path(result["file"]).is_relative_to(target)
    loaded = {module.split(".")[0] for module in result["modules"]}
    assert not loaded & {"app", "flask", "werkzeug", "sqlalchemy", "pydantic", "authlib", "joserfc", "orjson", "click"}
    third_party = loaded - set(sys.stdlib_module_names) - {"tokenhouse_verifier"} - _loaded_by_itself(python)
    # `_openssl` is cryptography's.
    assert third_party <= {"cryptography", "_cffi_backend", "_openssl"}


def test_pytest_finds_the_fixture_of_the_installed_wheel(installed: tuple[Path, Path], tmp_path: Path) -> None:
    _, target = installed
    (tmp_path / "test_api.py").write_text(TEST_OF_AN_API)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(target)}
    for options, outcome in ((("-p", "no:tokenhouse_verifier"), "1 error"), ((), "1 passed")):
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_api.py"],
            cwd=tmp_path,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert outcome in run.stdout, run.stdout + run.stderr


def test_importing_the_verifier_loads_no_framework() -> None:
    loads = "import app.verifier, app.verifier.wsgi, sys; print(*{name.split('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", loads], cwd=ROOT, check=True, capture_output=True, text=True)
    loaded = set(run.stdout.split())
    assert "app" in loaded
    assert not loaded & {
        "flask",
        "werkzeug",
        "sqlalchemy",
        "pydantic",
        "authlib",
        "joserfc",
        "orjson",
        "asyncio",
        "pytest",
    }
