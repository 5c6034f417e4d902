"""`tokenhouse user`: the shapes that other programs read, and who can log in afterwards."""

import json
import re
from pathlib import Path

from tests.cli.processes import CommandLine
from tests.databases import on_both_databases
from tests.standard_claims import EVERY_CLAIM

PASSWORD = "correct horse battery staple"


def add(command_line: CommandLine, name: str = "alice", *more: str) -> dict[str, object]:
    added: dict[str, object] = command_line.json(
        "user", "add", name, "--email", f"{name}@example.com", "--password-stdin", *more, stdin=PASSWORD
    )
    return added


@on_both_databases
def test_a_user_is_added_shown_disabled_enabled_and_listed(command_line: CommandLine) -> None:
    added = add(command_line)
    assert added == {
        "sub": added["sub"],
        "username": "alice",
        "email": "alice@example.com",
        "disabled": False,
        "admin": False,
    }
    nothing = {"passkeys": 0, "linked_logins": 0, "authenticator": False, "recovery_codes": 0}
    activity = {"last_login_at": None, "sessions": 0, "throttled_for_s": None}
    shown = {**added, "factors": {"password": True, **nothing}, "activity": activity}
    assert command_line.json("user", "show", "ALICE") == shown
    assert command_line.json("user", "show", str(added["sub"])) == shown
    assert command_line.json("user", "disable", "alice") == {**added, "disabled": True}
    assert command_line.json("user", "list") == [{**added, "disabled": True}]
    assert command_line.json("user", "enable", "alice") == added
    assert command_line.json("user", "reset-factors", "alice") == added
    assert command_line.json("user", "sessions", "alice") == []
    assert command_line.json("user", "sign-out", "alice") == added
    assert command_line.json("user", "unlock", "alice") == added


def test_claims_come_from_a_file_and_can_be_replaced(command_line: CommandLine, tmp_path: Path) -> None:
    claims = tmp_path / "claims.json"
    claims.write_text(json.dumps({"name": "Alice", "email_verified": True}))
    add(command_line, "alice", "--claims", str(claims))
    assert "Alice" in command_line("user", "show", "alice").stdout
    changed = command_line.json("user", "set", "alice", "--claims", "-", stdin='{"name": "Alicia"}')
    assert changed["email"] == "alice@example.com"
    shown = command_line("user", "show", "alice").stdout
    assert "Alicia" in shown
    assert re.search(r"email_verified +no", shown)


def test_set_changes_e_mail_and_administrator(command_line: CommandLine) -> None:
    add(command_line)
    changed = command_line.json("user", "set", "alice", "--email", "new@example.com", "--admin")
    assert (changed["email"], changed["admin"]) == ("new@example.com", True)
    assert command_line.json("user", "set", "alice", "--no-admin")["admin"] is False


def test_without_a_terminal_a_password_must_come_from_standard_input(command_line: CommandLine) -> None:
    outcome = command_line("user", "add", "bob", "--email", "b@example.com", "--json", stdin=PASSWORD)
    assert outcome.exit_code == 2
    assert "--password-stdin" in outcome.stderr
    assert outcome.stdout == ""


def test_set_password_takes_a_new_one_and_says_nothing_of_it(command_line: CommandLine) -> None:
    add(command_line)
    new = "an entirely different password"
    outcome = command_line("user", "set-password", "alice", "--password-stdin", "--json", stdin=new)
    assert outcome.exit_code == 0
    assert new not in outcome.stdout + outcome.stderr


def test_a_name_cannot_move_the_terminals_cursor(command_line: CommandLine) -> None:
    refusal = command_line.refusal(
        "user", "add", "a\x1b[2Jb", "--email", "b@example.com", "--password-stdin", stdin=PASSWORD
    )
    assert refusal["error"] == "invalid_username"
    outcome = command_line("user", "show", "a\x1b[2Jb")
    assert "\x1b" not in outcome.stdout + outcome.stderr


def test_a_file_gives_a_person_every_claim(command_line: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "claims.json"
    file.write_text(json.dumps(EVERY_CLAIM))
    person = ("ada", "--email", "ada@example.com", "--password-stdin", "--claims", str(file))
    command_line.json("user", "add", *person, stdin="correct horse battery staple")
    shown = command_line("user", "show", "ada").stdout
    for name in EVERY_CLAIM:
        assert name in shown
    command_line.json("user", "set", "ada", "--claims", str(file))
    refused = command_line("user", "set", "ada", "--claims", "-", stdin='{"birthdate": "10 December"}')
    assert refused.exit_code == 1
    assert "birthdate" in refused.stderr


def test_a_person_is_exported_and_removed(command_line: CommandLine) -> None:
    added = command_line.json(
        "user", "add", "leaver", "--email", "leaver@example.com", "--password-stdin", stdin=PASSWORD
    )
    exported = command_line.json("user", "export", "leaver")
    assert exported["profile"]["sub"] == added["sub"]
    assert [event["type"] for event in exported["events"]] == ["account.exported", "user.created"]
    assert json.loads(command_line("user", "export", "leaver").stdout)["profile"] == exported["profile"]
    assert command_line.json("user", "remove", "leaver")["sub"] == added["sub"]
    assert command_line.refusal("user", "show", "leaver")["error"] == "unknown_user"
    assert command_line.refusal("user", "remove", added["sub"])["error"] == "unknown_user"
    assert added["sub"] not in {user["sub"] for user in command_line.json("user", "list")}
