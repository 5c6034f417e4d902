"""What holds for every command: one JSON document, the exit status, and sentences instead of tracebacks."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from app.cli.main import tokenhouse
from app.features import FEATURES
from tests.cli.processes import CommandLine


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from walk(found, (*path, name))


COMMANDS = dict(walk(tokenhouse))


def test_the_commands_are_those_that_other_programs_drive() -> None:
    promised = """
        init serve doctor specs  db upgrade  db check
        user add  user list  user show  user disable  user enable  user set-password  user set  user reset-factors
        client add  client list  client show  client rotate-secret  client disable  client enable  client remove
        resource add  resource list  resource show  keys list  keys rotate  keys revoke
        details-type add  details-type list  details-type show
        grants list  grants show  grants revoke  audit list
    """
    single, *groups = [line.strip().split("  ") for line in promised.strip().splitlines()]
    names = {(word,) for word in single[0].split()}
    names |= {tuple(pair.split()) for line in (single[1:], *groups) for pair in line}
    assert names <= set(COMMANDS)


@pytest.mark.parametrize("path", sorted(set(COMMANDS) - {("serve",), ("demo",)}), ids=" ".join)
def test_every_command_takes_json_after_its_name_and_says_what_it_does(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert "--json" in [option for parameter in command.params for option in parameter.opts]
    assert command.help


def test_no_command_takes_a_password_or_a_secret_as_an_argument() -> None:
    for path, command in COMMANDS.items():
        for parameter in command.params:
            if any("password" in option or "secret" in option for option in parameter.opts):
                assert getattr(parameter, "is_flag", False), path


def test_lists_are_arrays_for_programs_and_tables_for_people(command_line: CommandLine) -> None:
    for things in ("user", "client", "resource", "grants"):
        assert command_line.json(things, "list") == []
    assert len(command_line.json("keys", "list")) == 6
    outcome = command_line.started_anew("keys", "list")
    assert outcome.exit_code == 0
    assert outcome.stdout.count("standby") == 2


def test_specs_names_every_specification_of_every_feature(new_command_line: CommandLine) -> None:
    listed = new_command_line.json("specs")
    assert [feature["feature"] for feature in listed] == [feature.name for feature in FEATURES]
    assert [spec["name"] for spec in listed[0]["specs"]] == [spec.name for spec in FEATURES[0].specs]


@pytest.mark.parametrize(
    "arguments",
    [("no-such-command",), ("user",), ("user", "add"), ("client", "add", "--json"), ("keys", "revoke")],
    ids=" ".join,
)
def test_wrong_usage_is_exit_status_2_with_nothing_on_standard_output(
    new_command_line: CommandLine, arguments: tuple[str, ...]
) -> None:
    outcome = new_command_line.started_anew(*arguments)
    assert outcome.exit_code == 2
    assert "Traceback" not in outcome.stderr


# ----- Settings and deployments that cannot be used (attacks.md, faults 14 and 19) -----


@pytest.mark.parametrize(
    ("variables", "key"),
    [
        ({"TOKENHOUSE_ISUER": "https://a.example"}, "TOKENHOUSE_ISUER"),
        ({"TOKENHOUSE_ISSUER": "http://auth.example"}, "TOKENHOUSE_ISSUER"),
        ({"TOKENHOUSE_DATABASE_URL": "mysql://u:a-password@h/d"}, "TOKENHOUSE_DATABASE_URL"),
        ({"TOKENHOUSE_ACCESS_TOKEN_LIFETIME_S": "soon"}, "TOKENHOUSE_ACCESS_TOKEN_LIFETIME_S"),
        ({"TOKENHOUSE_TRUSTED_PROXIES": "everybody"}, "TOKENHOUSE_TRUSTED_PROXIES"),
        ({"TOKENHOUSE_PROFILE": "lax"}, "TOKENHOUSE_PROFILE"),
        ({"TOKENHOUSE_CONFIG": "/nowhere/tokenhouse.toml"}, "TOKENHOUSE_CONFIG"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_setting_stops_the_server_by_its_name(
    new_command_line: CommandLine, variables: dict[str, str], key: str
) -> None:
    outcome = new_command_line("serve", **variables)
    assert outcome.exit_code == 1
    assert key in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert "a-password" not in outcome.stderr


def test_a_wrong_setting_stops_a_command_as_a_document(new_command_line: CommandLine) -> None:
    outcome = new_command_line("user", "list", "--json", TOKENHOUSE_ISSUER="http://auth.example")
    assert outcome.exit_code == 1
    assert outcome.document["error"] == "invalid_settings"
    assert "TOKENHOUSE_ISSUER" in outcome.document["error_description"]


def _remove(kek: Path) -> None:
    kek.unlink()


def _corrupt(kek: Path) -> None:
    kek.chmod(0o600)
    kek.write_bytes(b"\xff\x00 not a key")


def _cut(kek: Path) -> None:
    kek.chmod(0o600)
    kek.write_text(kek.read_text()[:20])


def _exchange(kek: Path) -> None:
    kek.unlink()
    code = "import sys, pathlib; from app.services.seals import make_kek; make_kek(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(kek.parent)], check=True)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(_remove, "missing"), (_corrupt, "cannot be read"), (_cut, "corrupt"), (_exchange, "not the key-encryption key")],
    ids=["missing", "corrupt", "cut", "another's"],
)
def test_without_its_key_encryption_key_nothing_starts_and_no_new_one_is_made(
    command_line: CommandLine, tmp_path: Path, damage: object, reason: str
) -> None:
    kek = tmp_path / "keys" / "key-encryption-key"
    damage(kek)  # type: ignore[operator]
    before = kek.read_bytes() if kek.exists() else None
    outcome = command_line("serve")
    assert outcome.exit_code == 1
    assert str(kek) in outcome.stderr
    assert reason in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert command_line.refusal("client", "list")["error"] == "cannot_open_deployment"
    assert (kek.read_bytes() if kek.exists() else None) == before


@pytest.mark.parametrize("arguments", [("serve",), ("user", "list")], ids=" ".join)
def test_an_empty_database_says_what_to_run(new_command_line: CommandLine, arguments: tuple[str, ...]) -> None:
    outcome = new_command_line.started_anew(*arguments)
    assert outcome.exit_code == 1
    assert "`tokenhouse init`" in outcome.stderr


@pytest.mark.parametrize("arguments", [("serve",), ("user", "list")], ids=" ".join)
def test_another_issuer_than_at_init_is_refused(command_line: CommandLine, arguments: tuple[str, ...]) -> None:
    outcome = command_line(*arguments, TOKENHOUSE_ISSUER="https://other.example")
    assert outcome.exit_code == 1
    assert "TOKENHOUSE_ISSUER" in outcome.stderr


@pytest.mark.parametrize("arguments", [("serve",), ("user", "list")], ids=" ".join)
def test_a_database_that_does_not_answer_is_a_sentence_without_its_password(
    command_line: CommandLine, arguments: tuple[str, ...]
) -> None:
    outcome = command_line(*arguments, TOKENHOUSE_DATABASE_URL="postgresql://u:a-password@127.0.0.1:1/x")
    assert outcome.exit_code == 1
    assert "refused" in outcome.stderr
    assert "a-password" not in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_file_that_is_no_database_is_a_sentence(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is not a database, " * 100)
    outcome = command_line("serve", TOKENHOUSE_DATABASE_URL=f"sqlite:///{tmp_path}/text.db")
    assert outcome.exit_code == 1
    assert "not a database" in outcome.stderr
