"""`tokenhouse audit`."""

import datetime
import json
from typing import Any

import click

from app.cli.display import moment, table
from app.cli.opening import opened_deployment
from app.cli.operator_command import Answer, OperatorGroup
from app.services.list_audit import AuditEvent, list_audit


@click.group("audit", cls=OperatorGroup)
def command() -> None:
    """What happened."""


@command.command("list")
@click.option("--limit", type=int, default=100, show_default=True, help="At most so many events.")
@click.option("--type", "event_type", metavar="TYPE", help="Only events of a type, such as login.refused.")
@click.option("--sub", help="Only events about a person.")
@click.option("--client-id", help="Only events about a client.")
@click.option("--incident", metavar="CODE", help="The event behind the code at the end of an error.")
@click.option("--since", metavar="SECONDS", type=int, help="Only events since a time, in seconds since 1970.")
@click.option("--personal", is_flag=True, help="Open what names a person: addresses, names, user agents.")
def list_(
    limit: int,
    event_type: str | None,
    sub: str | None,
    client_id: str | None,
    incident: str | None,
    since: int | None,
    personal: bool,
) -> Answer:
    """The newest events, the newest first."""
    with opened_deployment() as deployment:
        events = list_audit(
            deployment,
            limit=limit,
            event_type=event_type,
            sub=sub,
            client_id=client_id,
            incident=incident,
            since=None if since is None else since * 1000,
            with_personal=personal,
        )
    rows = [
        (moment(event.at), event.type, event.actor, event.sub, event.client_id, event.incident, _details(event))
        for event in events
    ]
    human = table(("when", "what", "who", "sub", "client_id", "incident", "details"), rows)
    return Answer(document=[_document(event, with_personal=personal) for event in events], human=human)


def _document(event: AuditEvent, *, with_personal: bool) -> dict[str, Any]:
    at = datetime.datetime.fromtimestamp(event.at / 1000, datetime.UTC)
    document = {
        "event_id": event.event_id,
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "type": event.type,
        "actor": event.actor,
        "sub": event.sub,
        "client_id": event.client_id,
        "grant_id": event.grant_id,
        "incident": event.incident,
        "body": dict(event.body),
    }
    return {**document, "personal": dict(event.personal)} if with_personal else document


def _details(event: AuditEvent) -> str:
    return " ".join(f"{name}={_short(value)}" for name, value in {**event.body, **event.personal}.items())


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
