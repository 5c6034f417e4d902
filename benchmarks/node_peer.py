"""Starts node-oidc-provider (benchmarks/peers/node_oidc_provider) as the peer."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import StartFailed, drain_output, pin_tree, running
from benchmarks.scenario import Scenario
from tests.node_runtime import find_node, node_environment, node_project

FOLDER = Path(__file__).resolve().parent / "peers" / "node_oidc_provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePeer:
    issuer: str
    pid: int


@contextlib.contextmanager
def running_node_peer(
    scenario: Scenario, *, folder: Path, cores: set[int] | None = None, adapter: str = "map"
) -> Iterator[NodePeer]:
    """The peer, ready for requests, with `scenario`'s client, resource and user."""
    project = node_project(FOLDER)
    settings = {
        "client_id": scenario.client_id,
        "client_secret": scenario.client_secret,
        "redirect_uri": scenario.redirect_uri,
        "resource": scenario.resource,
        "scope": scenario.scope,
        "username": scenario.username,
        "password": scenario.password,
        "adapter": adapter,
    }
    environment = {**node_environment(), "PEER_CONFIG": json.dumps(settings), "NODE_ENV": "production"}
    log = folder / "node_oidc_provider.log"
    command = [str(find_node()), str(project / "server.js")]
    with running(command, environment=environment, log=log, cores=cores) as process:
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            process.wait()
            raise StartFailed(log.read_text("utf-8", "replace")[-1500:])
        ready = json.loads(line)
        drain_output(process)
        if cores is not None:
            pin_tree(process.pid, cores)
        yield NodePeer(issuer=ready["issuer"], pid=process.pid)
