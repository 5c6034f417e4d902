"""A host on the Internet that somebody else runs: a certificate authority, a real server, and what we did to reach it.

The server speaks raw sockets, so that it can misbehave below HTTP. `watch_network` records every connection that this
process begins, and lets none leave the machine.
"""

import datetime
import ipaddress
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NAME = "rp.example"
LOOPBACK = ipaddress.IPv4Network("127.0.0.1/32")
HOUR = datetime.timedelta(hours=1)


# ----- The certificate authority -----


class CertificateAuthority:
    """Issues certificates for servers; `bundle` is its own certificate."""

    def __init__(self, directory: Path, name: str = "Authority of the tests") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self._begin(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.bundle = directory / "authority.pem"
        self.bundle.write_bytes(certificate.public_bytes(Encoding.PEM))

    def serve(self, *names: str, expired: bool = False) -> ssl.SSLContext:
        """The TLS of a server with a new certificate for the names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        age = 2 * HOUR if expired else datetime.timedelta()
        certificate = (
            self._begin(subject, key.public_key(), age)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        path = self._directory / f"{x509.random_serial_number()}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _begin(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, age: datetime.timedelta = datetime.timedelta()
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - age - HOUR)
            .not_valid_after(now - age + HOUR)
        )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


# ----- The server -----

Behaviour = Callable[[socket.socket, threading.Event], None]
"""What the server does once it has read a request; the event is set when the test is over."""


def answer(*header_lines: str, status: str = "200 OK", body: bytes = b"") -> bytes:
    """A whole answer with a Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *header_lines, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


class OtherHost:
    """A server on loopback. Counts connections, keeps requests, gives one answer to all of them."""

    def __init__(
        self,
        behaviour: bytes | Behaviour = b"",
        *,
        tls: ssl.SSLContext | None = None,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.behaviour = behaviour
        self.requests: list[bytes] = []
        self.arrived = threading.Semaphore(0)
        self.connections = 0
        self.tls_versions: list[str | None] = []
        self.server_names: list[str | None] = []
        self.over = threading.Event()
        self._tls = tls
        if tls is not None:
            tls.sni_callback = self._note_server_name
        self._listener = socket.create_server((address, port), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def url(self, path: str = "/", *, host: str = NAME, scheme: str | None = None) -> str:
        """An address at this server."""
        return f"{scheme or ('http' if self._tls is None else 'https')}://{host}:{self.port}{path}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _note_server_name(self, _socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self.server_names.append(name)

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # A client that goes away in the middle is what many of these tests are about.
        with suppress(OSError), connection:
            connection.settimeout(20)
            if self._tls is None:
                self._converse(connection)
                return
            with self._tls.wrap_socket(connection, server_side=True) as secured:
                self.tls_versions.append(secured.version())
                self._converse(secured)

    def _converse(self, connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            received = connection.recv(4096)
            if not received:
                return
            request += received
        self.requests.append(request)
        self.arrived.release()
        behaviour = self.behaviour
        if isinstance(behaviour, bytes):
            connection.sendall(behaviour)
        else:
            behaviour(connection, self.over)


# ----- The name service -----


@dataclass
class Names:
    """Answers like `socket.getaddrinfo`, the next answer at each lookup and the last one ever after."""

    answers: Sequence[tuple[str, ...]]
    asked: list[tuple[str, int]] = field(default_factory=list)

    def __call__(
        self, host: str, port: int, family: int, kind: int
    ) -> list[tuple[Any, Any, Any, Any, tuple[Any, ...]]]:
        """One lookup."""
        addresses = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append((host, port))
        assert (family, kind) == (socket.AF_UNSPEC, socket.SOCK_STREAM)
        return [_address_info(address, port) for address in addresses]


def names(*addresses: str) -> Names:
    """A name service that always gives the same addresses."""
    return Names([addresses])


def _address_info(address: str, port: int) -> tuple[Any, Any, Any, Any, tuple[Any, ...]]:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)


# ----- What this process does on the network -----


@dataclass
class Network:
    """Every address that was connected to, and every name that the system's resolver was asked for."""

    connected: list[tuple[str, int]] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)


_watching: list[Network] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        address = arguments[1][:2]
        _watching[-1].connected.append(address)
        if not ipaddress.ip_address(address[0]).is_loopback:
            raise ConnectionRefusedError("the tests stay on this machine")
    elif event == "socket.getaddrinfo":
        _watching[-1].looked_up.append(arguments[0])


sys.addaudithook(_audit)


@contextmanager
def watch_network() -> Iterator[Network]:
    """Record what the interpreter itself reports, below every library."""
    network = Network()
    _watching.append(network)
    try:
        yield network
    finally:
        _watching.remove(network)
