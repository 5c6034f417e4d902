"""One logout that 10,000 applications have to hear of, one in ten of them dead; and who logs in meanwhile.

    .venv/bin/python benchmarks/logout_deliveries.py [--json] [--tokens 10000] [--seconds 5] [--database-url URL]

A person's session has so many applications (`--tokens`; each with a `backchannel_logout_uri` over TLS on this machine).
Nine in ten answer at once; every tenth takes the request and never answers. Printed:
- how long the person waits for the answer to their logout (aim: under 1 s);
- the time until every living application was told;
- single sign-ons with code exchange a second, while the outbox is being drained, beside the same before and after.

The applications are rows, written as registration writes them. The server is pinned to the first core; the load, and
the applications, share the last one. `--database-url` names an empty PostgreSQL database.
"""

import asyncio
import contextlib
import datetime
import ipaddress
import multiprocessing
import ssl
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import delete, func, select

from app.services.deployment import Deployment as Services
from app.services.deployment import open_deployment
from app.settings import load_settings
from app.storage.clients import insert_client
from app.storage.database import Connection
from app.storage.sessions import find_or_insert_sid
from app.storage.tables import outbox, sessions
from benchmarks.flows import SignedInBrowsers, discover
from benchmarks.form_browser import FormBrowser
from benchmarks.load_generator import LoadReport, pin_generator, run_load, server_cores
from benchmarks.measured import Measured
from benchmarks.processes import free_port
from benchmarks.report import Result, parse_arguments, print_results, progress
from benchmarks.scenario import Scenario
from benchmarks.tokenhouse_server import Deployment

CONNECTIONS = 8
ROWS_PER_TRANSACTION = 1000
LONGEST_DRAIN_S = 900.0
SLICE_S = 2.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


# ----- The applications -----


def make_certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself, with its key, as one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Applications of a benchmark")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "applications.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return path


def run_applications(port: int, certificate: Path, told: "Synchronized[int]") -> None:
    """Serve until ended; `told` counts the logout tokens that the living ones got."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            if head.startswith(b"POST /dead/"):
                await asyncio.sleep(3600)
            told.value += 1
            writer.write(OK)
            await writer.drain()
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", port, ssl=tls, backlog=1024)
        await server.serve_forever()

    asyncio.run(serve())


@contextlib.contextmanager
def applications(port: int, certificate: Path) -> Iterator["Synchronized[int]"]:
    """The applications' servers, all of them one process."""
    context = multiprocessing.get_context("spawn")
    told: Synchronized[int] = context.Value("i", 0)
    process = context.Process(target=run_applications, args=(port, certificate, told), daemon=True)
    process.start()
    try:
        yield told
    finally:
        process.terminate()
        process.join()


def join_applications(services: Services, count: int, port: int) -> int:
    """Register them, and let the session that began last have used every one; how many of them live."""
    with services.database.reading() as connection:
        session_id = connection.execute(select(func.max(sessions.c.id))).scalar_one()
    now = services.clock()

    def join(connection: Connection, number: int) -> None:
        kind = "dead" if number % 10 == 0 else "living"
        metadata = {
            "redirect_uris": [f"https://app-{number}.example/callback"],
            "backchannel_logout_uri": f"https://127.0.0.1:{port}/{kind}/{number}",
        }
        client_pk = insert_client(
            connection,
            client_id=f"application-{number}",
            metadata=metadata,
            policy={},
            security_profile="oauth21",
            created_at=now,
        )
        find_or_insert_sid(
            connection,
            session_id=session_id,
            client_pk=client_pk,
            sid=f"session-{number}",
            client_subject="somebody",
            now=now,
        )

    for first in range(0, count, ROWS_PER_TRANSACTION):
        numbers = range(first, min(first + ROWS_PER_TRANSACTION, count))
        services.database.transact(lambda connection, numbers=numbers: [join(connection, n) for n in numbers])
    return count - (count + 9) // 10


# ----- The measurement -----


class Load:
    """People who log in all the time."""

    def __init__(self, issuer: str, scenario: Scenario) -> None:
        self._endpoints = discover(issuer)
        self._browsers = SignedInBrowsers(self._endpoints, scenario, count=CONNECTIONS, openid=True)

    def run(self, seconds: float) -> LoadReport:
        """Single sign-on and code exchange, again and again."""
        operation = self._browsers.authorize_and_exchange()
        return run_load(self._endpoints.origin, operation, connections=CONNECTIONS, seconds=seconds)


