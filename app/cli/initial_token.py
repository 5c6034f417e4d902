"""`tokenhouse client initial-token`."""

import click

from app.cli.display import details, moment, table
from app.cli.opening import opened_deployment, read_document
from app.cli.operator_command import Answer, OperatorGroup
from app.services import initial_access_tokens
from app.services.initial_access_tokens import InitialAccessToken


@click.group("initial-token", cls=OperatorGroup)
def command() -> None:
    """What lets clients register themselves (TOKENHOUSE_REGISTRATION)."""


@command.command("add")
@click.option("--label", required=True, help="What it is for.")
@click.option("--max-uses", type=int, default=1, show_default=True, metavar="N", help="How many clients may come.")
@click.option("--expires-in", type=int, default=86_400, show_default=True, metavar="S", help="Seconds until it ends.")
@click.option(
    "--policy",
    "source",
    metavar="FILE",
    help='What is decided about these clients, as "policy" of `client add`; - is standard input.',
)
def add(label: str, max_uses: int, expires_in: int, source: str | None) -> Answer:
    """Make an initial access token, shown this once."""
    policy = {} if source is None else read_document(source)
    with opened_deployment() as deployment:
        added = initial_access_tokens.add_initial_access_token(
            deployment, label=label, max_uses=max_uses, expires_in_s=expires_in, policy=policy
        )
    return _answer(added)


@command.command("list")
def list_() -> Answer:
    """Every initial access token, the oldest first."""
    with opened_deployment() as deployment:
        tokens = initial_access_tokens.list_initial_access_tokens(deployment)
    rows = [
        (
            token.row.id,
            token.row.label,
            f"{token.row.uses} of {token.row.max_uses}",
            token.row.revoked_at is not None,
            moment(token.row.expires_at),
        )
        for token in tokens
    ]
    human = table(("id", "label", "used", "revoked", "until"), rows)
    return Answer(document=[token.to_document() for token in tokens], human=human)


@command.command("revoke")
@click.argument("token_id", metavar="ID", type=int)
def revoke(token_id: int) -> Answer:
    """End an initial access token. The clients that came with it stay."""
    with opened_deployment() as deployment:
        return _answer(initial_access_tokens.revoke_initial_access_token(deployment, token_id))


def _answer(token: InitialAccessToken) -> Answer:
    document = token.to_document()
    return Answer(document=document, human=details(document.items()))
