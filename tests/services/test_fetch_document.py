"""What is fetched for URLs that others chose, what is refused before a connection, and what ends one."""

import ipaddress
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services.fetch_document import (
    Answers,
    DocumentFetcher,
    FetchedDocument,
    FetchError,
    FetchFailed,
    FetchRefused,
    Resolve,
    _parse_target,
)
from tests.services.other_host import (
    LOOPBACK,
    NAME,
    Behaviour,
    CertificateAuthority,
    Names,
    Network,
    OtherHost,
    answer,
    names,
    watch_network,
)
from tests.services.test_public_addresses import NOT_PUBLIC, PUBLIC

JSON = answer("Content-Type: application/json", 'ETag: "v1"', body=b'{"keys": []}')
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MUCH = 1 << 20
SOON_S = 0.4
LATE_S = 10
"""Far beyond every deadline here, and far below the 20 s for which the servers go on."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def network() -> Iterator[Network]:
    with watch_network() as network:
        yield network


class Switchboard:
    """Resolves by whatever is plugged in, so that fetchers can be shared: reading the system's authorities is slow."""

    resolve: Resolve = names("127.0.0.1")

    def __call__(self, host: str, port: int, family: int, kind: int) -> Answers:
        """One lookup."""
        return self.resolve(host, port, family, kind)


switchboard = Switchboard()


@cache
def make_fetcher(allowed_networks: tuple[ipaddress.IPv4Network, ...], ca_bundle: Path | None) -> DocumentFetcher:
    return DocumentFetcher(allowed_networks=allowed_networks, ca_bundle=ca_bundle, resolve=switchboard)


def fetch(
    url: str,
    *,
    max_bytes: int = MUCH,
    deadline_s: float = 5,
    resolve: Resolve | None = None,
    allowed_networks: tuple[ipaddress.IPv4Network, ...] = (LOOPBACK,),
    ca_bundle: Path | None = None,
) -> FetchedDocument:
    """Fetch with a fetcher that may reach the servers of these tests, unless told otherwise."""
    switchboard.resolve = resolve or names("127.0.0.1")
    fetcher = make_fetcher(allowed_networks, ca_bundle)
    return fetcher.fetch(url, max_bytes=max_bytes, accept="application/json", deadline_s=deadline_s)


def refuse(url: str, **options: Any) -> str:
    """The reason of the refusal."""
    with pytest.raises(FetchRefused) as refused:
        fetch(url, **options)
    return refused.value.reason


def fail(url: str, **options: Any) -> str:
    """The reason of the failure."""
    with pytest.raises(FetchFailed) as failed:
        fetch(url, **options)
    return failed.value.reason


# ----- What is fetched -----


def test_a_document_comes_over_the_newest_tls_by_name(authority: CertificateAuthority) -> None:
    with OtherHost(JSON, tls=authority.serve(NAME)) as host:
        document = fetch(host.url("/keys"), ca_bundle=authority.bundle)
    assert document == FetchedDocument(status=200, content_type="application/json", body=b'{"keys": []}', etag='"v1"')
    assert host.tls_versions == ["TLSv1.3"]
    assert host.server_names == [NAME]


def test_the_request_says_only_what_it_must() -> None:
    with OtherHost(JSON) as host:
        fetch(host.url("/a/../%41?b=c&b=%20"))
    request_line, *headers = host.requests[0].decode().removesuffix("\r\n\r\n").split("\r\n")
    assert request_line == "GET /a/../%41?b=c&b=%20 HTTP/1.1"
    assert sorted(headers) == [
        "Accept-Encoding: identity",
        "Accept: application/json",
        "Connection: close",
        f"Host: {NAME}:{host.port}",
        "User-Agent: Tokenhouse",
    ]


def test_an_error_status_is_an_answer() -> None:
    with OtherHost(answer(status="404 Not Found", body=b"gone")) as host:
        assert fetch(host.url()) == FetchedDocument(status=404, content_type=None, body=b"gone", etag=None)


