"""The MCP project's own conformance suite, unmodified, against a running server: `conformance authorization`."""

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.actors.http import send
from tests.conftest import run_world
from tests.foreign.test_mcp import MCP, skip_or_fail
from tests.node_runtime import NodeUnavailable, find_newer_node, node_environment, node_project
from tests.server import free_port
from tests.world import World

FOLDER = Path(__file__).resolve().parent / "mcp_conformance"
SUITE = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
SUITE_TIMEOUT_S = 90
# It is installed by the first test.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", params=["", pytest.param("/tenants/one", marks=pytest.mark.long)], ids=["root", "path"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("conformance")
    yield from run_world(directory, f"sqlite:///{directory}/tokenhouse.db", issuer_path=request.param)


def suite_command() -> list[str]:
    try:
        return [str(find_newer_node(22)), str(node_project(FOLDER) / SUITE)]
    except (NodeUnavailable, OSError, subprocess.SubprocessError) as error:
        skip_or_fail(f"the MCP conformance suite cannot be installed here: {error}")
        raise


def run_suite(world: World, folder: Path, **options: str) -> tuple[str, list[dict[str, Any]]]:
    """What it printed, and its checks. The person logs in when it says where."""
    arguments = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    process = subprocess.Popen(
        [*suite_command(), "authorization", "--url", world.issuer, "--output-dir", str(folder), *arguments],
        cwd=folder,
        env=node_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(SUITE_TIMEOUT_S, process.kill)
    watchdog.start()
    printed = []
    account = world.operator.add_user()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            printed.append(line)
            if line.startswith(f"{world.issuer}/authorize?"):
                browser = world.browser()
                page = browser.log_in(browser.get(line.strip()), account.username, account.password)
                send(browser.consent(page).location)
        status = process.wait(SUITE_TIMEOUT_S)
    finally:
        watchdog.cancel()
        process.kill()
    output = "".join(printed)
    assert status == 0, output
    checks = [check for path in folder.rglob("checks.json") for check in json.loads(path.read_text())]
    return output, checks


@pytest.mark.requirement(MCP, "Authorization Server Discovery", "the conformance suite's authorization scenarios pass")
def test_the_conformance_suite_passes(world: World, tmp_path: Path) -> None:
    port = free_port()
    audience = world.operator.add_resource()
    client = world.operator.add_client(
        token_endpoint_auth_method="none", redirect_uris=[f"http://127.0.0.1:{port}/callback"]
    )

    output, checks = run_suite(
        world, tmp_path, client_id=client.client_id, port=str(port), resource=audience, spec_version="2026-07-28"
    )

    assert len(checks) >= 2, output
    assert {check["status"] for check in checks} == {"SUCCESS"}, output
