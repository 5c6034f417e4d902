"""`tokenhouse outbox`: what did not arrive is seen, tried again and given up."""

import secrets

import pytest

from app.services.manage_users import disable_user
from tests.actors.logout_receiver import LogoutReceiver
from tests.cli.processes import CommandLine
from tests.patience import wait_until
from tests.world import World

DAY_S = 86_400
PATIENCE_S = 30


@pytest.mark.parametrize("shared_reaching_world", ["sqlite"], indirect=True)
def test_a_dead_letter_is_listed_tried_again_and_dropped(reaching_world: World, receiver: LogoutReceiver) -> None:
    command_line = CommandLine(reaching_world.environment)
    account, browser = reaching_world.operator.add_user(), reaching_world.browser()
    paths = [f"/backchannel/{secrets.token_hex(6)}" for _ in range(2)]
    parties = [reaching_world.relying_party(backchannel_logout_uri=receiver.url(path)) for path in paths]
    for path, party in zip(paths, parties, strict=True):
        receiver.answers[path] = 500
        reaching_world.get_code(party, account, browser=browser)
    ours = {party.client_id for party in parties}

    def listed(*options: str) -> list[dict[str, object]]:
        return [message for message in command_line.json("outbox", "list", *options) if message["client_id"] in ours]

    disable_user(reaching_world.operator.deployment, account.username)
    wait_until(lambda: all(receiver.at(path) for path in paths), within_s=PATIENCE_S)
    # On a busy machine the next attempt may have come before anybody looks.
    wait_until(lambda: [message["last_error"] for message in listed()] == ["answered 500"] * 2, within_s=PATIENCE_S)
    assert listed("--dead") == []
    (first, second) = listed()
    assert set(first) == {
        "message_id",
        "kind",
        "client_id",
        "recipient",
        "created_at",
        "expires_at",
        "attempts",
        "next_attempt_at",
        "last_error",
        "dead_at",
    }
    assert (first["kind"], first["recipient"], first["last_error"]) == (
        "backchannel_logout",
        first["client_id"],
        "answered 500",
    )
    # Its time is over.
    reaching_world.clock.move(seconds=DAY_S + 60)
    wait_until(lambda: len(listed("--dead")) == 2, within_s=PATIENCE_S)
    reaching_world.clock.reset()
    # The doctor minds how cheap these deployments' password hashes are, so it ends with 1.
    findings = {finding["check"]: finding for finding in command_line.refusal("doctor", "--url", "-")["findings"]}
    assert findings["outbox"]["status"] == "warning"
    events = command_line.json("audit", "list", "--type", "outbox.dead")
    assert {first["message_id"], second["message_id"]} <= {event["body"]["message"] for event in events}
    # One is given up; the other arrives, because the application works again.
    dropped = next(message for message in listed() if message["client_id"] == parties[0].client_id)
    assert command_line.json("outbox", "drop", str(dropped["message_id"]))["message_id"] == dropped["message_id"]
    before = [len(receiver.at(path)) for path in paths]
    receiver.answers.clear()
    assert command_line.json("outbox", "retry", "--dead")["retried"] >= 1
    wait_until(lambda: listed() == [], within_s=PATIENCE_S)
    assert len(receiver.at(paths[0])) == before[0]
    assert len(receiver.at(paths[1])) > before[1]


def test_a_message_that_is_not_there_is_refused(command_line: CommandLine) -> None:
    for message_id in ("00" * 16, "nonsense"):
        assert command_line.refusal("outbox", "retry", message_id)["error"] == "unknown_message"
        assert command_line.refusal("outbox", "drop", message_id)["error"] == "unknown_message"
    assert command_line.json("outbox", "list") == []