def test_not_modified_is_no_redirect() -> None:
    with OtherHost(b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\n\r\n') as host:
        assert fetch(host.url()) == FetchedDocument(status=304, content_type=None, body=b"", etag='"v1"')


def test_a_chunked_document_is_put_together() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
    with OtherHost(chunked) as host:
        assert fetch(host.url()).body == b"abcde"


def test_a_body_does_not_show_in_a_representation() -> None:
    assert "sec" not in repr(FetchedDocument(status=200, content_type=None, body=b"secret", etag=None))


def test_an_address_in_the_url_needs_a_certificate_for_the_address(authority: CertificateAuthority) -> None:
    resolve = names("127.0.0.1")
    with OtherHost(JSON, tls=authority.serve("127.0.0.1")) as host:
        document = fetch(host.url(host="127.0.0.1"), ca_bundle=authority.bundle, resolve=resolve)
    assert document.status == 200
    assert resolve.asked == []


def test_the_next_address_is_tried_where_the_first_one_does_not_listen(network: Network) -> None:
    allowed = (ipaddress.IPv4Network("127.0.0.0/8"),)
    with OtherHost(JSON) as host:
        document = fetch(host.url(), resolve=names("127.0.0.2", "127.0.0.1"), allowed_networks=allowed)
    assert document.status == 200
    assert network.connected == [("127.0.0.2", host.port), ("127.0.0.1", host.port)]


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, network: Network) -> None:
    with OtherHost(JSON) as host, OtherHost(answer(body=b"proxy")) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert fetch(host.url()).body == b'{"keys": []}'
    assert network.connected == [("127.0.0.1", host.port)]


# ----- Where it leads: names and addresses -----


@pytest.mark.parametrize("address", NOT_PUBLIC)
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_an_address_that_is_not_public_is_refused_before_a_connection(
    scheme: str, address: str, network: Network
) -> None:
    host = f"[{ipaddress.ip_address(address)}]" if ":" in address else address
    resolve = names(PUBLIC[0])
    refuse(f"{scheme}://{host}/", resolve=resolve, allowed_networks=())
    assert network == Network()
    assert resolve.asked == []


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_name_of_an_address_that_is_not_public_is_refused_before_a_connection(address: str, network: Network) -> None:
    reason = refuse("https://rp.example/", resolve=names(address), allowed_networks=())
    assert reason.startswith(f"{ipaddress.ip_address(address)} is ")
    assert network == Network()


@pytest.mark.parametrize("addresses", [(PUBLIC[0], "10.0.0.1"), ("10.0.0.1", PUBLIC[0]), (*PUBLIC, "::ffff:7f00:1")])
def test_one_private_answer_among_public_ones_condemns_the_name(addresses: tuple[str, ...], network: Network) -> None:
    assert "not in an allowed network" in refuse("https://rp.example/", resolve=names(*addresses), allowed_networks=())
    assert network == Network()


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_the_one_that_is_connected_to(address: str, network: Network) -> None:
    resolve = names(address)
    # The tests let nothing leave this machine, so the connection itself is refused.
    assert "the tests stay on this machine" in fail("https://rp.example/", resolve=resolve, allowed_networks=())
    assert network == Network(connected=[(address, 443)])
    assert resolve.asked == [("rp.example", 443)]


def test_a_name_that_changes_between_check_and_connection_leads_nowhere_else(network: Network) -> None:
    rebinding = Names([("127.0.0.1",), ("127.0.0.2",)])
    with OtherHost(JSON) as host, OtherHost(answer(body=b"inside"), address="127.0.0.2", port=host.port) as inside:
        assert fetch(host.url(), resolve=rebinding).body == b'{"keys": []}'
        assert inside.connections == 0
    assert rebinding.asked == [(NAME, host.port)]
    assert network == Network(connected=[("127.0.0.1", host.port)])


def test_a_name_that_changes_to_a_private_address_is_looked_up_anew_for_the_next_document(network: Network) -> None:
    fetcher = DocumentFetcher(allowed_networks=[LOOPBACK], resolve=Names([("127.0.0.1",), ("127.0.0.2",)]))
    with OtherHost(JSON) as host:
        assert fetcher.fetch(host.url(), max_bytes=MUCH, accept="*/*").status == 200
        with pytest.raises(FetchRefused, match=r"127\.0\.0\.2 is loopback"):
            fetcher.fetch(host.url(), max_bytes=MUCH, accept="*/*")
    assert network.connected == [("127.0.0.1", host.port)]


