"""Fetching over TLS, and what is not fetched."""

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from app.verifier.https import DocumentClient, FetchError, Unreachable
from tests.verifier.issuer import IssuerServer, SigningKey, answer_bytes, answer_json


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "verifier test")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + built.public_bytes(Encoding.PEM)
    )
    return path


@pytest.fixture
def tls_server(certificate: Path, key: SigningKey) -> Iterator[IssuerServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with IssuerServer(key, tls=context) as server:
        yield server


def test_a_ca_file_is_trusted_instead_of_the_systems_certificates(tls_server: IssuerServer, certificate: Path) -> None:
    assert tls_server.jwks_uri.startswith("https://")
    fetched = DocumentClient(timeout_s=5, ca_file=str(certificate)).fetch(tls_server.jwks_uri)
    assert len(fetched.members["keys"]) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(tls_server: IssuerServer) -> None:
    with pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED"):
        DocumentClient(timeout_s=5).fetch(tls_server.jwks_uri)
    assert tls_server.jwks_requests == 0


def test_a_certificate_for_another_host_is_refused(tls_server: IssuerServer, certificate: Path) -> None:
    with pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED"):
        DocumentClient(timeout_s=5, ca_file=str(certificate)).fetch(
            tls_server.jwks_uri.replace("127.0.0.1", "localhost")
        )


def test_a_missing_ca_file_stops_the_start() -> None:
    with pytest.raises(OSError, match="No such file"):
        DocumentClient(timeout_s=5, ca_file="/nowhere/ca.pem")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, server: IssuerServer) -> None:
    server.answers["/from"] = answer_bytes(b"", status=status, headers={"Location": server.jwks_uri})
    with pytest.raises(FetchError, match=str(status)):
        DocumentClient(timeout_s=5).fetch(f"{server.origin}/from")
    assert server.jwks_requests == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com/keys",
        "http://127.0.0.1.example.com/keys",
        "http://localhost.example.com/keys",
        "http://0.0.0.0/keys",
        "http://[::ffff:192.0.2.1]/keys",
        "file:///etc/passwd",
        "data:application/json,{}",
        "ftp://127.0.0.1/keys",
        "https:///keys",
        "https://login.example.com:99999/keys",
        "https://user@login.example.com/keys",
        "https://login.example.com/keys#fragment",
        "https://login.example.com/keys\r\nHost: evil.example",
        "https://login.example.com\\@evil.example/keys",
        "https://l\u00f6gin.example.com/keys",
        "",
    ],
)
def test_an_address_without_tls_or_with_tricks_is_not_fetched(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|https|[Pp]ort"):
        DocumentClient(timeout_s=5).fetch(url)


def test_a_port_where_nothing_listens_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable):
            DocumentClient(timeout_s=5).fetch(f"http://127.0.0.1:{unused.getsockname()[1]}/keys")


def test_a_document_just_below_the_cap_is_read_and_one_above_is_not(server: IssuerServer) -> None:
    server.answers["/fits"] = answer_json({"x": "x" * 262_000})
    server.answers["/larger"] = answer_json({"x": "x" * 262_144})
    client = DocumentClient(timeout_s=5)
    assert len(client.fetch(f"{server.origin}/fits").members["x"]) == 262_000
    with pytest.raises(FetchError, match="larger than"):
        client.fetch(f"{server.origin}/larger")


def _answer_once(listener: socket.socket, answer: bytes, drip: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)
        try:
            while drip:
                connection.sendall(drip)
        except OSError:
            pass


@pytest.mark.parametrize(
    ("answer", "drip", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n{", b" ", "larger than|took longer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", b"", "ended before"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", b"", "did not answer with HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n{}", b"", "did not answer with HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n{}", b"", "did not answer with HTTP"),
        (b"", b"", "closed connection"),
    ],
    ids=["endless", "cut short", "not HTTP", "headers without end", "a header without end", "closed"],
)
def test_a_server_that_misbehaves_gives_no_document(answer: bytes, drip: bytes, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer_once, args=(listener, answer, drip), daemon=True)
        thread.start()
        client = DocumentClient(timeout_s=2)
        with pytest.raises(FetchError, match=reason):
            client.fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/keys")
        thread.join(10)


def test_loopback_is_never_asked_through_a_proxy(server: IssuerServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert "keys" in DocumentClient(timeout_s=5).fetch(server.jwks_uri).members
