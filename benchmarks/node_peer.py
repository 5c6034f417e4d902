"""Starts node-oidc-provider (benchmarks/peers/node_oidc_provider) as the peer."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.specs.rfc7515_jose import generate_private_jwk
from benchmarks.processes import METADATA_PATH, StartFailed, drain_output, running, wait_for_http
from benchmarks.scenario import Scenario
from tests.node_runtime import find_node, node_environment, node_project

FOLDER = Path(__file__).resolve().parent / "peers" / "node_oidc_provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePeer:
    """`seconds_to_first_answer` runs from the start of the process to the first 200 of its metadata."""

    issuer: str
    pid: int
    seconds_to_first_answer: float


@cache
def signing_keys() -> dict[str, list[dict[str, str]]]:
    """One private key per algorithm, the same for every start of a run."""
    return {"keys": [generate_private_jwk(alg) for alg in ("ES256", "RS256")]}


@contextlib.contextmanager
def running_node_peer(
    scenario: Scenario,
    *,
    folder: Path,
    cores: set[int] | None = None,
    adapter: str = "map",
    more_grants: bool = False,
    key_machines: Sequence[Mapping[str, Any]] = (),
    client_metadata: Mapping[str, Any] | None = None,
) -> Iterator[NodePeer]:
    """The peer, ready for requests, with `scenario`'s client, resource and user.

    `more_grants` adds refresh tokens, and the scenario's machine with client_credentials and introspection.
    `client_metadata`: more of the client's, signed userinfo say. `key_machines`: more machines that authenticate
    themselves by a key, each `{client_id, alg, jwks}`.
    """
    project = node_project(FOLDER)
    settings = {
        "client_id": scenario.client_id,
        "client_secret": scenario.client_secret,
        "redirect_uri": scenario.redirect_uri,
        "resource": scenario.resource,
        "scope": scenario.scope,
        "username": scenario.username,
        "password": scenario.password,
        "jwks": signing_keys(),
        "adapter": adapter,
    }
    if client_metadata:
        settings["client_metadata"] = dict(client_metadata)
    if more_grants:
        settings["machine"] = {"client_id": scenario.machine_id, "client_secret": scenario.machine_secret}
        settings["key_machines"] = list(key_machines)
    environment = {**node_environment(), "PEER_CONFIG": json.dumps(settings), "NODE_ENV": "production"}
    log = folder / "node_oidc_provider.log"
    command = [str(find_node()), str(project / "server.js")]
    started = time.perf_counter()
    with running(command, environment=environment, log=log, cores=cores) as process:
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            process.wait()
            raise StartFailed(log.read_text("utf-8", "replace")[-1500:])
        issuer = json.loads(line)["issuer"]
        drain_output(process)
        wait_for_http(process, urlsplit(issuer).port or 0, METADATA_PATH, log=log)
        seconds = time.perf_counter() - started
        yield NodePeer(issuer=issuer, pid=process.pid, seconds_to_first_answer=seconds)
