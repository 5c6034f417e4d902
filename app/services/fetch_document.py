"""The only outbound HTTP for URLs that others chose: clients' logos, keys, sector files, metadata, logout addresses.

Whoever names a URL could make us knock at doors that only we can reach (server-side request forgery). So a name is
looked up once, **every** answer must be an address of the Internet, and the connection goes to one of those very
addresses: a second lookup could answer differently. What is not a public address, the operator allows by network
(`TOKENHOUSE_OUTBOUND_ALLOWED_NETWORKS`), which is also the only place where plain http is spoken.

No redirect is followed, no proxy of the environment is used, no cookie is sent, and no credential but the caller's for
this very address; no compression is undone. One deadline on the monotonic clock bounds lookup, connection, TLS, headers
and body together. Callers cache. Neither content type nor status are judged: a 404 is an answer like another.
"""

import io
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, cast

from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from app.services.public_addresses import Address, Network, find_denial
from app.specs.rfc3986_uri import check_web_host, parse_uri

DEFAULT_DEADLINE_S: Final = 5.0
USER_AGENT: Final = "Tokenhouse"
_CHUNK_BYTES: Final = 16_384
_MOST_HEADER_BYTES: Final = 65_536
_MOST_LOOKUPS_AT_ONCE: Final = 16
_MOST_ADDRESSES_TRIED: Final = 4
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}

Answers = Sequence[tuple[Any, Any, Any, Any, tuple[Any, ...]]]
Resolve = Callable[[str, int, int, int], Answers]
"""`socket.getaddrinfo`, called as (host, port, family, type)."""


class FetchError(Exception):
    """There is no document. `reason` is for the log: it may name addresses, which a caller must not be told."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FetchRefused(FetchError):
    """Our rules forbid the URL, where it leads, or what came back."""


class FetchFailed(FetchError):
    """The other side could not be found or reached, took too long, or did not speak HTTP. Later it may work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedDocument:
    """What the other side said. Its headers are as it wrote them, and prove nothing about the body."""

    status: int
    content_type: str | None
    body: bytes = field(repr=False)
    etag: str | None
    cache_control: str | None = None
    date: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """A URL that keeps our rules. `host` is the name (or address without brackets) that TLS verifies."""

    scheme: str
    host: str
    port: int
    host_header: str
    path_and_query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    headers: Mapping[str, str | None] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


