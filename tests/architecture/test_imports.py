"""The floors hold: imports go downwards only, and a resource server does not load the server."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ROOT

MODULES = sorted(path for path in (ROOT / "app").rglob("*.py") if "wheel" not in path.parts)
OF_THE_SERVER = {"sqlalchemy", "alembic", "authlib", "pydantic", "granian", "click", "rich", "argon2", "structlog"}
LONGEST_FILE_LINES = 400


def load(statement: str) -> set[str]:
    """The top-level modules that a fresh process has after the statement."""
    program = (
        f"import json, sys\n{statement}\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout))


def test_the_import_contracts_are_kept() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([str(program), "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("module", ["app.verifier", "app.verifier.wsgi", "app.verifier.asgi"])
def test_the_verifier_loads_no_library_of_the_server(module: str) -> None:
    loaded = load(f"import {module}")
    assert loaded & (OF_THE_SERVER | {"flask", "werkzeug", "jinja2"}) == set()
    assert "cryptography" in loaded


def test_the_verifiers_decorator_loads_flask_and_nothing_else_of_the_server() -> None:
    loaded = load("import app.verifier.flask")
    assert "flask" in loaded
    assert loaded & (OF_THE_SERVER - {"click"}) == set()  # Flask itself stands on click


def test_help_loads_none_of_the_servers_parts() -> None:
    loaded = load("import app.cli.main")
    assert loaded & (OF_THE_SERVER - {"click"} | {"flask"}) == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_hides_in_a_function_or_behind_type_checking(path: Path) -> None:
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    hidden = [
        f"line {inner.lineno}"
        for function in functions
        for inner in ast.walk(function)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []
    assert not any(isinstance(node, ast.Name) and node.id == "TYPE_CHECKING" for node in ast.walk(tree))


def test_no_file_has_grown_past_what_one_reads_in_one_go() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    # A list, not a story: every table, declared once.
    del lines["app/storage/tables.py"]
    assert {path: count for path, count in lines.items() if count > LONGEST_FILE_LINES} == {}


def test_there_are_no_drawers() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "base", "misc", "shared"}
    assert [str(path) for path in MODULES if drawers & {*path.parts, path.stem}] == []
