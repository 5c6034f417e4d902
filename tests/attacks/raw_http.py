"""HTTP in bytes, for what no HTTP library would send."""

import socket
from contextlib import suppress
from dataclasses import dataclass

from tests.world import World


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """Everything that came back on the connection until it was closed."""

    received: bytes

    @property
    def statuses(self) -> list[int]:
        """The status of each answer on the connection. Bodies of ours never hold a status line."""
        parts = self.received.split(b"HTTP/1.")[1:]
        return [int(part.split(b" ", 2)[1]) for part in parts]

    @property
    def status(self) -> int:
        """The first status; 0 where the connection was closed without an answer."""
        return self.statuses[0] if self.statuses else 0


def send_raw(world: World, sent: bytes, *, half_close: bool = False, timeout_s: float = 10) -> RawAnswer:
    """Write the bytes as they are, and read until the server closes. The bytes must ask for `Connection: close`."""
    received = bytearray()
    with socket.create_connection(("127.0.0.1", world.server.port), timeout=timeout_s) as connection:
        # A server may refuse and close before it has read everything: what it said until then counts.
        with suppress(ConnectionError):
            connection.sendall(sent)
        if half_close:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while chunk := connection.recv(65536):
                received += chunk
    return RawAnswer(bytes(received))


def post_form(path: str, body: bytes, *, headers: bytes = b"") -> bytes:
    """A POST of a form, as bytes; `headers` are complete lines."""
    return (
        b"POST " + path.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n" + headers + b"\r\n" + body
    )