class _Deadline:
    """A moment of the monotonic clock after which nothing is waited for."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._ends_at = time.monotonic() + deadline_s

    def remaining_s(self) -> float:
        """Always more than zero. Raises `FetchFailed` when no time is left."""
        remaining_s = self._ends_at - time.monotonic()
        if remaining_s <= 0:
            raise self.expired()
        return remaining_s

    def expired(self) -> FetchFailed:
        """The refusal to wait any longer."""
        return FetchFailed(f"took longer than {self._deadline_s:g} s")


class DocumentFetcher:
    """Fetches documents. One per process; safe for its threads.

    `ca_bundle` names a PEM file that is trusted beside the system's certificates. Raises ValueError where that cannot
    be read or holds none.
    """

    def __init__(
        self,
        *,
        allowed_networks: Sequence[Network] = (),
        ca_bundle: Path | None = None,
        resolve: Resolve = socket.getaddrinfo,
    ) -> None:
        self._allowed_networks = tuple(allowed_networks)
        self._tls = _make_tls_context(ca_bundle)
        self._resolve = resolve
        self._lookups = threading.BoundedSemaphore(_MOST_LOOKUPS_AT_ONCE)

    def fetch(
        self,
        url: str,
        *,
        max_bytes: int,
        accept: str,
        deadline_s: float = DEFAULT_DEADLINE_S,
        authorization: str | None = None,
    ) -> FetchedDocument:
        """What GET answers, whatever its status, redirects excepted.

        Raises `FetchRefused` for a URL, an address or an answer against our rules, `FetchFailed` for the rest.
        """
        headers = {"Accept": accept, "Authorization": authorization}
        return self._send(url, _Request(method="GET", headers=headers), max_bytes=max_bytes, deadline_s=deadline_s)

    def post(
        self,
        url: str,
        body: bytes,
        *,
        content_type: str,
        max_bytes: int,
        deadline_s: float = DEFAULT_DEADLINE_S,
        authorization: str | None = None,
        accept: str = "*/*",
    ) -> FetchedDocument:
        """As `fetch`, by POST of `body`. Sent once: it may have arrived even where this raises."""
        headers = {"Content-Type": content_type, "Accept": accept, "Authorization": authorization}
        request = _Request(method="POST", headers=headers, body=body)
        return self._send(url, request, max_bytes=max_bytes, deadline_s=deadline_s)

    def _send(self, url: str, request: _Request, *, max_bytes: int, deadline_s: float) -> FetchedDocument:
        deadline, target = _Deadline(deadline_s), _parse_target(url)
        addresses = self._find_addresses(target, deadline)
        try:
            with _connect(addresses, target.port, deadline) as plain, self._secure(plain, target, deadline) as sock:
                return _exchange(sock, target, request, max_bytes=max_bytes, deadline=deadline)
        except TimeoutError as cause:
            raise deadline.expired() from cause
        except (OSError, HTTPException, HTTPError) as cause:
            raise FetchFailed(f"{type(cause).__name__}: {cause}") from cause

    def _find_addresses(self, target: _Target, deadline: _Deadline) -> tuple[Address, ...]:
        try:
            addresses: tuple[Address, ...] = (ipaddress.ip_address(target.host),)
        except ValueError:
            addresses = self._look_up(target, deadline)
        for address in addresses:
            # One bad answer condemns all: whoever mixes them hopes for the retry that takes the other one.
            self._check_address(address, target.scheme)
        return addresses

    def _check_address(self, address: Address, scheme: str) -> None:
        if any(address in network for network in self._allowed_networks):
            return
        denial = find_denial(address)
        if denial is not None:
            raise FetchRefused(f"{address} is {denial}, and not in an allowed network")
        if scheme == "http":
            raise FetchRefused("must use https outside the allowed networks")

    def _look_up(self, target: _Target, deadline: _Deadline) -> tuple[Address, ...]:
        """Every address of the name, from one lookup. The system's resolver knows no deadline, so a thread waits."""
        if not self._lookups.acquire(timeout=deadline.remaining_s()):
            raise FetchFailed("too many name lookups are hanging")
        outcome: queue.SimpleQueue[Answers | OSError | ValueError] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                outcome.put(self._resolve(target.host, target.port, socket.AF_UNSPEC, socket.SOCK_STREAM))
            except (OSError, ValueError) as error:  # UnicodeError, for a name that the resolver cannot encode
                outcome.put(error)
            finally:
                self._lookups.release()

        # A daemon: a lookup that hangs must not keep a server alive that was told to stop.
        threading.Thread(target=look_up, name="name lookup", daemon=True).start()
        try:
            answers = outcome.get(timeout=deadline.remaining_s())
        except queue.Empty as cause:
            raise deadline.expired() from cause
        if isinstance(answers, OSError | ValueError):
            raise FetchFailed(f"the name was not found: {answers}") from answers
        return _read_answers(answers)

    def _secure(self, plain: socket.socket, target: _Target, deadline: _Deadline) -> socket.socket:
        if target.scheme == "http":
            return plain
        # The handshake as a whole obeys the socket's timeout. SNI and the certificate go by the name, not the address.
        plain.settimeout(deadline.remaining_s())
        return self._tls.wrap_socket(plain, server_hostname=target.host)


def _make_tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_bundle is not None:
        try:
            context.load_verify_locations(cafile=ca_bundle)
        except OSError as cause:
            raise ValueError(f"{ca_bundle} is not a readable PEM file of certificates: {cause}") from cause
    return context


def _parse_target(url: str) -> _Target:
    try:
        uri = parse_uri(url)
        # Also refuses what a resolver takes for an address: 2130706433, 0x7f.1, 127.1, [::ffff:127.0.0.1] spelt oddly.
        check_web_host(uri.host)
    except ValueError as cause:
        raise FetchRefused(f"the URL {cause}") from cause
    if uri.scheme not in _DEFAULT_PORTS:
        raise FetchRefused("the URL must use https")
    if uri.userinfo is not None or uri.fragment is not None:
        raise FetchRefused("the URL must hold neither credentials nor a fragment")
    port = uri.port or _DEFAULT_PORTS[uri.scheme]
    # Other low ports are protocols into which a request could be smuggled (SMTP, FTP, SSH).
    if port < 1024 and port not in _DEFAULT_PORTS.values():
        raise FetchRefused(f"the URL must not name port {port}")
    host, query = uri.host or "", "" if uri.query is None else f"?{uri.query}"
    return _Target(
        scheme=uri.scheme,
        host=host.strip("[]"),
        port=port,
        host_header=host if uri.port is None else f"{host}:{port}",
        path_and_query=(uri.path or "/") + query,
    )


