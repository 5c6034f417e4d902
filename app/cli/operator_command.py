"""What every command shares: `--json`, one renderer for answers, one for refusals, and the exit status."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import click

from app.cli.display import print_human
from app.services.deployment import DeploymentError
from app.services.refusal import Refusal
from app.services.seals import KekError, SealError
from app.settings import SettingsError
from app.specs.protocol_error import ProtocolError
from app.storage.database import DatabaseUnavailable
from app.storage.schema import SchemaError

# What is wrong with the deployment, by the code that programs get. A bug is none of these and keeps its traceback.
_DEPLOYMENT_ERRORS: dict[type[Exception], str] = {
    SettingsError: "invalid_settings",
    DeploymentError: "cannot_open_deployment",
    SchemaError: "schema_not_served",
    KekError: "key_encryption_key_unusable",
    SealError: "seal_broken",
    DatabaseUnavailable: "database_unavailable",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command found or did: a JSON document for programs, and anything that rich prints for people."""

    document: Any
    human: Any
    exit_code: int = 0
    notes: tuple[str, ...] = field(default=())
    """Sentences for people, on standard error in either case."""
    then: Callable[[], int] | None = None
    """What goes on once the answer is out, for a command that stays; it returns the exit status."""


class OperatorCommand(click.Command):
    """A command whose function returns an `Answer` or raises a refusal."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        option = click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document on standard output.")
        self.params.append(option)

    def invoke(self, ctx: click.Context) -> None:
        """Run the command and print its answer or its refusal."""
        as_json = bool(ctx.params.pop("as_json"))
        try:
            answer: Answer = super().invoke(ctx)
        except Refusal as refusal:
            _refuse(ctx, refusal.error, refusal.description, as_json=as_json)
        except ProtocolError as refusal:
            _refuse(ctx, refusal.error, refusal.description, as_json=as_json)
        except tuple(_DEPLOYMENT_ERRORS) as error:
            code = next(code for kind, code in _DEPLOYMENT_ERRORS.items() if isinstance(error, kind))
            _refuse(ctx, code, explain(error), as_json=as_json)
        else:
            if as_json:
                print_json(answer.document)
            else:
                print_human(answer.human)
            for note in answer.notes:
                click.echo(note, err=True)
            ctx.exit(answer.exit_code if answer.then is None else answer.then())


class OperatorGroup(click.Group):
    """A group of such commands."""

    command_class = OperatorCommand


def print_json(document: Any) -> None:
    """One JSON document. ASCII, so that neither an encoding nor a terminal can change what a program reads."""
    click.echo(json.dumps(document, indent=2))


def explain(error: BaseException) -> str:
    """The error's sentence; where a database driver stands behind it, the first line of what that said, too."""
    sentence, cause = str(error), error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    # SQLAlchemy wraps the driver's error and adds the statement with its values, which nobody should read here.
    reason = getattr(cause, "orig", cause)
    if not type(reason).__module__.startswith(("sqlite3", "psycopg")):
        return sentence
    first_line = (str(reason).strip().splitlines() or [""])[0]
    return f"{sentence}: {first_line}" if first_line and first_line not in sentence else sentence


def _refuse(ctx: click.Context, error: str, description: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"error": error, "error_description": description})
    else:
        click.echo(f"tokenhouse: {description or error}", err=True)
    ctx.exit(1)
