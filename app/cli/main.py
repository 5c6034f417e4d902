"""`tokenhouse`: the table of commands. A command's module is imported when the command is used, not before.

So `tokenhouse --help` answers at once, and `tokenhouse client list` does not wait for the server's
parts. The modules lie on this very floor: the imports are late for their cost, not to get around the floors.
"""

import importlib
import sys

import click

_COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("app.cli.init", "Make a new deployment: tables, keys, the first administrator."),
    "serve": ("app.cli.serve", "Run the server."),
    "demo": ("app.cli.demo", "The server, an application and an API on this machine, to look at."),
    "doctor": ("app.cli.doctor", "Check the deployment, and how it is reached."),
    "explain": ("app.cli.explain", "What lies behind the code at the end of an error."),
    "db": ("app.cli.db", "The database's schema."),
    "user": ("app.cli.user", "The people who log in."),
    "client": ("app.cli.client", "The applications that ask for tokens."),
    "resource": ("app.cli.resource", "The APIs that tokens are for."),
    "idp": ("app.cli.idp", "Other providers whose logins count here."),
    "details-type": ("app.cli.details_type", "The types of authorization details that can be granted."),
    "keys": ("app.cli.keys", "The keys that sign tokens."),
    "grants": ("app.cli.grants", "What people granted to applications."),
    "outbox": ("app.cli.outbox", "What has to be told to others, and has not arrived."),
    "audit": ("app.cli.audit", "What happened."),
    "specs": ("app.cli.specs", "The specifications that are built in."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and one line of help, and imports one of them when it is called.

    `app.cli.NAME` offers the command as the attribute `command`.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names, in the table's order."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        if cmd_name not in _COMMANDS:
            return None
        loaded: click.Command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        return loaded

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table, without importing anything for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tokenhouse", message="tokenhouse %(version)s")
def tokenhouse() -> None:
    """An OAuth 2.1 and OpenID Connect authorization server.

    Settings come from TOKENHOUSE_* variables and the TOML file that TOKENHOUSE_CONFIG names. With --json after the
    command, standard output holds exactly one JSON document. Exit status: 0 done, 1 refused, 2 wrong usage.
    """


def main() -> None:
    """The console script."""
    # An operator's names may hold any character; a terminal's encoding must not turn that into a crash.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    tokenhouse(prog_name="tokenhouse")
