"""`tokenhouse serve`, the real thing: it answers, sees the operator's changes at once, and drains under load."""

import http.client
import json
import signal
import sqlite3
import ssl
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.cli.processes import TOKENHOUSE, CommandLine, RunningServer, clean_environment, serving
from tests.databases import on_both_databases
from tests.server import ROOT, free_port

# The promise is a second; the rest is for a machine that runs other tests meanwhile.
WITHIN_S = 20
METADATA = {"redirect_uris": ["https://app.example/cb"], "client_id": "photo", "client_secret": "s" * 43}


def answer_to_the_client(server: RunningServer, secret: str = "s" * 43) -> str:
    """`invalid_grant`: the client is known and authenticated; `invalid_client`: it is not."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    body = f"grant_type=authorization_code&code=x&client_id=photo&client_secret={secret}"
    connection.request("POST", "/token", body, {"Content-Type": "application/x-www-form-urlencoded"})
    document = json.loads(connection.getresponse().read())
    connection.close()
    return str(document["error"])


@pytest.mark.parametrize(("backend", "workers"), [("sqlite", "1"), ("postgresql", "2")])
def test_running_servers_see_the_operators_changes_within_a_second(
    command_line: CommandLine, tmp_path: Path, workers: str
) -> None:
    # Asking as a client that is not let in counts as guessing, and is slowed down otherwise.
    environment = {**command_line.environment, "TOKENHOUSE_RATE_LIMITS": "off"}
    with serving(environment, tmp_path, "--workers", workers) as server:

        def becomes(error: str, *, asked: int = 12) -> float:
            began = time.monotonic()
            in_a_row = 0
            # Asked often enough that every worker had its turn.
            while in_a_row < asked:
                in_a_row = in_a_row + 1 if answer_to_the_client(server) == error else 0
                assert time.monotonic() - began < 20, error
            return time.monotonic() - began

        assert answer_to_the_client(server) == "invalid_client"
        document = {**METADATA, "token_endpoint_auth_method": "client_secret_post"}
        command_line.json("client", "add", "--from", "-", stdin=json.dumps(document))
        # An unknown client is never remembered as unknown.
        assert becomes("invalid_grant") < WITHIN_S
        command_line.json("client", "disable", "photo")
        assert becomes("unauthorized_client") < WITHIN_S
        command_line.json("client", "enable", "photo")
        assert becomes("invalid_grant") < WITHIN_S
        command_line.json("client", "rotate-secret", "photo", "--overlap-seconds", "0")
        assert becomes("invalid_client") < WITHIN_S


@on_both_databases
def test_sigterm_under_load_loses_no_answer_and_leaves_no_process(command_line: CommandLine, tmp_path: Path) -> None:
    with serving(command_line.environment, tmp_path, "--workers", "2") as server:
        outcomes: Counter[str] = Counter()
        stopping = threading.Event()

        def ask() -> None:
            while True:
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
                try:
                    connection.connect()
                except OSError:
                    # Nobody listens any more: that is how it ends.
                    return
                try:
                    connection.request("GET", "/jwks")
                    response = connection.getresponse()
                    response.read()
                    outcomes[str(response.status)] += 1
                except (OSError, http.client.HTTPException) as error:
                    outcomes[type(error).__name__] += 1
                    if not stopping.is_set():
                        return
                finally:
                    connection.close()

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        server.wait_until(lambda: outcomes["200"] > 200)
        processes = server.processes()
        assert len(processes) == 3
        stopping.set()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=45) == 0
        for thread in threads:
            thread.join(timeout=30)
        assert psutil.wait_procs(processes, timeout=30)[1] == []
        # Connections that were queued at a closing socket are reset before anything was read from them; whatever
        # was begun has been answered whole.
        assert set(outcomes) <= {"200", "ConnectionResetError", "RemoteDisconnected", "BrokenPipeError"}
        assert outcomes["200"] > 200


def test_a_second_server_on_the_same_port_is_refused(command_line: CommandLine, tmp_path: Path) -> None:
    with serving(command_line.environment, tmp_path) as server:
        outcome = command_line("serve", "--port", str(server.port))
        assert outcome.exit_code == 1
        assert f"127.0.0.1:{server.port}" in outcome.stderr
        assert server.answers()


@pytest.mark.parametrize(("host", "shown"), [("localhost", "127.0.0.1"), ("0.0.0.0", "0.0.0.0")])  # noqa: S104
def test_the_server_listens_by_name_and_on_every_address(
    command_line: CommandLine, tmp_path: Path, host: str, shown: str
) -> None:
    with serving(command_line.environment, tmp_path, "--host", host) as server:
        assert f'"url":"http://{shown}:{server.port}"' in server.log_text()


def test_no_setting_is_in_a_workers_environment(command_line: CommandLine, tmp_path: Path) -> None:
    with serving(command_line.environment, tmp_path) as server:
        assert "TOKENHOUSE_" not in server.get("/metrics")[1].decode()
        # What the kernel still shows is what the process was started with: readable by its own user and root alone.
        (worker,) = server.workers()
        assert Path(f"/proc/{worker.pid}/environ").stat().st_mode & 0o077 == 0


def test_the_metrics_of_all_workers_are_added_up(command_line: CommandLine, tmp_path: Path) -> None:
    with serving(command_line.environment, tmp_path, "--workers", "2") as server:
        for _ in range(30):
            server.get("/livez")

        def counted() -> float:
            lines = server.get("/metrics")[1].decode().splitlines()
            wanted = [line for line in lines if line.startswith("tokenhouse_requests_total") and '"/livez"' in line]
            return sum(float(line.rsplit(" ", 1)[1]) for line in wanted)

        assert counted() >= 30


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


def test_the_server_ends_tls_itself(
    tmp_path: Path, environment: dict[str, str], certificate: tuple[Path, Path]
) -> None:
    port = free_port()
    environment["TOKENHOUSE_ISSUER"] = f"https://localhost:{port}"
    environment["TOKENHOUSE_OUTBOUND_CA_BUNDLE"] = str(certificate[0])
    command_line = CommandLine(environment)
    command_line.json("init")
    command = [str(TOKENHOUSE), "serve", "--port", str(port), "--tls-cert", str(certificate[0])]
    command += ["--tls-key", str(certificate[1])]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=clean_environment(environment), cwd=ROOT, stdout=log, stderr=log)
    try:
        context = ssl.create_default_context(cafile=str(certificate[0]))
        document = _get_over_tls(port, context, process)
        assert document["issuer"] == f"https://localhost:{port}"
        doctor = command_line("doctor", "--url", f"https://localhost:{port}", "--json")
        assert doctor.exit_code == 0, doctor.stdout
    finally:
        process.terminate()
        assert process.wait(timeout=45) == 0


def _get_over_tls(port: int, context: ssl.SSLContext, process: subprocess.Popen[bytes]) -> dict[str, str]:
    deadline = time.monotonic() + 30
    while True:
        connection = http.client.HTTPSConnection("localhost", port, timeout=5, context=context)
        try:
            connection.request("GET", "/.well-known/openid-configuration")
            document: dict[str, str] = json.loads(connection.getresponse().read())
            return document
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            assert process.poll() is None
            try:
                process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                pass
        finally:
            connection.close()


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (("--tls-cert", "missing.pem", "--tls-key", "missing.pem"), 1, "missing.pem"),
        (("--tls-cert", "only.pem"), 2, "belong together"),
        (("--port", "0"), 2, "--port"),
        (("--host", "192.0.2.1"), 1, "192.0.2.1"),
        (("--workers", "0"), 2, "--workers"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_listened_on_is_a_sentence(
    environment: dict[str, str], options: tuple[str, ...], code: int, reason: str
) -> None:
    environment["TOKENHOUSE_ISSUER"] = "https://localhost:8400"
    command_line = CommandLine(environment)
    command_line.json("init")
    outcome = command_line("serve", *options)
    assert outcome.exit_code == code
    assert reason in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_tls_for_an_issuer_without_it_is_a_contradiction(
    command_line: CommandLine, certificate: tuple[Path, Path]
) -> None:
    outcome = command_line("serve", "--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1]))
    assert outcome.exit_code == 1
    assert "TOKENHOUSE_ISSUER" in outcome.stderr


def test_a_password_variable_of_the_driver_is_refused(command_line: CommandLine) -> None:
    outcome = command_line("serve", PGPASSWORD="a-password", TOKENHOUSE_DATABASE_URL="postgresql://127.0.0.1/x")
    assert outcome.exit_code == 1
    assert "a-password" not in outcome.stderr


def test_a_worker_that_cannot_start_ends_the_server_with_its_reason(command_line: CommandLine, tmp_path: Path) -> None:
    # The check before the start does not open the signing keys; the worker does.
    database = sqlite3.connect(tmp_path / Path(command_line.environment["TOKENHOUSE_DATABASE_URL"]).name)
    database.execute("UPDATE signing_keys SET sealed_private_jwk = X'00'")
    database.commit()
    database.close()
    outcome = command_line("serve", "--port", str(free_port()))
    assert outcome.exit_code == 1
    assert "does not open" in outcome.stderr
    assert "Traceback" not in outcome.stderr
