"""How long a fetch takes when the other side would rather not end it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.services.fetch_document import DocumentFetcher, FetchFailed
from tests.services.fetching import CHUNKED, fail
from tests.services.other_host import NAME, Behaviour, CertificateAuthority, Network, OtherHost

SOON_S = 0.4
LATE_S = 10
"""Far beyond every deadline here, and far below the 20 s for which the servers go on."""


@contextmanager
def ends_at_the_deadline() -> Iterator[None]:
    started_at = time.monotonic()
    yield
    assert SOON_S <= time.monotonic() - started_at < LATE_S


def say_nothing(_connection: socket.socket, over: threading.Event) -> None:
    over.wait(20)


def drip(start: bytes, piece: bytes) -> Behaviour:
    """Bytes so slowly that no limit on size is met, and so often that no single wait is long."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(start)
        while not over.wait(0.02):
            connection.sendall(piece)

    return behave


SLOW = {
    "no answer": say_nothing,
    "a status line that drips": drip(b"HTTP/1.1 200 ", b"O"),
    "a header that drips": drip(b"HTTP/1.1 200 OK\r\nHeader: ", b"x"),
    "a body that drips": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
    "chunks that drip": drip(CHUNKED, b"1\r\nx\r\n"),
    "interim answers that drip": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("slowness", SLOW)
@pytest.mark.parametrize("is_https", [False, True], ids=["http", "https"])
def test_one_deadline_bounds_the_whole_answer(slowness: str, is_https: bool, authority: CertificateAuthority) -> None:
    tls = authority.serve(NAME) if is_https else None
    with OtherHost(SLOW[slowness], tls=tls) as host, ends_at_the_deadline():
        reason = fail(host.url(), ca_bundle=authority.bundle, deadline_s=SOON_S)
    assert reason == "took longer than 0.4 s"


def test_the_deadline_bounds_the_handshake() -> None:
    with OtherHost(say_nothing) as host, ends_at_the_deadline():
        assert fail(host.url(scheme="https"), deadline_s=SOON_S) == "took longer than 0.4 s"
    assert host.connections == 1


def test_the_deadline_bounds_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        # Linux drops what comes to a full queue, so that the next connection hangs.
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        with ends_at_the_deadline():
            assert fail(f"http://rp.example:{port}/", deadline_s=SOON_S) == "took longer than 0.4 s"
        for sock in waiting:
            sock.close()


def test_the_deadline_bounds_the_lookup_and_lookups_that_hang_are_few(network: Network) -> None:
    over = threading.Event()
    asked: list[str] = []

    def hang(host: str, _port: int, _family: int, _kind: int) -> list[Any]:
        asked.append(host)
        over.wait(60)
        return []

    fetcher = DocumentFetcher(resolve=hang)
    with ends_at_the_deadline(), pytest.raises(FetchFailed, match=r"took longer than 0\.4 s"):
        fetcher.fetch("https://rp.example/", max_bytes=10, accept="*/*", deadline_s=SOON_S)
    for _ in range(15):
        with pytest.raises(FetchFailed, match="took longer"):
            fetcher.fetch("https://rp.example/", max_bytes=10, accept="*/*", deadline_s=0.01)
    with pytest.raises(FetchFailed, match="too many name lookups are hanging"):
        fetcher.fetch("https://rp.example/", max_bytes=10, accept="*/*", deadline_s=0.01)
    over.set()
    assert len(asked) == 16
    with pytest.raises(FetchFailed, match="the name has no address"):
        fetcher.fetch("https://rp.example/", max_bytes=10, accept="*/*", deadline_s=LATE_S)
    assert network == Network()
