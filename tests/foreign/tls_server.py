"""`tokenhouse serve` over TLS, on a host name that is not localhost: how the clients of others meet it."""

import datetime
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOST = "auth.tokenhouse.test"
APP_HOST = "www.prints.test"
TOKENHOUSE = Path(sys.executable).parent / "tokenhouse"
_START_S = 60
_STOP_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """For `HOST` and `APP_HOST`; it vouches for itself: `chain` is also what clients are told to trust."""

    chain: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    """Self-signed, valid for an hour, with the extensions that strict verifiers ask for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST), x509.DNSName(APP_HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(chain=folder / "certificate.pem", key=folder / "certificate.key")
    made.chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    made.key.touch(mode=0o600)
    made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made


@contextmanager
def serving_over_tls(
    environment: Mapping[str, str], certificate: Certificate, *, port: int, log_path: Path
) -> Iterator[None]:
    """The server process, answering; no process of it afterwards."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOKENHOUSE_")}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [
                *(str(TOKENHOUSE), "serve", "--host", "127.0.0.1", "--port", str(port)),
                *("--tls-cert", str(certificate.chain), "--tls-key", str(certificate.key)),
            ],
            env={**inherited, **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_until_it_answers(process, certificate, port, log_path)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_STOP_S)


def _wait_until_it_answers(
    process: subprocess.Popen[bytes], certificate: Certificate, port: int, log_path: Path
) -> None:
    context = ssl.create_default_context(cafile=str(certificate.chain))
    request = f"GET /livez HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode()
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
            context.wrap_socket(connection, server_hostname=HOST) as secured,
        ):
            secured.sendall(request)
            if secured.recv(12) == b"HTTP/1.1 200":
                return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    raise AssertionError(f"the server does not answer:\n{log_path.read_text(errors='replace')[-4000:]}")
