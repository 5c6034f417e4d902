"""docs/nginx.conf, in the real nginx before the real server: through it nobody can pretend to be somebody else."""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.doctor import command as doctor
from app.endpoints.edge import _FORWARDED_HEADERS
from app.services.list_audit import list_audit
from tests.browser.tls_stage import Certificates, make_certificates, resolving
from tests.deployments import REAL_HASH, Operator, make_deployment, make_environment
from tests.patience import wait_until
from tests.server import ROOT, ServerProcess, free_port

CONFIGURATION = (ROOT / "docs" / "nginx.conf").read_text()
HOST = "login.example.com"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
# An address that nobody has (RFC 5737).
SPOOFED = "192.0.2.77"
SPOOFED_HEADERS = [name.removeprefix("HTTP_").replace("_", "-").title() for name in _FORWARDED_HEADERS]


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A running nginx."""

    http_port: int
    https_port: int
    certificates: Certificates
    log: Path

    def ask(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        from_address: str = "127.0.0.1",
    ) -> tuple[int, dict[str, str], str]:
        """One request over TLS; status, headers, body."""
        context = ssl.create_default_context(cafile=str(self.certificates.ca_file))
        connection = http.client.HTTPSConnection(HOST, timeout=10, context=context, source_address=(from_address, 0))
        with resolving({HOST: self.https_port}):
            connection.connect()
        try:
            connection.request(method, target, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"), hosts=[HOST])


@contextlib.contextmanager
def proxy(directory: Path, configuration: str, certificates: Certificates, *, backend: int) -> Iterator[Proxy]:
    """The configuration as it is printed, with this machine's ports and files in place of an operator's."""
    if NGINX is None:
        sentence = "nginx is missing: run `make services` as root to install what these tests need."
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    running = Proxy(
        http_port=free_port(), https_port=free_port(), certificates=certificates, log=directory / "access.log"
    )
    for printed, here in (
        ("127.0.0.1:8400;", f"127.0.0.1:{backend};"),
        ("listen 80;", f"listen 127.0.0.1:{running.http_port};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{running.https_port} ssl;"),
        ("/etc/ssl/login.example.com/fullchain.pem", str(certificates.certificate)),
        ("/etc/ssl/login.example.com/privkey.pem", str(certificates.key)),
        ("/var/log/nginx/tokenhouse.log", str(running.log)),
    ):
        assert configuration.count(printed) == 1, printed
        configuration = configuration.replace(printed, here)
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{place}_temp_path {directory}/{place};" for place in places)
    user = "user root;" if os.geteuid() == 0 else ""
    whole = f"{user} daemon off; pid {directory}/pid; error_log {directory}/error.log; events {{}}\n"
    (directory / "nginx.conf").write_text(f"{whole} http {{ {temporary}\n{configuration} }}")
    process = subprocess.Popen([NGINX, "-p", str(directory), "-c", "nginx.conf", "-e", f"{directory}/error.log"])
    try:
        deadline = time.monotonic() + 30
        while not is_listening(running.https_port):
            assert process.poll() is None, (directory / "error.log").read_text()
            assert time.monotonic() < deadline, (directory / "error.log").read_text()
            time.sleep(0.02)
        yield running
    finally:
        process.terminate()
        process.wait(timeout=10)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# ----- What arrives behind it -----


class Echo(BaseHTTPRequestHandler):
    """Answers with the headers that came."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps(self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Proxy]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with proxy(
            tmp_path_factory.mktemp("echo"), CONFIGURATION, certificates, backend=server.server_address[1]
        ) as running:
            yield running
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("name", sorted(SPOOFED_HEADERS))
def test_a_header_that_only_a_proxy_may_send_is_taken_off(echo: Proxy, name: str) -> None:
    _, _, text = echo.ask("GET", "/", headers={name: SPOOFED}, from_address="127.0.0.9")
    arrived = {header.lower(): value for header, value in json.loads(text)}
    assert SPOOFED not in text
    assert arrived.get(name.lower()) == ("127.0.0.9" if name == "X-Forwarded-For" else None)


@pytest.mark.parametrize("name", [name.replace("-", "_") for name in sorted(SPOOFED_HEADERS) if "-" in name])
def test_a_header_with_underscores_does_not_pass_for_one_with_hyphens(echo: Proxy, name: str) -> None:
    _, _, text = echo.ask("GET", "/", headers={name: SPOOFED})
    assert SPOOFED not in text


