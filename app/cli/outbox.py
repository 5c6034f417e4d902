"""`tokenhouse outbox`."""

from typing import Any

import click

from app.cli.display import details, moment, seconds, table
from app.cli.opening import opened_deployment
from app.cli.operator_command import Answer, OperatorGroup
from app.services import manage_outbox
from app.services.manage_outbox import WaitingMessage


@click.group("outbox", cls=OperatorGroup)
def command() -> None:
    """What has to be told to others, and has not arrived."""


@command.command("list")
@click.option("--dead", is_flag=True, help="Only those that are not tried any more.")
def list_(dead: bool) -> Answer:
    """The messages that wait, the dead ones among them, the oldest first."""
    with opened_deployment() as deployment:
        messages = manage_outbox.list_messages(deployment, only_dead=dead)
    rows = [
        (
            message.message_id,
            message.kind,
            message.recipient,
            _state(message),
            str(message.attempts),
            moment(message.created_at),
            message.last_error or "",
        )
        for message in messages
    ]
    headings = ("message", "kind", "recipient", "state", "attempts", "written", "last error")
    return Answer(document=[_document(message) for message in messages], human=table(headings, rows))


@command.command("retry")
@click.argument("message_id", required=False)
@click.option("--dead", is_flag=True, help="Every dead message instead of one.")
def retry(message_id: str | None, dead: bool) -> Answer:
    """Try a message again at once. A running server delivers it; it gets as much time as a new one."""
    if (message_id is None) != dead:
        raise click.UsageError("name one message, or --dead for all that are")
    with opened_deployment() as deployment:
        if message_id is not None:
            return _answer(manage_outbox.retry_message(deployment, message_id))
        count = manage_outbox.retry_dead_messages(deployment)
    return Answer(document={"retried": count}, human=f"{count} dead messages are tried again.")


@command.command("drop")
@click.argument("message_id")
def drop(message_id: str) -> Answer:
    """Give a message up: its recipient is not told."""
    with opened_deployment() as deployment:
        return _answer(manage_outbox.drop_message(deployment, message_id))


def _state(message: WaitingMessage) -> str:
    if message.dead_at is not None:
        return f"dead since {moment(message.dead_at)}"
    return f"next attempt {moment(message.next_attempt_at)}"


def _document(message: WaitingMessage) -> dict[str, Any]:
    return {
        "message_id": message.message_id,
        "kind": message.kind,
        "client_id": message.client_id,
        "recipient": message.recipient,
        "created_at": seconds(message.created_at),
        "expires_at": seconds(message.expires_at),
        "attempts": message.attempts,
        "next_attempt_at": seconds(message.next_attempt_at),
        "last_error": message.last_error,
        "dead_at": seconds(message.dead_at),
    }


def _answer(message: WaitingMessage) -> Answer:
    human = details(
        [
            ("message", message.message_id),
            ("kind", message.kind),
            ("recipient", message.recipient),
            ("state", _state(message)),
            ("attempts", str(message.attempts)),
            ("written", moment(message.created_at)),
            ("tried until", moment(message.expires_at)),
            ("last error", message.last_error or "none"),
        ]
    )
    return Answer(document=_document(message), human=human)
