"""Mail that meets trouble: the mail server is down, knows nobody, or ours is killed with a mail in its hands."""

from app.services.manage_outbox import WaitingMessage, list_messages
from app.services.manage_users import set_password, show_user
from app.services.outbox import CLAIMED_FOR_MS
from tests.actors.mail_server import MailServer
from tests.cli.processes import CommandLine
from tests.deployments import PASSWORD
from tests.faults.fault_world import FaultWorld
from tests.faults.patience import eventually
from tests.faults.test_kill_exchange import is_dead

PATIENCE_S = 30


def cause_mail(world: FaultWorld) -> str:
    """Somebody's password is set, of which they are told; their address."""
    account = world.operator.add_user()
    set_password(world.operator.deployment, account.username, PASSWORD + " anew")
    return show_user(world.operator.deployment, account.username).email


def waiting_mail(world: FaultWorld) -> list[WaitingMessage]:
    return [message for message in list_messages(world.operator.deployment) if message.kind == "mail"]


def test_a_mail_in_the_hands_of_a_killed_server_comes_at_least_once(alone: FaultWorld, mail_server: MailServer) -> None:
    alone.faults.kill_at("outbox.after_delivery.mail")
    address = cause_mail(alone)
    eventually(lambda: is_dead(alone), within_s=PATIENCE_S, what="the server was killed")
    assert len(mail_server.to(address)) == 1
    alone.restart()
    alone.clock.move(seconds=CLAIMED_FOR_MS / 1000)
    mail_server.wait_for(address, count=2)
    assert len({mail.message["Message-ID"] for mail in mail_server.to(address)}) == 1
    eventually(lambda: not waiting_mail(alone), within_s=PATIENCE_S, what="it is forgotten")


def test_mail_waits_for_a_mail_server_that_is_down_and_shows_no_address_meanwhile(
    sqlite: FaultWorld, mail_server: MailServer
) -> None:
    mail_server.stop()
    try:
        address = cause_mail(sqlite)
        eventually(
            lambda: any(message.attempts for message in waiting_mail(sqlite)), within_s=PATIENCE_S, what="it was tried"
        )
        errors = {message.last_error for message in waiting_mail(sqlite) if message.attempts}
        assert errors == {"the mail server cannot be reached: Connection refused"}
        listed = CommandLine(sqlite.environment).json("outbox", "list")
        assert "mail" in [entry["kind"] for entry in listed]
        assert address.partition("@")[0] not in f"{listed}"
    finally:
        mail_server.start()
    sqlite.clock.move(seconds=60)
    mail_server.wait_for(address)
    eventually(lambda: not waiting_mail(sqlite), within_s=PATIENCE_S, what="it is forgotten")


def test_a_mail_to_nobody_is_a_dead_letter_at_once(sqlite: FaultWorld, mail_server: MailServer) -> None:
    account = sqlite.operator.add_user()
    address = show_user(sqlite.operator.deployment, account.username).email
    mail_server.refusals[address] = "550 5.1.1 nobody of that name"
    set_password(sqlite.operator.deployment, account.username, PASSWORD + " anew")
    eventually(
        lambda: any(message.dead_at for message in waiting_mail(sqlite)), within_s=PATIENCE_S, what="it is given up"
    )
    command_line = CommandLine(sqlite.environment)
    (dead,) = (entry for entry in command_line.json("outbox", "list", "--dead") if entry["kind"] == "mail")
    assert dead["last_error"] == "the mail server refused the recipient (550)"
    assert dead["attempts"] == 1
    del mail_server.refusals[address]
    assert command_line.json("outbox", "retry", "--dead")["retried"] >= 1
    mail_server.wait_for(address)
