"""A key-encryption key that cannot be read (attacks.md, fault 14)."""

import json
from pathlib import Path

from tests.cli.processes import CommandLine, serving


def test_an_unreadable_key_stops_the_start_with_path_and_reason(command_line: CommandLine, tmp_path: Path) -> None:
    kek = tmp_path / "keys" / "key-encryption-key"
    kek.chmod(0)
    outcome = command_line("serve")
    assert outcome.exit_code == 1
    assert str(kek) in outcome.stderr
    assert "Permission denied" in outcome.stderr
    assert command_line.refusal("init")["error"] == "already_initialised"
    assert list((tmp_path / "keys").iterdir()) == [kek]


def test_a_running_server_keeps_its_keys_and_says_that_it_is_not_ready(
    command_line: CommandLine, tmp_path: Path
) -> None:
    kek = tmp_path / "keys" / "key-encryption-key"
    with serving(command_line.environment, tmp_path) as server:
        published = server.get("/jwks")[1]
        kek.chmod(0)
        server.wait_until(lambda: server.get("/readyz")[0] == 503)
        assert "key" in json.loads(server.get("/readyz")[1])["reason"]
        assert server.get("/livez")[0] == 200
        assert server.get("/jwks")[1] == published
        kek.chmod(0o400)
        server.wait_until(lambda: server.get("/readyz")[0] == 200)
