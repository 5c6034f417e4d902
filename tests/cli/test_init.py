"""`tokenhouse init`: once, without a terminal, and never a second key."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.processes import CommandLine
from tests.databases import on_both_databases

PASSWORD = "correct horse battery staple"


def snapshot(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@on_both_databases
def test_init_makes_keys_tables_and_an_administrator_without_a_terminal(
    new_command_line: CommandLine, tmp_path: Path
) -> None:
    made = new_command_line.json(
        "init", "--admin", "root", "--email", "root@example.com", "--password-stdin", stdin=PASSWORD + "\n"
    )
    assert made["issuer"] == "http://localhost:8400"
    assert made["argon2"]["memory_kib"] >= 19 * 1024
    assert made["argon2"]["time_cost"] >= 2
    (administrator,) = new_command_line.json("user", "list")
    assert administrator == {
        "sub": made["admin_sub"],
        "username": "root",
        "email": "root@example.com",
        "disabled": False,
        "admin": True,
    }
    states = [(key["alg"], key["state"]) for key in new_command_line.json("keys", "list")]
    signing = {(alg, state) for alg in ("ES256", "RS256") for state in ("active", "standby")}
    # What clients encrypt to needs no standby.
    assert sorted(states) == sorted(signing | {("ECDH-ES", "active"), ("RSA-OAEP-256", "active")})
    kek = Path(made["kek_file"])
    assert stat.S_IMODE(kek.stat().st_mode) == 0o400
    assert kek.parent == tmp_path / "keys"


def test_a_second_init_is_refused_and_changes_nothing(command_line: CommandLine, tmp_path: Path) -> None:
    command_line.json("user", "list")
    keys, listed = snapshot(tmp_path / "keys"), command_line.json("keys", "list")
    refusal = command_line.refusal(
        "init", "--admin", "eve", "--email", "eve@example.com", "--password-stdin", stdin=PASSWORD
    )
    assert refusal["error"] == "already_initialised"
    assert snapshot(tmp_path / "keys") == keys
    assert command_line.json("keys", "list") == listed
    assert command_line.json("user", "list") == []


@on_both_databases
def test_of_two_that_initialise_at_once_one_wins(new_command_line: CommandLine) -> None:
    def run(name: str) -> int:
        return new_command_line(
            "init", "--admin", name, "--email", f"{name}@example.com", "--password-stdin", stdin=PASSWORD
        ).exit_code

    with ThreadPoolExecutor(2) as pool:
        codes = sorted(pool.map(run, ("first", "second")))
    assert codes == [0, 1]
    assert len(new_command_line.json("user", "list")) == 1
    assert len(new_command_line.json("keys", "list")) == 6


def test_an_init_that_ended_after_its_key_was_written_is_simply_run_again(
    new_command_line: CommandLine, tmp_path: Path
) -> None:
    new_command_line.json("init")
    (tmp_path / "second").mkdir()
    kek = (tmp_path / "keys" / "key-encryption-key").read_bytes()
    fresh = CommandLine(
        {**new_command_line.environment, "TOKENHOUSE_DATABASE_URL": f"sqlite:///{tmp_path}/second/other.db"}
    )
    fresh.json("init")
    assert (tmp_path / "keys" / "key-encryption-key").read_bytes() == kek


def test_a_weak_password_is_refused_before_anything_is_made(new_command_line: CommandLine, tmp_path: Path) -> None:
    refusal = new_command_line.refusal(
        "init", "--admin", "root", "--email", "root@example.com", "--password-stdin", stdin="short"
    )
    assert refusal["error"] == "invalid_password"
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--admin", "root", "--password-stdin"),
        ("--email", "root@example.com"),
        ("--admin", "root", "--email", "root@example.com"),
    ],
    ids=["no e-mail", "no name", "no password and no terminal"],
)
def test_half_an_administrator_is_wrong_usage(new_command_line: CommandLine, arguments: tuple[str, ...]) -> None:
    outcome = new_command_line("init", *arguments)
    assert outcome.exit_code == 2
    assert "Usage:" in outcome.stderr


def test_the_password_reaches_no_output_and_no_column(new_command_line: CommandLine, tmp_path: Path) -> None:
    outcome = new_command_line(
        "init",
        "--admin",
        "root",
        "--email",
        "root@example.com",
        "--password-stdin",
        "--json",
        stdin=PASSWORD,
        TOKENHOUSE_LOG_LEVEL="DEBUG",
    )
    assert outcome.exit_code == 0
    assert PASSWORD not in outcome.stdout + outcome.stderr
    for path in tmp_path.iterdir():
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes()


def test_a_keys_directory_that_cannot_be_written_is_named(new_command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refusal = CommandLine({**new_command_line.environment, "TOKENHOUSE_KEYS_DIR": str(tmp_path / "file")}).refusal(
        "init"
    )
    assert refusal["error"] == "key_encryption_key_unusable"
    assert str(tmp_path / "file") in refusal["error_description"]
