"""What is fetched for URLs that others chose, and what of the answers is refused."""

import ipaddress
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services.fetch_document import FetchedDocument, FetchError
from tests.services.fetching import CHUNKED, JSON, fail, fetch, refuse
from tests.services.other_host import NAME, Behaviour, CertificateAuthority, Network, OtherHost, answer, names

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