def log_out(browser: FormBrowser, issuer: str) -> float:
    """Seconds from the press of the button to the next page's address."""
    page = browser.open(f"{issuer}/logout")
    started = time.perf_counter()
    browser.submit(page, "logout-form", {}, button="logout-confirm")
    return time.perf_counter() - started


def measure(
    services: Services,
    issuer: str,
    pid: int,
    scenario: Scenario,
    told: "Synchronized[int]",
    *,
    count: int,
    port: int,
    seconds: float,
) -> list[Result]:
    load = Load(issuer, scenario)
    browser = FormBrowser(issuer)
    asked = {
        "response_type": "code",
        "client_id": scenario.client_id,
        "redirect_uri": scenario.redirect_uri,
        "scope": "openid",
        "nonce": "n",
        "code_challenge": "A" * 43,
        "code_challenge_method": "S256",
    }
    url = f"{issuer}/authorize?{urlencode(asked)}"
    browser.authorize(url, redirect_uri=scenario.redirect_uri, username=scenario.username, password=scenario.password)
    progress(f"registering {count:,} applications")
    living = join_applications(services, count, port)
    load.run(SLICE_S)
    progress("logins before")
    quiet, meanwhile = Measured(), Measured()
    quiet.time(pid, lambda: load.run(seconds))
    progress("logging out")
    waited_s = log_out(browser, issuer)
    started = time.monotonic()
    while told.value < living:
        if time.monotonic() - started > LONGEST_DRAIN_S:
            raise RuntimeError(f"only {told.value:,} of {living:,} were told within {LONGEST_DRAIN_S:.0f} s")
        meanwhile.time(pid, lambda: load.run(SLICE_S))
    drained_s = time.monotonic() - started
    progress("logins afterwards, with nothing left to tell")
    services.database.transact(lambda connection: connection.execute(delete(outbox)))
    load.run(SLICE_S)
    quiet.time(pid, lambda: load.run(seconds))
    logins = sum(report.operations for report in meanwhile.reports)
    delivery_ms = (meanwhile.cpu_ms - quiet.cpu_ms) * logins / living
    progress(
        f"logins a second before {quiet.reports[0].operations_per_s:.0f}, after {quiet.reports[1].operations_per_s:.0f}"
    )
    return [
        Result(name="the person waits for the answer to the logout", ours=waited_s, unit="s"),
        Result(name=f"until {living:,} living of {count:,} applications were told", ours=drained_s, unit="s"),
        Result(name="deliveries meanwhile", ours=living / drained_s, unit="per s"),
        Result(name="CPU of one delivery, with its share of those to the dead", ours=delivery_ms, unit="ms"),
        Result(
            name="logins meanwhile, beside those before and after", ours=meanwhile.per_s, peer=quiet.per_s, unit="per s"
        ),
        Result(name="the same, p50", ours=meanwhile.p50_ms, peer=quiet.p50_ms, unit="ms"),
        Result(name="the same, p99", ours=meanwhile.p99_ms, peer=quiet.p99_ms, unit="ms"),
    ]


def main() -> None:
    arguments = parse_arguments(
        __doc__ or "", tokens=10_000, seconds=5.0, database_url="an empty PostgreSQL database instead of SQLite"
    )
    scenario, port = Scenario(), free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificate = make_certificate(folder)
        deployment = Deployment(
            folder / "ours",
            database_url=arguments.database_url,
            outbound_allowed_networks="127.0.0.1/32",
            outbound_ca_bundle=str(certificate),
        )
        progress("setting up Tokenhouse")
        deployment.set_up(scenario)
        services = open_deployment(load_settings(deployment.environment))
        try:
            with deployment.serving(cores=server_cores()) as server:
                pin_generator()
                with applications(port, certificate) as told:
                    results = measure(
                        services,
                        server.issuer,
                        server.pid,
                        scenario,
                        told,
                        count=arguments.tokens,
                        port=port,
                        seconds=arguments.seconds,
                    )
        finally:
            services.close()
    notes = ["One in ten takes the request and never answers; each of these is given five seconds, and then a pause."]
    print_results("A logout that everybody has to hear of", results, as_json=arguments.json, notes=notes)


if __name__ == "__main__":
    main()
