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


def update_client(command_line: CommandLine, client_id: str, **changes: Any) -> dict[str, Any]:
    """As an operator does it: what is shown, with something else in it."""
    document = {**command_line.json("client", "show", client_id), **changes}
    updated: dict[str, Any] = command_line.json(
        "client", "update", client_id, "--from", "-", stdin=json.dumps(document)
    )
    return updated


@on_both_databases
def test_an_update_replaces_metadata_and_policy_and_keeps_the_secret(command_line: CommandLine) -> None:
    client_id = add_client(command_line, policy={"access_token_lifetime_s": 60})["client_id"]
    shown = command_line.json("client", "show", client_id)
    assert update_client(command_line, client_id) == shown
    callbacks = ["https://app.example/callback", "https://app.example/other"]
    updated = update_client(command_line, client_id, redirect_uris=callbacks, policy={"skip_consent": True})
    assert "client_secret" not in updated
    assert updated == command_line.json("client", "show", client_id)
    assert updated["redirect_uris"] == callbacks
    assert (updated["policy"]["skip_consent"], "access_token_lifetime_s" in updated["policy"]) == (True, False)
    events = command_line.json("audit", "list", "--client-id", client_id)
    changed = [event["body"]["changed"] for event in events if event["type"] == "client.updated"]
    assert sorted(changed) == [[], ["policy", "redirect_uris"]]


def test_another_way_to_authenticate_has_a_secret_of_its_own(command_line: CommandLine) -> None:
    client_id = add_client(command_line)["client_id"]
    by_post = update_client(command_line, client_id, token_endpoint_auth_method="client_secret_post")
    assert by_post["client_secret"].startswith("th_cs_")
    public = update_client(command_line, client_id, token_endpoint_auth_method="none")
    assert "client_secret" not in public
    assert command_line.refusal("client", "rotate-secret", client_id)["error"] == "public_client"


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"client_id": "another"}, "invalid_client_metadata", "client_id: cannot be changed by an update"),
        ({"disabled": True}, "invalid_client_metadata", "disabled: cannot be changed by an update"),
        ({"client_secret": "s" * 43}, "invalid_client_metadata", "client_secret: is changed by"),
        ({"redirect_uris": ["http://app.example/callback"]}, "invalid_redirect_uri", "a redirect URI must use https"),
        ({"policy": {"skip_consents": True}}, "invalid_client_metadata", "policy.skip_consents"),
        ({"policy": None}, "invalid_client_metadata", "policy: is required"),
    ],
    ids=["name", "disabled", "secret", "redirect URI", "policy", "no policy"],
)
def test_an_update_that_will_not_do_changes_nothing(
    command_line: CommandLine, changes: dict[str, Any], error: str, reason: str
) -> None:
    client_id = add_client(command_line)["client_id"]
    shown = command_line.json("client", "show", client_id)
    document = json.dumps({**shown, **changes})
    refusal = command_line.refusal("client", "update", client_id, "--from", "-", stdin=document)
    assert refusal["error"] == error
    assert refusal["error_description"].startswith(reason)
    assert command_line.json("client", "show", client_id) == shown


def test_only_a_client_that_is_there_is_updated(command_line: CommandLine) -> None:
    refusal = command_line.refusal("client", "update", "nobody", "--from", "-", stdin=json.dumps(METADATA))
    assert refusal["error"] == "unknown_client"


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


@on_both_databases
def test_a_resource_is_replaced_under_its_identifier_with_other_aliases(command_line: CommandLine) -> None:
    command_line.json("resource", "add", "--from", "-", stdin=json.dumps({**RESOURCE, "aliases": ["urn:old"]}))
    other = {**RESOURCE, "resource": "https://other.example", "aliases": ["urn:other"]}
    command_line.json("resource", "add", "--from", "-", stdin=json.dumps(other))
    update = ("resource", "update", "urn:old", "--from", "-")
    change = {**RESOURCE, "access_token_lifetime_s": 60, "aliases": ["urn:old", "urn:new"]}
    updated = command_line.json(*update, stdin=json.dumps(change))
    assert (updated["access_token_lifetime_s"], updated["aliases"]) == (
        60,
        ["urn:old", "urn:new", "https://api.example/"],
    )
    assert command_line.json("resource", "show", "urn:new") == updated
    # Each of these changes nothing.
    again = ("resource", "update", "urn:new", "--from", "-")
    taken = command_line.refusal(*again, stdin=json.dumps({**change, "aliases": [*change["aliases"], "urn:other"]}))
    assert taken["error"] == "resource_exists"
    dropped = command_line.refusal(*again, stdin=json.dumps({**change, "aliases": ["urn:new"]}))
    assert dropped["error_description"] == "aliases: urn:old cannot be taken away"
    renamed = command_line.refusal(*again, stdin=json.dumps({**change, "resource": "https://new.example"}))
    assert renamed["error_description"].startswith("resource: cannot be changed by an update")
    unknown = command_line.refusal("resource", "update", "urn:none", "--from", "-", stdin=json.dumps(change))
    assert unknown["error"] == "unknown_resource"
    assert command_line.json("resource", "show", "urn:new") == updated
    (event,) = command_line.json("audit", "list", "--type", "resource.updated")
    assert event["body"] == {"resource": "https://api.example", "changed": ["access_token_lifetime_s", "aliases"]}


def test_a_type_of_details_is_removed(command_line: CommandLine) -> None:
    document = {"type": "payment", **PAYMENT}
    added = command_line.json("details-type", "add", "--from", "-", stdin=json.dumps(document))
    assert command_line.json("details-type", "remove", "payment") == added
    assert command_line.json("details-type", "list") == []
    for gone in (("remove", "payment"), ("show", "payment")):
        assert command_line.refusal("details-type", *gone)["error"] == "unknown_details_type"


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