def _read_answers(answers: Answers) -> tuple[Address, ...]:
    addresses: dict[Address, None] = {}
    for family, _type, _protocol, _name, socket_address in answers:
        if family not in (socket.AF_INET, socket.AF_INET6):
            raise FetchRefused("the name leads to something that is not an Internet address")
        try:
            addresses[ipaddress.ip_address(socket_address[0])] = None
        except ValueError as cause:
            raise FetchRefused("the name leads to something that is not an Internet address") from cause
    if not addresses:
        raise FetchFailed("the name has no address")
    return tuple(addresses)


def _connect(addresses: Sequence[Address], port: int, deadline: _Deadline) -> socket.socket:
    """A connection to the first of the (checked) addresses that accepts one; each gets its share of the time."""
    tried = addresses[:_MOST_ADDRESSES_TRIED]
    for position, address in enumerate(tried):
        is_last = position == len(tried) - 1
        share_s = deadline.remaining_s() / (len(tried) - position)
        # The socket is given the address itself: no name, so nothing that could be looked up again.
        sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
        try:
            sock.settimeout(share_s)
            # Head and body go out as two writes: without this the second would wait for the other side's late receipt.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect((str(address), port))
        except OSError:
            sock.close()
            if is_last:
                raise
        else:
            return sock
    raise FetchFailed("the name has no address")


def _exchange(
    sock: socket.socket, target: _Target, request: _Request, *, max_bytes: int, deadline: _Deadline
) -> FetchedDocument:
    headers = {
        "Host": target.host_header,
        "User-Agent": USER_AGENT,
        # A few compressed bytes can become gigabytes.
        "Accept-Encoding": "identity",
        "Connection": "close",
        **{name: value for name, value in request.headers.items() if value is not None},
    }
    # Everything that is not the body (interim answers, headers, the framing of chunks, trailers) counts here.
    wire = _BoundedSocket(sock, deadline, most_bytes=_MOST_HEADER_BYTES + 2 * max_bytes)
    connection = HTTPConnection(target.host, target.port)
    connection.sock = cast(socket.socket, wire)
    connection.request(
        request.method,
        target.path_and_query,
        body=request.body,
        headers=headers,
        preload_content=False,
        decode_content=False,
    )
    response = connection.getresponse()
    _check_response(response)
    return FetchedDocument(
        status=response.status,
        content_type=response.headers.get("Content-Type"),
        body=_read_body(response, max_bytes),
        etag=response.headers.get("ETag"),
        cache_control=response.headers.get("Cache-Control"),
        date=response.headers.get("Date"),
    )


def _check_response(response: HTTPResponse) -> None:
    # A redirect is a second URL that nobody registered; 304 is none, and comes to whoever asked with a condition.
    if 300 <= response.status < 400 and response.status != 304:
        raise FetchRefused(f"answered {response.status}, and redirects are not followed")
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise FetchRefused("is compressed, although that was not accepted")
    if response.headers.get("Transfer-Encoding", "chunked").strip().lower() != "chunked":
        raise FetchRefused("has a transfer encoding other than chunked")


def _read_body(response: HTTPResponse, max_bytes: int) -> bytes:
    body = bytearray()
    is_too_large = (response.length_remaining or 0) > max_bytes
    while not is_too_large and (chunk := response.read(_CHUNK_BYTES, decode_content=False)):
        body += chunk
        is_too_large = len(body) > max_bytes
    if is_too_large:
        raise FetchRefused(f"is larger than {max_bytes} bytes")
    return bytes(body)


class _BoundedSocket:
    """The part of a socket that HTTPConnection uses, under one deadline and with a limit on what is received.

    A socket's own timeout starts anew with every byte, so that one byte a second would hold us for ever.
    """

    def __init__(self, sock: socket.socket, deadline: _Deadline, *, most_bytes: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._most_bytes = most_bytes

    def sendall(self, data: bytes) -> None:
        """Send everything before the deadline."""
        unsent = memoryview(data)
        while unsent:
            self._sock.settimeout(self._deadline.remaining_s())
            unsent = unsent[self._sock.send(unsent) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The answer, as http.client reads it."""
        return io.BufferedReader(_BoundedReader(self._sock, self._deadline, most_bytes=self._most_bytes))

    def settimeout(self, _timeout_s: float | None) -> None:
        """The deadline rules."""

    def close(self) -> None:
        """Whoever opened the socket closes it: http.client lets go of it before it has read the answer."""


class _BoundedReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: _Deadline, *, most_bytes: int) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = deadline
        self._bytes_left = most_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.remaining_s())
        try:
            received = self._sock.recv_into(buffer)
        except TimeoutError as cause:
            raise self._deadline.expired() from cause
        self._bytes_left -= received
        if self._bytes_left < 0:
            raise FetchRefused("sends more than the document it was asked for")
        return received
