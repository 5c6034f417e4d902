"""`tokenhouse client` and `tokenhouse resource`: RFC 7591 in, RFC 7591 out."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import CommandLine
from tests.databases import on_both_databases
from tests.deployments import PAYMENT

METADATA: dict[str, Any] = {"client_name": "Photo printing", "redirect_uris": ["https://app.example/callback"]}
RESOURCE: dict[str, Any] = {
    "resource": "https://api.example",
    "resource_name": "Photo library",
    "scopes": [{"name": "photos.read", "description": "See your photos", "required": True}],
    "access_token_lifetime_s": 120,
    "access_token_format": "jwt",
    "signing_alg": "RS256",
}


def add_client(command_line: CommandLine, **metadata: Any) -> dict[str, Any]:
    added: dict[str, Any] = command_line.json(
        "client", "add", "--from", "-", stdin=json.dumps({**METADATA, **metadata})
    )
    return added


def refuse_client(command_line: CommandLine, **metadata: Any) -> dict[str, str]:
    return command_line.refusal("client", "add", "--from", "-", stdin=json.dumps({**METADATA, **metadata}))


def test_a_client_gets_an_identifier_a_secret_and_the_default_method(command_line: CommandLine) -> None:
    added = add_client(command_line)
    assert added["token_endpoint_auth_method"] == "client_secret_basic"
    assert added["client_secret"].startswith("th_cs_")
    assert added["client_secret_expires_at"] == 0
    assert added["client_id_issued_at"] > 1_700_000_000
    assert added["redirect_uris"] == METADATA["redirect_uris"]


def test_the_secret_is_never_shown_again(command_line: CommandLine) -> None:
    added = add_client(command_line)
    shown = command_line.json("client", "show", added["client_id"])
    assert "client_secret" not in shown
    assert command_line.json("client", "list") == [shown]
    assert shown["client_name"] == "Photo printing"


def test_a_public_client_has_no_secret(command_line: CommandLine) -> None:
    added = add_client(command_line, token_endpoint_auth_method="none")
    assert "client_secret" not in added
    assert command_line.refusal("client", "rotate-secret", added["client_id"])["error"] == "public_client"


def test_an_import_keeps_its_identifier_and_secret(command_line: CommandLine, tmp_path: Path) -> None:
    secret = "s" * 43
    document = tmp_path / "client.json"
    document.write_text(json.dumps({**METADATA, "client_id": "imported", "client_secret": secret}))
    added = command_line.json("client", "add", "--from", str(document))
    assert (added["client_id"], added["client_secret"]) == ("imported", secret)


def test_rotation_prints_a_new_secret_and_until_when_the_old_one_counts(command_line: CommandLine) -> None:
    added = add_client(command_line)
    rotated = command_line.json("client", "rotate-secret", added["client_id"], "--overlap-seconds", "60")
    assert rotated["client_secret"] != added["client_secret"]
    assert 50 < rotated["previous_secrets_expire_at"] - added["client_id_issued_at"] < 120


@on_both_databases
def test_secrets_that_are_read_back_are_for_servers_that_are_told_to_keep_them(command_line: CommandLine) -> None:
    by_mac = {"token_endpoint_auth_method": "client_secret_jwt", "client_id": "mac"}
    refusal = refuse_client(command_line, **by_mac)
    assert refusal["error"] == "invalid_client_metadata"
    assert "TOKENHOUSE_SEALED_CLIENT_SECRETS" in refusal["error_description"]
    keeping = CommandLine({**command_line.environment, "TOKENHOUSE_SEALED_CLIENT_SECRETS": "on"})
    added = add_client(keeping, **by_mac)
    rotated = keeping.json("client", "rotate-secret", "mac")
    assert rotated["client_secret"].startswith("th_cs_")
    assert rotated["client_secret"] != added["client_secret"]
    # What was allowed once does not go on by itself when it is allowed no longer.
    assert "OFF" in command_line.refusal("client", "rotate-secret", "mac")["error_description"].upper()


def test_disable_enable_and_remove(command_line: CommandLine) -> None:
    client_id = add_client(command_line)["client_id"]
    assert command_line.json("client", "disable", client_id)["disabled"] is True
    assert command_line.json("client", "enable", client_id)["disabled"] is False
    command_line.json("client", "remove", client_id)
    assert command_line.json("client", "list") == []
    assert command_line.refusal("client", "show", client_id)["error"] == "unknown_client"
    assert refuse_client(command_line, client_id=client_id)["error"] == "invalid_client_metadata"


@on_both_databases
def test_a_resource_is_registered_listed_and_found_by_its_alias(command_line: CommandLine) -> None:
    added = command_line.json("resource", "add", "--from", "-", stdin=json.dumps(RESOURCE))
    assert {name: added[name] for name in RESOURCE} == RESOURCE
    assert command_line.json("resource", "list") == [added]
    assert command_line.json("resource", "show", "https://api.example/") == added
    again = command_line.refusal("resource", "add", "--from", "-", stdin=json.dumps(RESOURCE))
    assert again["error"] == "resource_exists"
    assert command_line.refusal("resource", "show", "https://nowhere.example")["error"] == "unknown_resource"


def test_a_type_of_details_is_registered_listed_and_shown(command_line: CommandLine) -> None:
    document = {"type": "payment", **PAYMENT}
    added = command_line.json("details-type", "add", "--from", "-", stdin=json.dumps(document))
    assert {**added, "schema": {**added["schema"], "properties": None}} == {
        **document,
        "schema": {**PAYMENT["schema"], "properties": None},
    }
    assert added["schema"]["properties"] == {"type": {"const": "payment"}, **PAYMENT["schema"]["properties"]}
    assert command_line.json("details-type", "list") == [added]
    assert command_line.json("details-type", "show", "payment") == added
    again = command_line.refusal("details-type", "add", "--from", "-", stdin=json.dumps(added))
    assert again["error"] == "details_type_exists"
    assert command_line.refusal("details-type", "show", "other")["error"] == "unknown_details_type"
    wrong = command_line.refusal("details-type", "add", "--from", "-", stdin=json.dumps({**document, "title": ""}))
    assert (wrong["error"], wrong["error_description"][:6]) == ("invalid_details_type", "title:")


@pytest.mark.parametrize("text", ["[]", '{"client_name": "a", "client_name": "b"}'], ids=["array", "twice"])
def test_what_is_not_one_plain_json_object_is_refused(command_line: CommandLine, text: str) -> None:
    assert command_line.refusal("client", "add", "--from", "-", stdin=text)["error"] == "invalid_json"


def test_a_file_that_is_not_there_is_named(command_line: CommandLine, tmp_path: Path) -> None:
    refusal = command_line.refusal("client", "add", "--from", str(tmp_path / "missing.json"))
    assert refusal["error"] == "unreadable_file"
    assert "missing.json" in refusal["error_description"]
