"""`tokenhouse resource`."""

import click

from app.cli.display import details, table
from app.cli.opening import opened_deployment, read_document
from app.cli.operator_command import Answer, OperatorGroup
from app.services import manage_resources
from app.services.manage_resources import RegisteredResource


@click.group("resource", cls=OperatorGroup)
def command() -> None:
    """The APIs that tokens are for."""


@command.command("add")
@click.option("--from", "source", required=True, metavar="FILE", help="The resource as JSON; - is standard input.")
def add(source: str) -> Answer:
    """Register a resource with its scopes."""
    document = read_document(source)
    with opened_deployment() as deployment:
        return _answer(manage_resources.add_resource(deployment, document))


@command.command("list")
def list_() -> Answer:
    """Every resource, the oldest first."""
    with opened_deployment() as deployment:
        resources = manage_resources.list_resources(deployment)
    rows = [
        (
            resource.resource,
            resource.metadata.get("resource_name"),
            " ".join(scope["name"] for scope in resource.metadata.get("scopes", [])),
            resource.metadata.get("access_token_lifetime_s"),
            resource.metadata.get("signing_alg"),
        )
        for resource in resources
    ]
    human = table(("resource", "name", "scopes", "lifetime (s)", "alg"), rows)
    return Answer(document=[resource.to_document() for resource in resources], human=human)


@command.command("show")
@click.argument("resource")
def show(resource: str) -> Answer:
    """One resource, by its identifier or an alias."""
    with opened_deployment() as deployment:
        return _answer(manage_resources.show_resource(deployment, resource))


@command.command("update")
@click.argument("resource")
@click.option("--from", "source", required=True, metavar="FILE", help="The whole document, as `show --json` prints it.")
def update(resource: str, source: str) -> Answer:
    """Replace what is registered of a resource. Its identifier stays; tokens that were issued keep what they say."""
    document = read_document(source)
    with opened_deployment() as deployment:
        return _answer(manage_resources.update_resource(deployment, resource, document))


def _answer(resource: RegisteredResource) -> Answer:
    document = resource.to_document()
    plain = [(name, value) for name, value in document.items() if name != "scopes"]
    scopes = [
        (scope["name"], scope["description"], scope.get("required", False)) for scope in document.get("scopes", [])
    ]
    human = (details(plain), "", table(("scope", "what people read", "required"), scopes))
    return Answer(document=document, human=human)