def test_the_systems_own_names_for_this_machine_are_refused(network: Network) -> None:
    assert "loopback" in refuse("https://localhost/", resolve=socket.getaddrinfo, allowed_networks=())
    assert network.connected == []
    assert network.looked_up == ["localhost"]


def test_an_allowed_network_allows_nothing_beside_itself(network: Network) -> None:
    refuse("https://rp.example/", resolve=names("127.0.0.1", "127.0.0.2"))
    refuse("https://rp.example/", resolve=names("::ffff:127.0.0.1"))
    refuse("https://rp.example/", resolve=names("127.0.0.1", "::1"))
    assert network == Network()


def test_plain_http_is_for_allowed_networks_only(network: Network) -> None:
    reason = refuse("http://rp.example/", resolve=names(PUBLIC[0]))
    assert reason == "must use https outside the allowed networks"
    refuse("http://rp.example/", resolve=names("127.0.0.1", PUBLIC[0]))
    assert network == Network()


def test_an_answer_that_is_no_internet_address_is_refused(network: Network) -> None:
    def to_a_socket_file(_host: str, _port: int, _family: int, _kind: int) -> list[Any]:
        return [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", (PUBLIC[0],))]

    assert "not an Internet address" in refuse("https://rp.example/", resolve=to_a_socket_file)
    assert "not an Internet address" in refuse("https://rp.example/", resolve=names("not an address"))
    assert network == Network()


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_name_that_is_not_found_is_the_other_sides_failure(error: Exception, network: Network) -> None:
    def resolve(_host: str, _port: int, _family: int, _kind: int) -> list[Any]:
        raise error

    assert str(error) in fail("https://rp.example/", resolve=resolve)
    assert fail("https://rp.example/", resolve=names()) == "the name has no address"
    assert network == Network()


# ----- How the URL is written -----

ODD_URLS = [
    "",
    "rp.example",
    "//rp.example/",
    "https:rp.example",
    "https:///path",
    "HTTPS://rp.example/",
    "file:///etc/passwd",
    "ftp://rp.example/",
    "gopher://rp.example/",
    "data:,x",
    "javascript:alert(1)",
    "unix:/run/socket",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://127.0.0.1./",
    "https://rp.example./",
    "https://RP.example/",
    "https://[::ffff:127.0.0.1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[fe80::1%25eth0]/",
    "https://[::1/",
    "https://%6c%6f%63alhost/",
    "https://rp.example%00.example/",
    "https://ｒｐ.example/",
    "https://127。0。0。1/",
    "https://user@rp.example/",
    "https://user:password@rp.example/",
    "https://@rp.example/",
    "https://rp.example@127.0.0.1/",
    "https://rp.example\\@127.0.0.1/",
    "https://rp.example\t/",
    "https://rp.example/\r\nHost: inside",
    "https://rp.example/ HTTP/1.1",
    " https://rp.example/",
    "https://rp.example/#fragment",
    "https://rp.example/#",
    "https://rp.example:/",
    "https://rp.example:0/",
    "https://rp.example:65536/",
    "https://rp.example:443x/",
    "https://rp.example:+443/",
    "https://rp.example/" + "a" * 2048,
    *(f"https://rp.example:{port}/" for port in (1, 21, 22, 23, 25, 53, 110, 143, 389, 445, 465, 587, 993, 1023)),
]


@pytest.mark.parametrize("url", ODD_URLS)
def test_a_url_that_is_odd_is_refused_before_its_name_is_looked_up(url: str, network: Network) -> None:
    resolve = names("127.0.0.1")
    refuse(url, resolve=resolve)
    assert resolve.asked == []
    assert network == Network()


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("https://rp.example", 443),
        ("https://rp.example:443/", 443),
        ("https://rp.example:80/", 80),
        ("https://rp.example:1024/", 1024),
        ("https://rp.example:65535/", 65535),
    ],
)
def test_the_ports_of_the_web_and_those_of_everybody_are_allowed(url: str, port: int, network: Network) -> None:
    fail(url, resolve=names(PUBLIC[0]))
    assert network.connected == [(PUBLIC[0], port)]


