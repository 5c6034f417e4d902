"""`tokenhouse specs`."""

import click

from app.cli.display import table
from app.cli.operator_command import Answer, OperatorCommand
from app.features import FEATURES


@click.command("specs", cls=OperatorCommand)
def command() -> Answer:
    """The specifications that are built in, by feature."""
    document = [
        {
            "feature": feature.name,
            "stage": feature.stage,
            "requires": list(feature.requires),
            "specs": [{"name": spec.name, "title": spec.title, "url": spec.url} for spec in feature.specs],
        }
        for feature in FEATURES
    ]
    rows = [(feature.name, spec.name, spec.title, feature.stage) for feature in FEATURES for spec in feature.specs]
    return Answer(document=document, human=table(("feature", "specification", "title", "stage"), rows))
