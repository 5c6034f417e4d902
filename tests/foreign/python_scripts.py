"""Runs the scripts of tests/foreign/python: clients of others with dependencies that must not meet ours."""

import json
import os
from pathlib import Path
from typing import Any

from tests.foreign.node_clients import Drive, ForeignConfig, document_of, lead_browser, talking
from tests.python_environment import python_environment
from tests.server import ROOT

FOLDER = Path(__file__).resolve().parent / "python"
LOCK = FOLDER / "requirements.txt"


def run_python_flow(script: str, config: ForeignConfig, drive: Drive) -> dict[str, Any]:
    """Runs a flow script to the end, driving each URL that it asks the browser for; returns what it printed last."""
    document = {**document_of(config), "ca_file": config.ca_file, "loopback_names": config.loopback_names}
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "FOREIGN_CONFIG": json.dumps(document),
    }
    command = [str(python_environment(LOCK)), str(FOLDER / script)]
    with talking(command, folder=FOLDER, environment=environment) as process:
        return lead_browser(script, process, drive)