@pytest.mark.parametrize(
    ("url", "host_header"),
    [
        ("https://rp.example/", "rp.example"),
        ("http://rp.example/", "rp.example"),
        ("https://rp.example:443/", "rp.example:443"),
        ("https://rp.example:8443/", "rp.example:8443"),
        ("https://[2606:4700::1]/", "[2606:4700::1]"),
    ],
)
def test_the_host_header_is_the_authority_of_the_url(url: str, host_header: str) -> None:
    assert _parse_target(url).host_header == host_header


# ----- What comes back -----


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
def test_a_redirect_is_refused(status: int, network: Network) -> None:
    with OtherHost(b"") as host:
        host.behaviour = answer(f"Location: {host.url('/elsewhere')}", status=f"{status} Elsewhere")
        assert refuse(host.url()) == f"answered {status}, and redirects are not followed"
        assert len(host.requests) == 1
    assert len(network.connected) == 1


def test_a_document_of_exactly_the_limit_is_fetched_and_one_byte_more_is_refused() -> None:
    with OtherHost(answer(body=b"x" * 1000)) as host:
        assert len(fetch(host.url(), max_bytes=1000).body) == 1000
        assert refuse(host.url(), max_bytes=999) == "is larger than 999 bytes"


@pytest.mark.parametrize(
    "without_a_length",
    [b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000, CHUNKED + b"3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n"],
)
def test_the_limit_counts_what_comes_where_no_length_was_promised(without_a_length: bytes) -> None:
    with OtherHost(without_a_length) as host:
        assert len(fetch(host.url(), max_bytes=1000).body) == 1000
        assert refuse(host.url(), max_bytes=999) == "is larger than 999 bytes"


def send_for_ever(start: bytes, piece: bytes) -> Behaviour:
    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(start)
        while not over.is_set():
            connection.sendall(piece)

    return behave


FLOODS = {
    "a body without a length": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096),
    "chunks": (CHUNKED, b"1000\r\n" + b"x" * 4096 + b"\r\n"),
    "chunks of one byte": (CHUNKED, b"1\r\nx\r\n"),
    "extensions of chunks": (CHUNKED, b"1;" + b"e" * 4096 + b"\r\nx\r\n"),
    "trailers": (CHUNKED + b"0\r\n", b"Trailer: " + b"t" * 4096 + b"\r\n"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "header lines": (b"HTTP/1.1 200 OK\r\n", b"Header: " + b"h" * 4096 + b"\r\n"),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_refused_as_soon_as_it_is_one(flood: str) -> None:
    with OtherHost(send_for_ever(*FLOODS[flood])) as host:
        reason = refuse(host.url(), max_bytes=10_000, deadline_s=30)
    assert reason in ("is larger than 10000 bytes", "sends more than the document it was asked for")


def test_a_length_over_the_limit_is_refused_before_the_body() -> None:
    def promise_much(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        over.wait(20)

    with OtherHost(promise_much) as host:
        assert refuse(host.url(), max_bytes=10) == "is larger than 10 bytes"


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "GZIP", "identity, gzip", "x-unknown"])
def test_a_compressed_document_is_refused(coding: str) -> None:
    with OtherHost(answer(f"Content-Encoding: {coding}", body=b"\x1f\x8b")) as host:
        assert refuse(host.url()) == "is compressed, although that was not accepted"


def test_a_compressed_transfer_is_refused() -> None:
    with OtherHost(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n") as host:
        assert refuse(host.url()) == "has a transfer encoding other than chunked"


@pytest.mark.parametrize(
    "start_of_an_answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nshort!",
        CHUNKED + b"5\r\nab",
        CHUNKED + b"zz\r\nab",
    ],
)
def test_what_is_not_a_whole_http_answer_is_the_other_sides_failure(start_of_an_answer: bytes) -> None:
    with OtherHost(start_of_an_answer) as host:
        assert fail(host.url())


