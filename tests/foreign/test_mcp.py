"""MCP authorization (2026-07-28): the official SDKs log a person in, unmodified, and call a tool of the example."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.actors.browser import Browser
from tests.actors.document_host import DocumentHost
from tests.actors.http import Reply, send
from tests.actors.relying_party import basic
from tests.conftest import run_world
from tests.deployments import Account
from tests.foreign.conftest import NODE_IS_MISSING
from tests.node_runtime import NodeUnavailable, find_node, node_environment, node_project
from tests.patience import wait_until
from tests.python_environment import EnvironmentUnavailable, python_environment
from tests.server import ROOT, free_port
from tests.services.other_host import CertificateAuthority
from tests.world import World

FOLDER = Path(__file__).resolve().parent / "mcp"
MCP = "MCP authorization 2026-07-28"
# MCP clients listen on any port of this literal; the document and the registration name none.
REDIRECT_URI = "http://127.0.0.1:3118/callback"
SCRIPT_TIMEOUT_S = 60

# The first test installs what the others use.
pytestmark = pytest.mark.timeout(300)

Command = Callable[[], tuple[list[str], dict[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class McpStage:
    """An authorization server, the example, and a host where agents publish their documents."""

    world: World
    server_url: str
    host: DocumentHost


def skip_or_fail(trouble: object) -> None:
    assert os.environ.get("CI") != "true", str(trouble)
    pytest.skip(str(trouble))


def sdk_python() -> Path:
    try:
        return python_environment(FOLDER / "requirements.txt")
    except EnvironmentUnavailable as error:
        skip_or_fail(f"the MCP SDK cannot be installed here: {error}")
        raise


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority) -> Iterator[McpStage]:
    directory = tmp_path_factory.mktemp("mcp")
    settings = {
        "registration": "open",
        "rate_limits": "off",
        "outbound_allowed_networks": "127.0.0.1/32",
        "outbound_ca_bundle": str(authority.bundle),
    }
    for world in run_world(directory, f"sqlite:///{directory}/tokenhouse.db", **settings):
        audience = f"http://127.0.0.1:{free_port()}/mcp"
        world.operator.add_resource(
            resource=audience,
            resource_name="Notes",
            scopes=[
                {"name": "notes.read", "description": "Read your notes"},
                {"name": "notes.write", "description": "Write notes"},
            ],
        )
        with example_running(world.issuer, audience), DocumentHost(authority.serve("127.0.0.1")) as host:
            yield McpStage(world=world, server_url=audience, host=host)


@contextmanager
def example_running(issuer: str, audience: str) -> Iterator[None]:
    process = subprocess.Popen(
        [str(sdk_python()), "examples/mcp_server.py"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "ISSUER": issuer, "AUDIENCE": audience},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )

    def answers() -> bool:
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
        try:
            send(audience, timeout_s=1)
        except OSError:
            return False
        return True

    try:
        wait_until(answers, within_s=30)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)


def typescript_sdk() -> tuple[list[str], dict[str, str]]:
    try:
        project = node_project(FOLDER)
    except (NodeUnavailable, OSError, subprocess.SubprocessError) as error:
        skip_or_fail(f"{NODE_IS_MISSING}: {error}")
        raise
    return [str(find_node()), str(project / "client.js")], node_environment()


def python_sdk() -> tuple[list[str], dict[str, str]]:
    return [str(sdk_python()), str(FOLDER / "client.py")], {"PATH": os.environ["PATH"]}


def log_in(stage: McpStage, command: Command, account: Account, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What the client printed in the end; the person logs in and allows in between."""
    argv, environment = command()
    configuration = {"server": stage.server_url, "redirect_uri": REDIRECT_URI, **configuration}
    process = subprocess.Popen(
        argv,
        env={**environment, "FOREIGN_CONFIG": json.dumps(configuration)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(SCRIPT_TIMEOUT_S, process.kill)
    watchdog.start()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        browser = stage.world.browser()
        while True:
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            answer: dict[str, Any] = json.loads(line)
            if "authorization_url" not in answer:
                return answer
            process.stdin.write(go_to(browser, answer["authorization_url"], account) + "\n")
            process.stdin.flush()
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def go_to(browser: Browser, url: str, account: Account) -> str:
    """Where the person is sent back to; who they are is asked the first time, and whether they allow it each time."""
    page = browser.get(url)
    if 'id="login-form"' in page.text:
        page = browser.log_in(page, account.username, account.password)
    return browser.consent(page).location


def scopes_of(answer: Mapping[str, Any]) -> list[set[str]]:
    """What each of its tokens was for; whether it lasts is no permission by itself."""
    assert "error" not in answer, answer
    return [set(scope.split(" ")) - {"offline_access"} for scope in answer["scopes"]]


SDKS = pytest.mark.parametrize(
    "command", [pytest.param(typescript_sdk, id="TypeScript"), pytest.param(python_sdk, id="Python")]
)


@SDKS
@pytest.mark.requirement(MCP, "Client Registration", "a client that is a document logs in without a registration")
def test_the_sdk_logs_in_as_a_document_and_calls_a_tool(stage: McpStage, command: Command) -> None:
    name = f"/{command.__name__}.json"
    document = stage.host.publish(name, redirect_uris=["http://127.0.0.1/callback"], client_name="Agent")
    account = stage.world.operator.add_user()

    answer = log_in(stage, command, account, {"client_metadata_url": document, "writes": True})

    # It began with what the challenge named (401), and asked for more when it was told to (403).
    assert scopes_of(answer) == [{"notes.read"}, {"notes.read", "notes.write"}]
    assert answer["notes"] == [[], [f"kept for {account.sub}"], ["milk"]]
    assert answer["refreshed"] is True
    assert answer["client_id"] == document
    assert stage.host.asked[name] == 1


@SDKS
@pytest.mark.requirement(MCP, "Dynamic Client Registration", "a client without a document registers itself")
def test_the_sdk_registers_itself_where_it_has_no_document(stage: McpStage, command: Command) -> None:
    account = stage.world.operator.add_user()

    # Both SDKs register for the scopes that they need at first, and for those alone.
    answer = log_in(stage, command, account, {"writes": False})

    assert scopes_of(answer) == [{"notes.read"}]
    assert answer["notes"] == [[], [], []]
    assert answer["refreshed"] is True
    assert not answer["client_id"].startswith("https:")


CALL = json.dumps(
    {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_notes", "arguments": {}}}
)


def call(stage: McpStage, token: str | None, *, query: str = "", body: str = CALL) -> Reply:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return send(stage.server_url + query, method="POST", headers=headers, body=body.encode())


@pytest.mark.requirement(MCP, "Authorization Server Discovery", "401 says where the metadata lies and what is needed")
@pytest.mark.requirement("RFC 9728", "5.1", "the challenge names the resource's metadata, and that the server")
def test_the_example_says_where_its_authorization_server_is(stage: McpStage) -> None:
    refused = call(stage, None)
    assert refused.status == 401
    challenge = refused.headers["www-authenticate"]
    where = re.search(r'resource_metadata="([^"]+)"', challenge)
    assert where is not None, challenge
    assert 'scope="notes.read"' in challenge
    document = send(where[1]).json()
    assert document["resource"] == stage.server_url
    assert document["authorization_servers"] == [stage.world.issuer]
    assert "offline_access" not in document["scopes_supported"]


@pytest.mark.requirement(MCP, "Token Handling", "only tokens that were issued for this very server are taken")
def test_the_example_takes_tokens_for_itself_alone_and_from_the_header_alone(stage: McpStage) -> None:
    account, party = stage.world.operator.add_user(), stage.world.relying_party()
    own = stage.world.get_tokens(party, account, scope="notes.read", resource=stage.server_url).access_token
    other_api = stage.world.operator.add_resource()
    other = stage.world.get_tokens(party, account, scope="photos.read", resource=other_api).access_token
    assert call(stage, own).status == 200
    assert [call(stage, token).status for token in (other, own[:-2] + "xx", "junk")] == [401, 401, 401]
    assert call(stage, None, query=f"?access_token={own}").status == 401
    revoked = send(
        f"{stage.world.url}/revoke",
        method="POST",
        form={"token": own},
        headers={"Authorization": basic(party.client_id, party.client_secret or "")},
    )
    assert revoked.status == 200
    wait_until(lambda: call(stage, own).status == 401, within_s=30)


@pytest.mark.requirement(MCP, "Scope Challenge Handling", "403 insufficient_scope names all that is needed")
def test_a_tool_that_needs_more_says_all_that_it_needs(stage: McpStage) -> None:
    account, party = stage.world.operator.add_user(), stage.world.relying_party()
    token = stage.world.get_tokens(party, account, scope="notes.read", resource=stage.server_url).access_token
    for body in (
        CALL.replace("list_notes", "add_note"),
        f"[{CALL}, {CALL.replace('list_notes', 'add_note')}]",
    ):
        refused = call(stage, token, body=body)
        assert refused.status == 403
        challenge = refused.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge
        assert 'scope="notes.read notes.write"' in challenge
        assert "resource_metadata=" in challenge
