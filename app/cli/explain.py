"""`tokenhouse explain`."""

from typing import Any

import click

from app.cli.display import details, moment, table
from app.cli.opening import opened_deployment
from app.cli.operator_command import Answer, OperatorCommand
from app.services.explain_incident import Explanation, explain_incident


@click.command("explain", cls=OperatorCommand)
@click.argument("code")
@click.option("--personal", is_flag=True, help="Show the address that the request came from.")
def command(code: str, personal: bool) -> Answer:
    """What lies behind the CODE at the end of an error, which the caller was not told.

    The code stands in brackets at the end of error_description, and beneath the text of an error page.
    """
    with opened_deployment() as deployment:
        explanation = explain_incident(deployment, code, with_personal=personal)
    human: tuple[Any, ...] = (details(_facts(explanation)),)
    if explanation.differences:
        rows = [(each.what, each.expected, each.received, each.sentence) for each in explanation.differences]
        human = (*human, "", table(("compared", "expected", "received", "how they differ"), rows))
    if explanation.advice:
        human = (*human, "", "\n".join(explanation.advice))
    return Answer(document=_document(explanation, with_personal=personal), human=human)


def _facts(explanation: Explanation) -> list[tuple[str, Any]]:
    facts = [
        ("when", moment(explanation.at)),
        ("where", explanation.where),
        ("client_id", explanation.client_id),
        ("error", explanation.error),
        ("told", explanation.description),
        ("not told", explanation.detail),
        ("from", explanation.address),
    ]
    return [(name, value) for name, value in facts if value]


def _document(explanation: Explanation, *, with_personal: bool) -> dict[str, Any]:
    document = {
        "incident": explanation.incident,
        "at": explanation.at // 1000,
        "where": explanation.where,
        "client_id": explanation.client_id,
        "error": explanation.error,
        "description": explanation.description,
        "detail": explanation.detail,
        "differences": [
            {
                "what": each.what,
                "expected": list(each.expected),
                "received": each.received,
                "difference": each.sentence,
            }
            for each in explanation.differences
        ],
        "advice": list(explanation.advice),
    }
    return {**document, "address": explanation.address} if with_personal else document
