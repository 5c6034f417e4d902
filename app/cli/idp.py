"""`tokenhouse idp`."""

from collections.abc import Mapping
from typing import Any

import click

from app.cli.display import details, table
from app.cli.opening import opened_deployment, read_document
from app.cli.operator_command import Answer, OperatorGroup
from app.services import manage_providers
from app.services.manage_providers import RegisteredProvider


@click.group("idp", cls=OperatorGroup)
def command() -> None:
    """Other providers whose logins count here."""


@command.command("add")
@click.option("--from", "source", required=True, metavar="FILE", help="The provider as JSON; - is standard input.")
def add(source: str) -> Answer:
    """Register a provider; what it has to know of this server is printed."""
    document = read_document(source)
    with opened_deployment() as deployment:
        return _answer(manage_providers.add_provider(deployment, document))


@command.command("list")
def list_() -> Answer:
    """Every provider, the oldest first."""
    with opened_deployment() as deployment:
        providers = [provider.to_document() for provider in manage_providers.list_registered(deployment)]
    rows = [
        (each["name"], each["display_name"], each.get("issuer", "oauth"), each["provisioning"], each["disabled"])
        for each in providers
    ]
    human = table(("name", "shown as", "issuer", "provisioning", "disabled"), rows)
    return Answer(document=providers, human=human)


@command.command("show")
@click.argument("name")
def show(name: str) -> Answer:
    """One provider."""
    with opened_deployment() as deployment:
        return _answer(manage_providers.show_provider(deployment, name))


@command.command("disable")
@click.argument("name")
def disable(name: str) -> Answer:
    """Let nobody in by a provider any more."""
    with opened_deployment() as deployment:
        return _answer(manage_providers.set_disabled(deployment, name, is_disabled=True))


@command.command("enable")
@click.argument("name")
def enable(name: str) -> Answer:
    """Let people in by a provider again."""
    with opened_deployment() as deployment:
        return _answer(manage_providers.set_disabled(deployment, name, is_disabled=False))


def _answer(provider: RegisteredProvider) -> Answer:
    document = provider.to_document()
    return Answer(document=document, human=details((name, _in_words(value)) for name, value in document.items()))


def _in_words(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [f"{name}: {member}" for name, member in value.items()]
    return value
