"""`tokenhouse doctor` against a running server, with an honest proxy in front of it and with a careless one."""

import http.client
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from app.services.hash_password import Argon2Parameters
from tests.cli.processes import CommandLine, serving
from tests.databases import on_both_databases
from tests.deployments import REAL_HASH


@pytest.fixture
def argon2() -> Argon2Parameters:
    """What the doctor finds nothing wrong with."""
    return REAL_HASH


class Proxy(http.server.BaseHTTPRequestHandler):
    """A reverse proxy on this machine.

    `adds`: what the caller sent is passed on, and added to. `passes_underscores`: so is a header that WSGI cannot tell
    from the proxy's own. `strips_cookies`: their attributes get lost. `slow_clock`: it writes a Date of its own.
    """

    upstream_port: ClassVar[int] = 0
    adds: ClassVar[bool] = False
    passes_underscores: ClassVar[bool] = False
    strips_cookies: ClassVar[bool] = False
    slow_clock: ClassVar[bool] = False
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._forward()

    def do_POST(self) -> None:
        self._forward()

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() != "x-forwarded-for" and (self.passes_underscores or "_" not in name)
        }
        claimed = [self.headers["X-Forwarded-For"]] if self.adds and self.headers["X-Forwarded-For"] else []
        headers["X-Forwarded-For"] = ", ".join([*claimed, self.client_address[0]])
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream_port, timeout=10)
        connection.request(self.command, self.path, body, headers)
        response = connection.getresponse()
        content = response.read()
        # Not `send_response`, which would add a Date.
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, self._spoil(name.lower(), value))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    def _spoil(self, name: str, value: str) -> str:
        if name == "set-cookie" and self.strips_cookies:
            return value.split(";")[0] + "; Path=/"
        return "Thu, 01 Jan 2026 00:00:00 GMT" if name == "date" and self.slow_clock else value

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def proxy(upstream_port: int, **carelessness: bool) -> Iterator[str]:
    handler = type("Handler", (Proxy,), {"upstream_port": upstream_port, **carelessness})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def examine(command_line: CommandLine, url: str) -> tuple[int, dict[str, str]]:
    outcome = command_line("doctor", "--url", url, "--json")
    return outcome.exit_code, {finding["check"]: finding["status"] for finding in outcome.document["findings"]}


@on_both_databases
def test_a_server_that_is_reached_directly_believes_no_forwarded_header(
    command_line: CommandLine, tmp_path: Path
) -> None:
    with serving(command_line.environment, tmp_path) as server:
        code, statuses = examine(command_line, f"http://127.0.0.1:{server.port}")
    assert code == 0
    assert {check: status for check, status in statuses.items() if status != "ok"} == {"issuer": "warning"}
    assert statuses["caller's address"] == "ok"
    assert statuses["spoofed headers"] == "ok"


@pytest.mark.parametrize(
    "carelessness",
    [{}, {"adds": True}, {"passes_underscores": True}],
    ids=["a proxy that overwrites", "a proxy that adds", "a proxy that passes underscores on"],
)
def test_the_doctor_tells_a_proxy_that_passes_lies_on(
    command_line: CommandLine, tmp_path: Path, carelessness: dict[str, bool]
) -> None:
    trusting = {**command_line.environment, "TOKENHOUSE_TRUSTED_PROXIES": "127.0.0.0/8"}
    with serving(trusting, tmp_path) as server, proxy(server.port, **carelessness) as url:
        code, statuses = examine(CommandLine(trusting), url)
    assert code == (1 if carelessness else 0)
    assert statuses["caller's address"] == ("error" if carelessness else "ok")


@pytest.mark.parametrize(("carelessness", "check"), [("strips_cookies", "cookies"), ("slow_clock", "server's clock")])
def test_the_doctor_tells_what_gets_lost_on_the_way(
    command_line: CommandLine, tmp_path: Path, carelessness: str, check: str
) -> None:
    command_line.json("client", "add", "--from", "-", stdin='{"redirect_uris": ["https://rp.example/cb"]}')
    with serving(command_line.environment, tmp_path) as server, proxy(server.port, **{carelessness: True}) as url:
        code, statuses = examine(command_line, url)
    assert code == 1
    assert {name for name, status in statuses.items() if status == "error"} == {check}


def test_another_deployments_server_is_noticed(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = CommandLine(
        {
            "TOKENHOUSE_ISSUER": "http://127.0.0.1:8499",
            "TOKENHOUSE_DATABASE_URL": f"sqlite:///{tmp_path}/other/t.db",
            "TOKENHOUSE_KEYS_DIR": str(tmp_path / "other" / "keys"),
        }
    )
    other.json("init")
    with serving(other.environment, tmp_path) as server:
        code, statuses = examine(command_line, f"http://127.0.0.1:{server.port}")
    assert code == 1
    assert statuses["metadata"] == "error"


def test_a_url_that_nobody_answers_is_wrong_and_the_issuer_only_worth_knowing(command_line: CommandLine) -> None:
    assert examine(command_line, "http://127.0.0.1:1")[1]["server"] == "error"
    outcome = CommandLine({**command_line.environment})("doctor", "--url", "-", "--json")
    assert outcome.exit_code == 0
    assert "server" not in [finding["check"] for finding in outcome.document["findings"]]


def test_what_is_wrong_is_exit_status_1_in_the_table_too(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "keys" / "key-encryption-key").chmod(0o644)
    outcome = command_line("doctor", "--url", "-")
    assert outcome.exit_code == 1
    assert "WRONG" in outcome.stdout
    assert "chmod 400" in outcome.stdout
