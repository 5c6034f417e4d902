"""`tokenhouse doctor`."""

import click

from app.cli.display import table
from app.cli.opening import read_settings
from app.cli.operator_command import Answer, OperatorCommand
from app.services.clock import system_clock
from app.services.doctor import examine
from app.services.doctor_probes import probe

MARKS = {"ok": "ok", "warning": "to know", "error": "WRONG"}


@click.command("doctor", cls=OperatorCommand)
@click.option("--url", help="Where the running server is reached. Default: the issuer; - asks no server.")
def command(url: str | None) -> Answer:
    """Check settings, keys and database, and the running server as it is seen from outside.

    Exit status 1 when something is wrong; what is merely good to know leaves it at 0.
    """
    settings = read_settings()
    findings = examine(settings, now=system_clock())
    if url != "-":
        findings += probe(settings, url)
    errors = [finding for finding in findings if finding.status == "error"]
    document = {
        "ok": not errors,
        "findings": [
            {"check": finding.check, "status": finding.status, "sentence": finding.sentence} for finding in findings
        ],
    }
    if errors:
        description = f"{len(errors)} of {len(findings)} checks found something wrong, first {errors[0].check}: "
        document |= {"error": "not_healthy", "error_description": description + errors[0].sentence}
    rows = [(MARKS[finding.status], finding.check, finding.sentence) for finding in findings]
    return Answer(document=document, human=table(("", "check", "finding"), rows), exit_code=1 if errors else 0)