def test_a_port_where_nobody_listens_is_the_other_sides_failure() -> None:
    with OtherHost() as host:
        pass
    assert "Connection refused" in fail(host.url())


@settings(max_examples=150, deadline=None)
@given(
    junk=st.binary(max_size=200)
    | st.lists(
        st.sampled_from(
            # Whole pieces meet more often than bytes do.
            [
                b"HTTP/1.1 ",
                b"200 OK",
                b"302",
                b"\r\n",
                b"\r\n\r\n",
                b"\n",
                b":",
                b" ",
                b"5",
                b"-1",
                b"9" * 5000,
                b"Content-Length: ",
                b"Transfer-Encoding: chunked",
                b"Content-Encoding:",
                b"ETag: \xe9",
                b"\xff",
                b"\x00",
            ]
        ),
        max_size=20,
    ).map(b"".join)
)
def test_no_answer_causes_anything_but_a_document_or_a_fetch_error(junk: bytes) -> None:
    with OtherHost(junk) as host:
        try:
            size = len(fetch(host.url(), max_bytes=1000).body)
        except FetchError:
            size = 0
    assert size <= len(junk)


# ----- How long it takes -----


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


# ----- Who answers: certificates -----


def test_a_certificate_that_nobody_vouches_for_is_refused(authority: CertificateAuthority) -> None:
    with OtherHost(JSON, tls=authority.serve(NAME)) as host:
        assert "CERTIFICATE_VERIFY_FAILED" in fail(host.url())
        assert host.requests == []


def test_a_certificate_for_another_name_is_refused(authority: CertificateAuthority) -> None:
    # The address is in the certificate, the name is not: what counts is what the URL says.
    with OtherHost(JSON, tls=authority.serve("other.example", "127.0.0.1")) as host:
        assert "Hostname mismatch" in fail(host.url(), ca_bundle=authority.bundle)
        assert host.requests == []


def test_a_certificate_for_the_name_is_none_for_the_address(authority: CertificateAuthority) -> None:
    with OtherHost(JSON, tls=authority.serve(NAME)) as host:
        assert "IP address mismatch" in fail(host.url(host="127.0.0.1"), ca_bundle=authority.bundle)
        assert host.requests == []


def test_a_certificate_that_has_expired_is_refused(authority: CertificateAuthority) -> None:
    with OtherHost(JSON, tls=authority.serve(NAME, expired=True)) as host:
        assert "certificate has expired" in fail(host.url(), ca_bundle=authority.bundle)
        assert host.requests == []


def test_the_operators_authorities_stand_beside_the_systems(
    authority: CertificateAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systems = CertificateAuthority(tmp_path, "Authority of the system")
    monkeypatch.setenv("SSL_CERT_FILE", str(systems.bundle))
    fetcher = DocumentFetcher(allowed_networks=[LOOPBACK], ca_bundle=authority.bundle, resolve=names("127.0.0.1"))
    for signed_by in (systems, authority):
        with OtherHost(JSON, tls=signed_by.serve(NAME)) as host:
            assert fetcher.fetch(host.url(), max_bytes=MUCH, accept="*/*").status == 200


def test_tls_1_2_is_spoken_and_tls_1_1_is_not(authority: CertificateAuthority) -> None:
    tls = authority.serve(NAME)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with OtherHost(JSON, tls=tls) as host:
        assert fetch(host.url(), ca_bundle=authority.bundle).status == 200
    assert host.tls_versions == ["TLSv1.2"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tls = authority.serve(NAME)
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
        tls.set_ciphers("ALL:@SECLEVEL=0")
    with OtherHost(JSON, tls=tls) as host:
        assert "protocol version" in fail(host.url(), ca_bundle=authority.bundle).lower().replace("_", " ")
        assert host.requests == []


def test_a_bundle_without_a_certificate_stops_the_start(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate\n")
    for path in (empty, tmp_path / "nowhere.pem"):
        with pytest.raises(ValueError, match="is not a readable PEM file of certificates"):
            DocumentFetcher(ca_bundle=path)
