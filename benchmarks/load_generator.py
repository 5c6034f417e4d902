"""An HTTP/1.1 load generator that is cheap enough not to be what is measured.

What a benchmark times is an *operation*: one request, or several that belong together (authorize, follow, exchange).
An operation is written as a Python generator that yields request bytes and is sent the `Response`; the loop runs one
such generator per keep-alive connection over raw sockets and epoll. Requests are built beforehand where they can be.
Nothing is retried: a refused or broken answer ends the run with an exception, so a fast error never counts as speed.

    .venv/bin/python benchmarks/load_generator.py http://127.0.0.1:PORT/jwks --seconds 5 --connections 8

Only loopback addresses are accepted. The generator pins itself to the last core it may use; what it measures is meant
to be pinned to the first (`server_cores()`).
"""

import argparse
import gc
import ipaddress
import os
import select
import socket
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from urllib.parse import urlsplit

ANSWER_TIMEOUT_S = 30.0
LONGEST_RUN_S = 60.0
# Read once: after `pin_generator` the process may use only one of them.
_CORES = os.sched_getaffinity(0)


class LoadError(RuntimeError):
    """The server refused or broke off; a benchmark of refusals would say nothing."""


@dataclass(slots=True)
class Response:
    """One answer. `head` is everything before the blank line, as it came."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header, None where it is absent."""
        values = self.headers(name)
        return values[0] if values else None

    def headers(self, name: str) -> list[str]:
        wanted = name.lower().encode()
        found = []
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.lower() == wanted:
                found.append(value.strip().decode("latin-1"))
        return found


Operation = Generator[bytes, Response, None]
OperationFactory = Callable[[int], Operation]
"""Called with the number of the connection for each operation; operations of one connection never overlap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    operations: int
    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    generator_busy: float
    """Share of the time in which the generator itself computed; near 1 means that it, not the server, was measured."""

    @property
    def operations_per_s(self) -> float:
        return self.operations / self.seconds

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.seconds


def get_request(url: str, *, headers: str = "") -> bytes:
    """A GET as bytes; `headers` are further lines, each ended by CRLF."""
    host, target = _host_and_target(url)
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode("latin-1")


def form_request(url: str, body: str, *, headers: str = "") -> bytes:
    """A POST of an urlencoded form as bytes."""
    host, target = _host_and_target(url)
    return (
        f"POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n{body}"
    ).encode("latin-1")


class Repeat:
    """The operation that sends one prepared request and checks the status.

    The loop has a short way for it: an answer of the same length and status as one that was parsed is complete, since
    servers write `Date` in a fixed width. Servers that answer 40,000 GETs a second are faster than Python generators.
    """

    def __init__(self, request: bytes, *, status: int = 200) -> None:
        self.request = request
        self.known_length = -1
        self._status = status
        self._status_digits = str(status).encode()

    def check(self, response: Response) -> None:
        if response.status != self._status:
            raise LoadError(f"{response.status} instead of {self._status}: {response.body[:400]!r}")
        # The blank line between head and body belongs to the length.
        self.known_length = len(response.head) + 4 + len(response.body)

    def is_complete(self, received: bytes) -> bool:
        return len(received) == self.known_length and received[9:12] == self._status_digits


def run_load(
    origin: str,
    operation: OperationFactory | Repeat,
    *,
    connections: int,
    seconds: float,
    most_operations: int | None = None,
    warm_up_s: float = 0.0,
) -> LoadReport:
    """Runs `operation` on every connection until the time or the count is reached, whichever is first.

    What begins during `warm_up_s` is not counted. Latency is that of a whole operation.
    """
    if warm_up_s + seconds > LONGEST_RUN_S:
        raise ValueError(f"a run is at most {LONGEST_RUN_S} s long")
    loop = _Loop(_loopback_address(origin), operation, connections)
    collecting = gc.isenabled()
    gc.disable()  # a pause of ours would look like a slow answer
    try:
        if warm_up_s:
            loop.run(seconds=warm_up_s, most_operations=None)
        return loop.run(seconds=seconds, most_operations=most_operations)
    finally:
        loop.close()
        if collecting:
            gc.enable()


def server_cores() -> set[int]:
    """The core for what is measured: the first that this process may use."""
    return {min(_CORES)}


def pin_generator() -> None:
    """Moves this process to the last core, away from the server's, where there is more than one."""
    os.sched_setaffinity(0, {max(_CORES)})


def _no_operation(_connection: int) -> Operation:
    """What a connection has before its first operation."""
    yield from ()


