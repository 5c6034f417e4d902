"""`tokenhouse idp`: other providers, as the operator manages and examines them."""

import json
from typing import Any

import pytest

from tests.cli.processes import CommandLine
from tests.databases import on_both_databases

MEADOW: dict[str, Any] = {
    "name": "meadow",
    "display_name": "Meadow Accounts",
    "issuer": "https://accounts.meadow.example",
    "client_id": "us",
    "client_secret": "not-chosen-by-us",
    "email_domains": ["meadow.example"],
}
FORGE: dict[str, Any] = {
    "name": "forge",
    "display_name": "The Forge",
    "kind": "oauth",
    "authorization_endpoint": "https://forge.example/authorize",
    "token_endpoint": "https://forge.example/token",
    "userinfo_endpoint": "https://api.forge.example/user",
    "mapping": {"subject": "id", "name": "login"},
    "scope": "read:user",
    "client_id": "us",
    "client_secret": "s",
}


def add(command_line: CommandLine, document: dict[str, Any], **changes: Any) -> Any:
    return command_line.json("idp", "add", "--from", "-", stdin=json.dumps({**document, **changes}))


def refuse(command_line: CommandLine, document: dict[str, Any], **changes: Any) -> dict[str, str]:
    merged = {name: value for name, value in {**document, **changes}.items() if value is not ...}
    return command_line.refusal("idp", "add", "--from", "-", stdin=json.dumps(merged))


@on_both_databases
def test_a_provider_is_added_shown_switched_off_and_on(command_line: CommandLine) -> None:
    added = add(command_line, MEADOW)
    assert added["callback_url"] == "http://localhost:8400/login/callback/meadow"
    assert added["backchannel_logout_uri"] == "http://localhost:8400/backchannel-logout/meadow"
    assert (added["provisioning"], added["level_cap"], added["usable_for"]) == ("off", "pwd", "login")
    assert added["id_token_signing_algs"] == ["RS256", "ES256", "PS256"]
    assert "client_secret" not in added
    assert command_line.json("idp", "list") == [added]
    assert command_line.json("idp", "show", "meadow") == added
    assert command_line.json("idp", "disable", "meadow")["disabled"] is True
    assert command_line.json("idp", "enable", "meadow") == added
    # A name is never another's, and a domain belongs to one provider.
    assert refuse(command_line, MEADOW)["error"] == "provider_exists"
    assert refuse(command_line, MEADOW, name="other")["error"] == "domain_taken"
    assert command_line.json("idp", "list") == [added]
    assert add(command_line, FORGE)["mapping"] == {"subject": "id", "name": "login"}
    assert command_line.refusal("idp", "show", "nobody")["error"] == "unknown_provider"


WRONG: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (MEADOW, {"name": "No Slug"}, "name: must have"),
    (MEADOW, {"issuer": "http://accounts.meadow.example"}, "issuer: must use https"),
    (MEADOW, {"issuer": "https://accounts.meadow.example/?tenant=1"}, "issuer: must hold neither"),
    (MEADOW, {"issuer": ...}, "needs its issuer"),
    (MEADOW, {"token_endpoint": "https://accounts.meadow.example/token"}, "are for kind oauth"),
    (MEADOW, {"scope": "email"}, "scope must hold openid"),
    (MEADOW, {"client_secret": ...}, "client_secret: is required"),
    (MEADOW, {"client_secret": "has a space"}, "client_secret: must have"),
    (MEADOW, {"token_endpoint_auth_method": "private_key_jwt"}, "client_secret: token_endpoint_auth_method uses none"),
    (MEADOW, {"id_token_signing_algs": ["HS256"]}, "id_token_signing_algs"),
    (MEADOW, {"id_token_signing_algs": []}, "id_token_signing_algs"),
    (MEADOW, {"provisioning": "domain", "email_domains": []}, "needs email_domains"),
    (MEADOW, {"provisioning": "invite", "usable_for": "link"}, "needs usable_for login"),
    (MEADOW, {"email_domains": ["Mea dow"]}, "email_domains[0]"),
    (MEADOW, {"level_cap": "high"}, "level_cap"),
    (MEADOW, {"colour": "red"}, "colour: is not a known member"),
    (FORGE, {"mapping": ...}, "kind oauth needs"),
    (FORGE, {"mapping": {"subject": "a b"}}, "mapping.subject"),
    (FORGE, {"level_cap": "mfa"}, "level_cap must be pwd"),
    (FORGE, {"provisioning": "invite"}, "needs a mapping of email and email_verified"),
    (FORGE, {"issuer": "https://forge.example"}, "an issuer is for kind openid"),
]


def test_what_is_wrong_in_a_document_is_named_and_no_secret_is_repeated(command_line: CommandLine) -> None:
    for document, changes, sentence in WRONG:
        refusal = refuse(command_line, document, **changes)
        assert sentence in refusal["error_description"], (changes, refusal)
        assert "not-chosen-by-us" not in refusal["error_description"]
    assert command_line.json("idp", "list") == []


def test_an_invitation_is_for_a_provider_that_makes_accounts(command_line: CommandLine) -> None:
    add(command_line, MEADOW)
    command = ("idp", "invite", "meadow", "--email", "ada@meadow.example")
    assert command_line.refusal(*command)["error"] == "provisioning_off"
    add(command_line, MEADOW, name="inviting", provisioning="invite", email_domains=[])
    command = ("idp", "invite", "inviting", "--email", "ada@meadow.example")
    invited = command_line.json(*command)
    assert invited["url"].startswith("http://localhost:8400/login/invited/th_el_")
    assert invited["mailed"] is False


def test_a_provider_that_cannot_be_reached_is_examined_all_the_same(command_line: CommandLine) -> None:
    add(command_line, MEADOW, issuer="https://127.0.0.1:9")
    outcome = command_line("idp", "test", "meadow", "--json")
    assert outcome.exit_code == 1
    document = json.loads(outcome.stdout)
    assert document["error"] == "provider_unusable"
    assert document["findings"][0]["status"] == "error"


@pytest.mark.parametrize("command", ["show", "disable", "enable", "test"])
def test_a_name_that_nobody_has(command_line: CommandLine, command: str) -> None:
    assert command_line.refusal("idp", command, "nobody")["error"] == "unknown_provider"
