"""The README's words are true: its commands run, its settings exist, its code compiles, its links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from pydantic import SecretStr

from app.cli.main import tokenhouse
from app.settings import Settings
from tests.server import ROOT, ServerProcess, free_port

README = (ROOT / "README.md").read_text()
SECURITY = (ROOT / "SECURITY.md").read_text()
COMMAND = re.compile(r"tokenhouse ((?:[a-z][a-z-]* ?)+)((?:[^\n`|]*))")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[tuple[str, list[str]]]:
    """Every `tokenhouse …` in it: the words of the command, and the options."""
    found = []
    for words, rest in COMMAND.findall(README):
        options = re.findall(r"(?<=\s)--[a-z-]+", " " + words + " " + rest)
        found.append((words.strip(), options))
    return found


# ----- The walk-through -----


def test_the_way_from_nothing_to_a_running_server_works_word_for_word(tmp_path: Path) -> None:
    make, serve, look, change = blocks("sh")
    assert serve.strip() == "tokenhouse serve --port 8400"
    port = str(free_port())
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOKENHOUSE_")}

    def run(script: str) -> str:
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script.replace("8400", port)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    made = run(make)
    assert "client_secret" in made
    variables = re.findall(r"^export (TOKENHOUSE_[A-Z_]+)=(\S+)$", make.replace("8400", port), flags=re.MULTILINE)
    server = ServerProcess(
        environment={
            **dict(variables),
            "TOKENHOUSE_DATABASE_URL": f"sqlite:///{tmp_path}/instance/tokenhouse.db",
            "TOKENHOUSE_KEYS_DIR": f"{tmp_path}/keys",
        },
        port=int(port),
    )
    try:
        server.start()
        exports = "\n".join(line for line in make.splitlines() if line.startswith("export "))
        looked = run(f"{exports}\n{look}")
        changed = run(f"{exports}\n{change}")
    finally:
        server.stop()
    assert "ada@example.com" in looked
    assert "Paper & Light" in changed
    assert "WRONG" not in looked


# ----- What it names exists -----


@pytest.mark.parametrize(("words", "options"), commands(), ids=lambda value: str(value))
def test_a_command_that_it_names_exists_with_its_options(words: str, options: list[str]) -> None:
    command: click.Command = tokenhouse
    for word in words.split():
        if not isinstance(command, click.Group):
            break  # an argument
        found = command.get_command(click.Context(command), word)
        assert found is not None, f"there is no `tokenhouse {words}`"
        command = found
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(options) <= known


def test_its_table_of_settings_is_complete_and_its_defaults_are_true() -> None:
    table = dict(re.findall(r"^\| `TOKENHOUSE_([A-Z_]+)` \| ([^|]+?) \|", README, flags=re.MULTILINE))
    defaults = {}
    for name, settings_field in Settings.model_fields.items():
        default = settings_field.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        if isinstance(default, tuple):
            default = ",".join(default) or None
        nothing = "the system's" if name == "outbound_ca_bundle" else "none"
        defaults[name.upper()] = nothing if default is None else f"`{default}`"
    assert table == defaults


def test_the_paths_that_it_names_are_those_of_the_server() -> None:
    factory = "".join(path.read_text() for path in [ROOT / "app/factory.py", *(ROOT / "app/web").glob("*.py")])
    (line,) = re.findall(r"- Paths beneath the issuer: (.*?)\.\n", README, flags=re.DOTALL)
    named = re.findall(r"`(/[^`]+)`", line)
    assert len(named) > 8
    assert [path for path in named if f'"{path}"' not in factory and f'"{path.split("<")[0]}' not in factory] == []


@pytest.mark.parametrize("identifier", sorted(set(re.findall(r"`#([a-z-]+)`", README))))
def test_an_element_that_it_names_is_on_a_page(identifier: str) -> None:
    templates = "".join(path.read_text() for path in (ROOT / "app/web/templates").glob("*.html"))
    assert f'id="{identifier}"' in templates


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"^([a-z-]+)", "\n".join(re.findall(r"`?make ([a-z-]+)", README)))))
)
def test_a_target_of_make_that_it_names_exists(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


@pytest.mark.parametrize("document", ["README.md", "SECURITY.md"])
def test_its_links_into_the_repository_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(r"(?:src|srcset)=\"([^\":]+)\"", text)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.splitlines()[0][:40])
def test_its_python_is_python(block: str) -> None:
    compile(block, "README.md", "exec")


def test_every_test_that_the_table_of_thieves_names_exists() -> None:
    named = re.findall(r"\[`?(test_[a-z_0-9]+)`?\]\((tests/[^)]+)\)", SECURITY)
    assert len(named) >= 7
    for name, path in named:
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), flags=re.MULTILINE), name