class _Connection:
    """A socket, the operation that runs on it, and what has arrived of the answer."""

    __slots__ = ("buffer", "number", "operation", "socket", "started")

    def __init__(self, address: tuple[str, int], number: int) -> None:
        self.socket = socket.create_connection(address, timeout=ANSWER_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = number
        self.buffer = b""
        self.started = 0.0
        self.operation: Operation = _no_operation(number)


_WAITING, _CONTINUES, _ENDED = range(3)


class _Loop:
    def __init__(self, address: tuple[str, int], operation: OperationFactory | Repeat, connections: int) -> None:
        self._repeated = operation if isinstance(operation, Repeat) else None
        self._new_operation = _no_operation if isinstance(operation, Repeat) else operation
        self._connections = [_Connection(address, number) for number in range(connections)]
        self._by_descriptor = {connection.socket.fileno(): connection for connection in self._connections}
        self._poll = select.epoll()
        for descriptor in self._by_descriptor:
            self._poll.register(descriptor, select.EPOLLIN)

    def close(self) -> None:
        self._poll.close()
        for connection in self._connections:
            connection.socket.close()

    def run(self, *, seconds: float, most_operations: int | None) -> LoadReport:
        """One phase; every connection is idle again when it returns, so phases can follow each other."""
        latencies: list[float] = []
        requests = 0
        begun = 0
        busy = 0
        start = time.perf_counter()
        start_cpu = time.process_time()
        end = start + seconds
        for connection in self._connections:
            if most_operations is None or begun < most_operations:
                self._begin(connection)
                begun += 1
                busy += 1
        clock = time.perf_counter
        by_descriptor = self._by_descriptor
        while busy:
            events = self._poll.poll(ANSWER_TIMEOUT_S)
            if not events:
                raise LoadError(f"no answer within {ANSWER_TIMEOUT_S} s")
            for descriptor, _ in events:
                connection = by_descriptor[descriptor]
                step = self._advance(connection)
                if step == _WAITING:
                    continue
                requests += 1
                if step == _CONTINUES:
                    continue
                now = clock()
                latencies.append(now - connection.started)
                if now < end and (most_operations is None or begun < most_operations):
                    self._begin(connection)
                    begun += 1
                else:
                    busy -= 1
        return _report(latencies, requests, time.perf_counter() - start, time.process_time() - start_cpu)

    def _begin(self, connection: _Connection) -> None:
        connection.started = time.perf_counter()
        if self._repeated is not None:
            connection.socket.send(self._repeated.request)
            return
        connection.operation = self._new_operation(connection.number)
        connection.socket.send(next(connection.operation))

    def _advance(self, connection: _Connection) -> int:
        """Takes in what arrived: more is awaited, the operation goes on with a further request, or it has ended."""
        received = connection.socket.recv(262144)
        repeated = self._repeated
        if repeated is not None and not connection.buffer and repeated.is_complete(received):
            return _ENDED
        response = _take_in(connection, received)
        if response is None:
            return _WAITING
        if repeated is not None:
            repeated.check(response)
            return _ENDED
        try:
            connection.socket.send(connection.operation.send(response))
        except StopIteration:
            return _ENDED
        return _CONTINUES


def _take_in(connection: _Connection, received: bytes) -> Response | None:
    """The answer when it is complete, None while parts are missing."""
    if not received:
        raise LoadError(f"the server closed the connection; it had sent {connection.buffer[:200]!r}")
    buffer = connection.buffer + received if connection.buffer else received
    head_end = buffer.find(b"\r\n\r\n")
    if head_end < 0:
        connection.buffer = buffer
        return None
    body_start = head_end + 4
    length_at = _find_content_length(buffer, head_end)
    if length_at >= 0:
        body_end = body_start + int(buffer[length_at : buffer.find(b"\r", length_at)])
        if len(buffer) < body_end:
            connection.buffer = buffer
            return None
        body = buffer[body_start:body_end]
    elif b"chunked" in buffer[:head_end].lower():
        if not buffer.endswith(b"0\r\n\r\n"):
            connection.buffer = buffer
            return None
        body = _join_chunks(buffer[body_start:])
    else:
        body = b""
    connection.buffer = b""
    return Response(int(buffer[9:12]), buffer[:head_end], body)


def _find_content_length(buffer: bytes, head_end: int) -> int:
    """Where the number after `Content-Length:` begins, -1 where there is none. Both servers write one of two ways."""
    for name in (b"\r\ncontent-length: ", b"\r\nContent-Length: "):
        at = buffer.find(name, 0, head_end)
        if at >= 0:
            return at + len(name)
    return -1


def _join_chunks(raw: bytes) -> bytes:
    parts: list[bytes] = []
    at = 0
    while True:
        line_end = raw.index(b"\r\n", at)
        size = int(raw[at:line_end].partition(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(raw[line_end + 2 : line_end + 2 + size])
        at = line_end + 2 + size + 2


def _report(latencies: list[float], requests: int, seconds: float, cpu_s: float) -> LoadReport:
    if not latencies:
        raise LoadError("not one operation was completed")
    latencies.sort()
    return LoadReport(
        operations=len(latencies),
        requests=requests,
        seconds=seconds,
        p50_ms=latencies[len(latencies) // 2] * 1000,
        p99_ms=latencies[min(len(latencies) - 1, len(latencies) * 99 // 100)] * 1000,
        generator_busy=cpu_s / seconds,
    )


def _host_and_target(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.netloc, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _loopback_address(origin: str) -> tuple[str, int]:
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if parts.scheme != "http" or parts.port is None or not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"load goes to http://127.0.0.1:PORT only, not to {origin}")
    return host, parts.port


def main() -> None:
    parser = argparse.ArgumentParser(description="Load one loopback URL with GET requests.")
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=8)
    arguments = parser.parse_args()
    pin_generator()
    report = run_load(
        arguments.url,
        Repeat(get_request(arguments.url)),
        connections=arguments.connections,
        seconds=arguments.seconds,
        warm_up_s=min(1.0, arguments.seconds),
    )
    print(
        f"{report.requests_per_s:.0f} requests/s, p50 {report.p50_ms:.2f} ms, p99 {report.p99_ms:.2f} ms"
        f" (generator busy {report.generator_busy:.0%})"
    )


if __name__ == "__main__":
    main()
