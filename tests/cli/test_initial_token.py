"""`tokenhouse client initial-token`."""

import json

from tests.cli.processes import CommandLine


def test_a_token_is_made_listed_and_revoked(command_line: CommandLine) -> None:
    policy = {"resources": ["https://api.example"], "skip_consent": True}
    made = command_line.json(
        *("client", "initial-token", "add", "--label", "partners", "--max-uses", "3", "--expires-in", "60"),
        *("--policy", "-"),
        stdin=json.dumps(policy),
    )
    assert made["initial_access_token"].startswith("th_ia_")
    assert made["policy"].items() >= policy.items()
    assert (made["max_uses"], made["uses"], made["revoked"]) == (3, 0, False)
    assert made["expires_at"] - made["created_at"] == 60
    (listed,) = command_line.json("client", "initial-token", "list")
    assert listed == {name: value for name, value in made.items() if name != "initial_access_token"}
    revoked = command_line.json("client", "initial-token", "revoke", str(made["id"]))
    assert revoked["revoked"] is True
    assert "partners" in command_line("client", "initial-token", "list").stdout


def test_a_policy_with_an_unknown_member_is_refused(command_line: CommandLine) -> None:
    """An ignored restriction would fail open."""
    refusal = command_line.refusal(
        "client", "initial-token", "add", "--label", "partners", "--policy", "-", stdin='{"resource": []}'
    )
    assert refusal["error"] == "invalid_client_metadata"


def test_an_unknown_token_cannot_be_revoked(command_line: CommandLine) -> None:
    assert command_line.refusal("client", "initial-token", "revoke", "7")["error"] == "unknown_initial_access_token"
