"""The server, the demonstration's application and its API over TLS, on names that are not localhost and without ports.

`tokenhouse serve --tls-cert` and the examples as they are, for a Chromium that is told where the names are. So the
cookies are `__Host-`, the Origin headers and the Content-Security-Policy are a browser's own, and three sites are three
sites. Nothing outside of this process and that browser resolves the names.
"""

import base64
import contextlib
import datetime
import hashlib
import importlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from flask import Flask
from playwright.sync_api import Browser, BrowserContext
from werkzeug.serving import make_server

from app.settings import load_settings
from app.verifier import AccessTokenVerifier
from tests.deployments import Operator, make_deployment, make_environment
from tests.server import ROOT, free_port

LOGIN_HOST, APP_HOST, API_HOST = "login.tokenhouse.test", "www.paperandlight.test", "api.photolibrary.test"
OTHER_HOST = "evil.example.test"
# Another host of the server's own site (the same registrable domain); what a test does not answer there, nobody knows.
NEIGHBOUR_HOST = "shop.tokenhouse.test"
CLIENT_ID = "photo-printing"
_TOKENHOUSE = Path(sys.executable).with_name("tokenhouse")
_START_S = 30


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """A certificate authority of a test, and one certificate of it for all the names."""

    ca_file: Path
    certificate: Path
    key: Path
    public_key_digest: str
    """For Chromium: the certificates of this one key count although their authority is not the system's."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything that runs, by the names that it goes by."""

    operator: Operator
    certificates: Certificates
    ports: Mapping[str, int]
    issuer: str = f"https://{LOGIN_HOST}"
    app_url: str = f"https://{APP_HOST}"
    api_url: str = f"https://{API_HOST}/"

    def launch(self, chromium: Browser, *, elsewhere: Mapping[str, int] | None = None) -> Browser:
        """Another Chromium of the same make, which knows the names. It keeps cookies from frames of other sites.

        `elsewhere`: the ports of further names.
        """
        arguments = self._chromium_arguments(elsewhere or {})
        return chromium.browser_type.launch(executable_path="/usr/bin/chromium", args=arguments)

    def launch_with_foreign_cookies(self, chromium: Browser, directory: Path) -> BrowserContext:
        """The same, set so that frames of other sites have their cookies; its profile lies in `directory`."""
        preferences = directory / "Default" / "Preferences"
        preferences.parent.mkdir()
        preferences.write_text('{"profile": {"cookie_controls_mode": 0}}')
        return chromium.browser_type.launch_persistent_context(
            directory, executable_path="/usr/bin/chromium", args=self._chromium_arguments({})
        )

    def _chromium_arguments(self, elsewhere: Mapping[str, int]) -> list[str]:
        ports = {**self.ports, NEIGHBOUR_HOST: self.ports[LOGIN_HOST], **elsewhere}
        rules = ",".join(f"MAP {host}:443 127.0.0.1:{port}" for host, port in ports.items())
        return [
            "--no-sandbox",
            f"--host-resolver-rules={rules}",
            f"--ignore-certificate-errors-spki-list={self.certificates.public_key_digest}",
            # All of it is on loopback, which pages of the internet may not reach; these sites stand for such.
            "--disable-features=LocalNetworkAccessChecks",
        ]


@contextlib.contextmanager
def tls_stage(directory: Path) -> Iterator[Stage]:
    """The stage, with everything on it running; all of it ended afterwards."""
    ports = {host: free_port() for host in (LOGIN_HOST, APP_HOST, API_HOST)}
    certificates = make_certificates(directory, hosts=[*ports, OTHER_HOST])
    environment = make_environment(
        issuer=f"https://{LOGIN_HOST}",
        database_url=f"sqlite:///{directory}/tokenhouse.db",
        directory=directory,
        rate_limits="off",
    )
    operator = Operator(make_deployment(environment))
    stage = Stage(operator=operator, certificates=certificates, ports=ports)
    secret = _register(stage)
    ca_file = str(certificates.ca_file)
    with (
        contextlib.closing(operator),
        resolving(ports),
        serving(environment, certificates, ports[LOGIN_HOST]),
        running(_make_app(stage, secret, ca_file=ca_file), certificates, ports[APP_HOST]),
        running(_make_api(stage, ca_file=ca_file), certificates, ports[API_HOST]),
    ):
        yield stage