def test_a_list_of_addresses_that_a_caller_begins_is_not_continued(echo: Proxy) -> None:
    _, _, text = echo.ask("GET", "/", headers={"X-Forwarded-For": f"{SPOOFED}, 127.0.0.1"}, from_address="127.0.0.9")
    assert [value for name, value in json.loads(text) if name.lower() == "x-forwarded-for"] == ["127.0.0.9"]


# ----- The server behind it -----


@dataclass(frozen=True, kw_only=True)
class Site:
    """The server, and what the operator's commands need."""

    environment: dict[str, str]
    operator: Operator
    port: int


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    environment = make_environment(
        issuer=f"https://{HOST}",
        database_url=f"sqlite:///{directory}/tokenhouse.db",
        directory=directory,
        trusted_proxies="127.0.0.1/32",
        outbound_ca_bundle=str(certificates.ca_file),
    )
    operator = Operator(make_deployment(environment, argon2=REAL_HASH))
    server = ServerProcess(environment=environment, port=free_port())
    try:
        server.start()
        yield Site(environment=environment, operator=operator, port=server.port)
    finally:
        server.stop()
        operator.close()


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates, site: Site) -> Iterator[Proxy]:
    with proxy(tmp_path_factory.mktemp("nginx"), CONFIGURATION, certificates, backend=site.port) as running:
        yield running


def run_doctor(site: Site, proxy: Proxy) -> dict[str, tuple[str, str]]:
    """`tokenhouse doctor --url`: what it says of each check."""
    with resolving({HOST: proxy.https_port}):
        result = CliRunner().invoke(doctor, ["--url", f"https://{HOST}", "--json"], env=site.environment)
    document = json.loads(result.stdout)
    return {finding["check"]: (finding["status"], finding["sentence"]) for finding in document["findings"]}


def test_the_doctor_finds_nothing_wrong_through_it(site: Site, nginx: Proxy) -> None:
    findings = run_doctor(site, nginx)
    assert {status for status, _ in findings.values()} <= {"ok"} | {"warning"}
    for check in ("metadata", "key set", "cache headers", "page headers", "spoofed headers", "caller's address"):
        assert findings[check][0] == "ok", findings[check]


def test_the_doctor_would_see_a_proxy_that_lets_the_callers_word_through(
    site: Site, certificates: Certificates, tmp_path: Path
) -> None:
    line = "proxy_set_header X-Forwarded-For $remote_addr;"
    assert CONFIGURATION.count(line) == 1
    with proxy(tmp_path, CONFIGURATION.replace(line, ""), certificates, backend=site.port) as careless:
        assert run_doctor(site, careless)["caller's address"][0] == "error"


def test_the_audit_trail_names_the_address_that_nginx_saw(site: Site, nginx: Proxy) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": SPOOFED}
    status, _, body = nginx.ask(
        "POST", "/token", headers=headers, body="grant_type=authorization_code", from_address="127.0.0.5"
    )
    assert status in (400, 401)
    incident = re.search(r"\[([0-9A-Z]{8})\]", json.loads(body)["error_description"])
    assert incident is not None
    deadline = time.monotonic() + 30
    events: tuple[Any, ...] = ()
    # Refusals of strangers are written in batches.
    while not events and time.monotonic() < deadline:
        events = list_audit(site.operator.deployment, limit=1, incident=incident[1], with_personal=True)
        time.sleep(0.05)
    assert [event.personal["address"] for event in events] == ["127.0.0.5"]


def test_plain_http_is_sent_to_the_issuer(nginx: Proxy) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", nginx.http_port, timeout=10)
    connection.request("GET", "/authorize?client_id=a", headers={"Host": "evil.example"})
    answer = connection.getresponse()
    connection.close()
    assert answer.status == 301
    assert answer.getheader("Location") == f"https://{HOST}/authorize?client_id=a"


def test_a_query_is_in_no_log_of_it(nginx: Proxy) -> None:
    nginx.ask("GET", "/authorize?client_id=a&state=a-secret-state")
    # Its line is written after the answer.
    wait_until(lambda: "GET /authorize" in nginx.log.read_text())
    assert "a-secret-state" not in nginx.log.read_text()


def test_metrics_are_not_for_the_world(nginx: Proxy) -> None:
    assert nginx.ask("GET", "/metrics")[0] == 404


def test_a_body_larger_than_the_server_reads_stops_at_it(nginx: Proxy) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert nginx.ask("POST", "/token", headers=headers, body="x" * 70_000)[0] == 413
