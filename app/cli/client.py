"""`tokenhouse client`."""

import click

from app.cli import initial_token
from app.cli.display import details, moment, seconds, table
from app.cli.opening import opened_deployment, read_document
from app.cli.operator_command import Answer, OperatorGroup
from app.services import manage_clients
from app.services.manage_clients import DEFAULT_OVERLAP_S, RegisteredClient
from app.services.update_client import update_client


@click.group("client", cls=OperatorGroup)
def command() -> None:
    """The applications that ask for tokens."""


command.add_command(initial_token.command)


@command.command("add")
@click.option("--from", "source", required=True, metavar="FILE", help="RFC 7591 metadata as JSON; - is standard input.")
def add(source: str) -> Answer:
    """Register a client. Prints the RFC 7591 response, the only time that the secret is shown."""
    document = read_document(source)
    with opened_deployment() as deployment:
        return _answer(manage_clients.add_client(deployment, document))


@command.command("list")
def list_() -> Answer:
    """Every client, the oldest first."""
    with opened_deployment() as deployment:
        clients = manage_clients.list_clients(deployment)
    rows = [
        (
            client.client_id,
            client.metadata.get("client_name"),
            client.metadata.get("token_endpoint_auth_method"),
            client.origin,
            client.disabled,
            moment(client.issued_at),
        )
        for client in clients
    ]
    human = table(("client_id", "name", "authentication", "origin", "disabled", "added"), rows)
    return Answer(document=[client.to_document() for client in clients], human=human)


@command.command("show")
@click.argument("client_id")
def show(client_id: str) -> Answer:
    """One client."""
    with opened_deployment() as deployment:
        return _answer(manage_clients.show_client(deployment, client_id))


@command.command("update")
@click.argument("client_id")
@click.option("--from", "source", required=True, metavar="FILE", help="The whole document, as `show --json` prints it.")
def update(client_id: str, source: str) -> Answer:
    """Replace what is registered of a client, its policy included. A secret is shown where the method has a new one.

    People are asked again where what they saw of the client is different. What it holds already stays; `disable` ends
    it.
    """
    document = read_document(source)
    with opened_deployment() as deployment:
        return _answer(update_client(deployment, client_id, document))


@command.command("rotate-secret")
@click.argument("client_id")
@click.option(
    "--overlap-seconds",
    type=int,
    default=DEFAULT_OVERLAP_S,
    show_default=True,
    help="How long the secrets of before still count.",
)
def rotate_secret(client_id: str, overlap_seconds: int) -> Answer:
    """Give a client a new secret, shown this once."""
    with opened_deployment() as deployment:
        rotated = manage_clients.rotate_client_secret(deployment, client_id, overlap_s=overlap_seconds)
    document = {
        "client_id": rotated.client_id,
        "client_secret": rotated.client_secret,
        "client_secret_expires_at": 0,
        "previous_secrets_expire_at": seconds(rotated.previous_expire_at),
    }
    human = details(
        [
            ("client_id", rotated.client_id),
            ("client_secret", rotated.client_secret),
            ("older secrets until", moment(rotated.previous_expire_at)),
        ]
    )
    return Answer(document=document, human=human)


@command.command("disable")
@click.argument("client_id")
def disable(client_id: str) -> Answer:
    """Stop a client, and end its grants."""
    with opened_deployment() as deployment:
        return _answer(manage_clients.disable_client(deployment, client_id))


@command.command("enable")
@click.argument("client_id")
def enable(client_id: str) -> Answer:
    """Let a client work again. What was ended stays ended."""
    with opened_deployment() as deployment:
        return _answer(manage_clients.enable_client(deployment, client_id))


@command.command("remove")
@click.argument("client_id")
def remove(client_id: str) -> Answer:
    """End a client for good. Its client_id is never given to another."""
    with opened_deployment() as deployment:
        return _answer(manage_clients.remove_client(deployment, client_id))


def _answer(client: RegisteredClient) -> Answer:
    document = client.to_document()
    return Answer(document=document, human=details(document.items()))