def _register(stage: Stage) -> str:
    stage.operator.add_resource(
        resource=stage.api_url,
        scopes=[
            {"name": "photos.read", "description": "See your photos"},
            {"name": "photos.dates", "description": "See when your photos were taken"},
        ],
    )
    client = stage.operator.add_client(
        client_id=CLIENT_ID,
        client_name="Paper & Light",
        client_uri=f"{stage.app_url}/",
        redirect_uris=[f"{stage.app_url}/callback"],
    )
    assert client.client_secret is not None
    return client.client_secret


def _make_app(stage: Stage, secret: str, *, ca_file: str) -> Flask:
    settings = {
        "ISSUER": stage.issuer,
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": secret,
        "APP_URL": stage.app_url,
        "LIBRARY_URL": stage.api_url,
        "LIBRARY_RESOURCE": stage.api_url,
    }
    app: Flask = _import_example("photo_printing", "website").app_from_settings(settings, ca_file=ca_file)
    return app


def _make_api(stage: Stage, *, ca_file: str) -> Flask:
    verifier = AccessTokenVerifier(issuer=stage.issuer, audience=stage.api_url, ca_file=ca_file)
    app: Flask = _import_example("photo_library", "api").create_app(verifier)
    return app


def _import_example(directory: str, module: str) -> Any:
    """The examples are programs, started by path: their modules find each other beside themselves."""
    path = str(ROOT / "examples" / directory)
    sys.path.insert(0, path)
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(path)


@contextlib.contextmanager
def serving(environment: Mapping[str, str], certificates: Certificates, port: int) -> Iterator[None]:
    """`tokenhouse serve` with TLS of its own."""
    load_settings(environment)
    command = [str(_TOKENHOUSE), "serve", "--port", str(port)]
    command += ["--tls-cert", str(certificates.certificate), "--tls-key", str(certificates.key)]
    log_path = certificates.ca_file.with_name("server.log")
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, env={"PATH": os.environ["PATH"], **environment}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + _START_S
        while not _listens(port):
            assert process.poll() is None, log_path.read_text()
            assert time.monotonic() < deadline, log_path.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            # A browser may hold a connection open: the second signal ends everything at once.
            process.terminate()
            process.wait(timeout=10)


@contextlib.contextmanager
def running(app: Flask, certificates: Certificates, port: int) -> Iterator[None]:
    """A Flask application over TLS, in a thread."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    server = make_server("127.0.0.1", port, app, threaded=True, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


@contextlib.contextmanager
def resolving(ports: Mapping[str, int]) -> Iterator[None]:
    """Within it this process finds the names on loopback, their port 443 included; TLS still checks the names."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode("ascii") if isinstance(host, bytes) else host
        if name in ports:
            return real("127.0.0.1", ports[name] if port == 443 else port, *arguments, **options)
        return real(host, port, *arguments, **options)

    socket.getaddrinfo = getaddrinfo
    try:
        yield
    finally:
        socket.getaddrinfo = real


def make_certificates(directory: Path, *, hosts: list[str]) -> Certificates:
    """A new authority, and a certificate of it; as files."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of a test")])
    now = datetime.datetime.now(datetime.UTC)

    def builder(name: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    authority = (
        builder(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    certificate = (
        builder(subject, key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    written = {
        "ca.pem": authority.public_bytes(Encoding.PEM),
        "certificate.pem": certificate.public_bytes(Encoding.PEM),
        "key.pem": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    for name, content in written.items():
        (directory / name).write_bytes(content)
    public_key = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Certificates(
        ca_file=directory / "ca.pem",
        certificate=directory / "certificate.pem",
        key=directory / "key.pem",
        public_key_digest=base64.b64encode(hashlib.sha256(public_key).digest()).decode(),
    )


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
