"""`tokenhouse db`."""

import click

from app.cli.display import details
from app.cli.opening import read_settings
from app.cli.operator_command import Answer, OperatorGroup
from app.services.migrate_database import check_database, upgrade_database


@click.group("db", cls=OperatorGroup)
def command() -> None:
    """The database's schema."""


@command.command("upgrade")
def upgrade() -> Answer:
    """Run the migrations that are missing. Safe beside a running server, and beside another upgrade."""
    report = upgrade_database(read_settings())
    document = {"revision": report.revision, "reached": list(report.reached)}
    done = "nothing to do" if not report.reached else f"upgraded through {', '.join(report.reached)}"
    return Answer(document=document, human=f"{done}; the schema is {report.revision}")


@command.command("check")
def check() -> Answer:
    """Say whether this program can serve the database; exit status 1 where it cannot."""
    report = check_database(read_settings())
    document = {
        "state": report.state,
        "revision": report.revision,
        "latest": report.latest,
        "differences": list(report.differences),
    }
    if not report.is_sound:
        document |= {"error": "schema_not_served", "error_description": report.sentence}
    human = details(
        [
            ("Schema", report.revision or "none"),
            ("This program", report.latest),
            ("State", report.state),
            ("Differences", report.differences or "none"),
            ("", report.sentence),
        ]
    )
    return Answer(document=document, human=human, exit_code=0 if report.is_sound else 1)
