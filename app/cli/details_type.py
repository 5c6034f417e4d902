"""`tokenhouse details-type`."""

import json

import click

from app.cli.display import details, table
from app.cli.opening import opened_deployment, read_document
from app.cli.operator_command import Answer, OperatorGroup
from app.services import manage_details_types
from app.services.manage_details_types import RegisteredDetailsType


@click.group("details-type", cls=OperatorGroup)
def command() -> None:
    """The types of authorization details that can be granted (RFC 9396)."""


@command.command("add")
@click.option("--from", "source", required=True, metavar="FILE", help="The type as JSON; - is standard input.")
def add(source: str) -> Answer:
    """Register a type: its schema, how its members compare, and its words for people."""
    document = read_document(source)
    with opened_deployment() as deployment:
        return _answer(manage_details_types.add_details_type(deployment, document))


@command.command("list")
def list_() -> Answer:
    """Every type, the oldest first."""
    with opened_deployment() as deployment:
        types = manage_details_types.list_details_types(deployment)
    rows = [
        (registered.type, registered.document.get("title"), registered.document.get("resources") or "all")
        for registered in types
    ]
    human = table(("type", "title", "resources"), rows)
    return Answer(document=[registered.to_document() for registered in types], human=human)


@command.command("show")
@click.argument("details_type", metavar="TYPE")
def show(details_type: str) -> Answer:
    """One type."""
    with opened_deployment() as deployment:
        return _answer(manage_details_types.show_details_type(deployment, details_type))


@command.command("remove")
@click.argument("details_type", metavar="TYPE")
def remove(details_type: str) -> Answer:
    """Forget a type. A grant that has any of it gives no token from now on."""
    with opened_deployment() as deployment:
        return _answer(manage_details_types.remove_details_type(deployment, details_type))


def _answer(registered: RegisteredDetailsType) -> Answer:
    document = registered.to_document()
    human = details(
        [
            ("type", document.get("type")),
            ("title", document.get("title")),
            ("sentence", document.get("sentence")),
            ("resources", document.get("resources") or "all"),
            ("orders", json.dumps(document.get("orders", {}))),
            ("schema", json.dumps(document.get("schema", {}))),
        ]
    )
    return Answer(document=document, human=human)
