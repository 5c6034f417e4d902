"""Clients' logos: what counts as an image, what is remembered, and how few requests wait for them."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog.testing

from app.services.client_logo import (
    FAILURE_REMEMBERED_FOR_MS,
    MAX_LOGO_BYTES,
    MAX_REMEMBERED_BYTES,
    MAX_WAITING,
    REMEMBERED_FOR_MS,
    ClientLogo,
    ClientLogos,
)
from app.services.fetch_document import DocumentFetcher
from tests.services.other_host import (
    LOOPBACK,
    Behaviour,
    CertificateAuthority,
    Names,
    Network,
    OtherHost,
    answer,
    names,
)

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR and more"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF and more"
GIF_87 = b"GIF87a and more"
GIF_89 = b"GIF89a and more"
WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 and more"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
CLIENT = "printer"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def fetcher() -> DocumentFetcher:
    return DocumentFetcher(allowed_networks=[LOOPBACK], resolve=names("127.0.0.1"))


@pytest.fixture
def logos(fetcher: DocumentFetcher, clock: Clock) -> ClientLogos:
    return ClientLogos(fetcher, clock)


@pytest.fixture
def host() -> Iterator[OtherHost]:
    with OtherHost(answer("Content-Type: image/png", body=PNG)) as host:
        yield host


# ----- What counts as a logo -----


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(PNG, "image/png"), (JPEG, "image/jpeg"), (GIF_87, "image/gif"), (GIF_89, "image/gif"), (WEBP, "image/webp")],
)
@pytest.mark.parametrize("claimed", ["image/png", "text/html", "image/svg+xml"])
def test_an_image_is_what_its_first_bytes_say(
    claimed: str, body: bytes, content_type: str, logos: ClientLogos, host: OtherHost
) -> None:
    host.behaviour = answer(f"Content-Type: {claimed}", body=body)
    assert logos.find_client_logo(CLIENT, host.url("/logo")) == ClientLogo(content_type, body)


@pytest.mark.parametrize(
    "body",
    [
        SVG,
        b'<?xml version="1.0"?>' + SVG,
        b"\xef\xbb\xbf" + SVG,
        b"\x1f\x8b\x08" + SVG,
        b"<!doctype html><script>alert(1)</script>",
        b"\n" + PNG,
        PNG[:7],
        b"GIF88a",
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"%PDF-1.7",
        b"\x00\x00\x01\x00 icon",
        b"BM bitmap",
        b"",
    ],
)
@pytest.mark.parametrize("claimed", ["image/png", "image/svg+xml"])
def test_what_is_not_a_raster_image_is_no_logo(claimed: str, body: bytes, logos: ClientLogos, host: OtherHost) -> None:
    host.behaviour = answer(f"Content-Type: {claimed}", body=body)
    assert logos.find_client_logo(CLIENT, host.url("/logo")) is None
    assert len(host.requests) == 1


def test_a_logo_of_256_kib_is_shown_and_a_larger_one_is_not(logos: ClientLogos, host: OtherHost) -> None:
    largest = PNG.ljust(MAX_LOGO_BYTES, b"\x00")
    host.behaviour = answer(body=largest)
    assert logos.find_client_logo(CLIENT, host.url("/largest")) == ClientLogo("image/png", largest)
    host.behaviour = answer(body=largest + b"\x00")
    assert logos.find_client_logo(CLIENT, host.url("/larger")) is None


@pytest.mark.parametrize("status", ["404 Not Found", "500 Broken", "203 Changed", "302 Elsewhere", "304 Same"])
def test_an_image_with_another_status_than_200_is_no_logo(status: str, logos: ClientLogos, host: OtherHost) -> None:
    host.behaviour = answer(f"Location: {host.url('/logo')}", status=status, body=PNG)
    assert logos.find_client_logo(CLIENT, host.url("/logo")) is None
    assert len(host.requests) == 1


def test_the_clients_host_learns_nothing_of_the_person(logos: ClientLogos, host: OtherHost) -> None:
    logos.find_client_logo(CLIENT, host.url("/logo"))
    headers = {line.split(b":")[0].lower() for line in host.requests[0].strip().split(b"\r\n")[1:]}
    assert headers == {b"host", b"user-agent", b"accept", b"accept-encoding", b"connection"}
    assert b"Accept: image/webp, image/png, image/jpeg, image/gif\r\n" in host.requests[0]
    assert CLIENT.encode() not in host.requests[0]


def test_a_logo_comes_over_tls(authority: CertificateAuthority, clock: Clock) -> None:
    fetcher = DocumentFetcher(allowed_networks=[LOOPBACK], ca_bundle=authority.bundle, resolve=names("127.0.0.1"))
    with OtherHost(answer(body=PNG), tls=authority.serve("rp.example")) as host:
        logos = ClientLogos(fetcher, clock)
        assert logos.find_client_logo(CLIENT, host.url("/logo")) == ClientLogo("image/png", PNG)


@pytest.mark.parametrize(
    "logo_uri",
    [
        "http://rp.example/logo.png",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/logo.png",
        "https://rp.example:25/logo.png",
        "javascript:alert(1)",
        "data:image/png;base64,iVBORw0KGgo=",
        "file:///etc/passwd",
    ],
)
def test_a_logo_at_an_address_that_is_forbidden_is_never_asked_for(
    logo_uri: str, clock: Clock, network: Network
) -> None:
    logos = ClientLogos(DocumentFetcher(resolve=names("93.184.216.34", "10.0.0.1")), clock)
    assert logos.find_client_logo(CLIENT, logo_uri) is None
    assert network == Network()


def test_a_client_without_a_logo_has_none(logos: ClientLogos, network: Network) -> None:
    assert logos.find_client_logo(CLIENT, None) is None
    assert network == Network()


def test_the_log_says_why_there_is_no_logo(logos: ClientLogos, host: OtherHost) -> None:
    host.behaviour = answer(body=SVG)
    with structlog.testing.capture_logs() as lines:
        logos.find_client_logo("c" * 2048, host.url("/logo"))
        logos.find_client_logo("c" * 2048, host.url("/logo"))
    assert lines == [
        {
            "event": "no client logo",
            "log_level": "warning",
            "client_id": "c" * 200,
            "reason": "is not a PNG, JPEG, GIF or WebP image",
        }
    ]


# ----- What is remembered -----


def test_a_logo_is_remembered_for_an_hour(logos: ClientLogos, host: OtherHost, clock: Clock) -> None:
    first = logos.find_client_logo(CLIENT, host.url("/logo"))
    clock.now += REMEMBERED_FOR_MS - 1
    host.behaviour = answer(body=GIF_89)
    assert logos.find_client_logo(CLIENT, host.url("/logo")) == first == ClientLogo("image/png", PNG)
    assert len(host.requests) == 1
    clock.now += 1
    assert logos.find_client_logo(CLIENT, host.url("/logo")) == ClientLogo("image/gif", GIF_89)
    assert len(host.requests) == 2


def test_a_failure_is_remembered_for_a_minute(logos: ClientLogos, host: OtherHost, clock: Clock) -> None:
    host.behaviour = answer(status="503 Busy")
    assert logos.find_client_logo(CLIENT, host.url("/logo")) is None
    host.behaviour = answer(body=PNG)
    clock.now += FAILURE_REMEMBERED_FOR_MS - 1
    assert logos.find_client_logo(CLIENT, host.url("/logo")) is None
    assert len(host.requests) == 1
    clock.now += 1
    assert logos.find_client_logo(CLIENT, host.url("/logo")) == ClientLogo("image/png", PNG)


def test_a_clock_that_was_set_back_makes_no_logo_immortal(logos: ClientLogos, host: OtherHost, clock: Clock) -> None:
    logos.find_client_logo(CLIENT, host.url("/logo"))
    clock.now -= 1
    logos.find_client_logo(CLIENT, host.url("/logo"))
    assert len(host.requests) == 2


def test_another_address_or_another_client_is_fetched_anew(logos: ClientLogos, host: OtherHost) -> None:
    logos.find_client_logo(CLIENT, host.url("/logo"))
    logos.find_client_logo(CLIENT, host.url("/new-logo"))
    logos.find_client_logo("other", host.url("/logo"))
    assert len(host.requests) == 3


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first(logos: ClientLogos, host: OtherHost) -> None:
    host.behaviour = answer(body=PNG.ljust(MAX_LOGO_BYTES, b"\x00"))
    fitting = MAX_REMEMBERED_BYTES // MAX_LOGO_BYTES
    for number in range(fitting):
        logos.find_client_logo(f"client {number}", host.url("/logo"))
    logos.find_client_logo(f"client {fitting - 1}", host.url("/logo"))
    assert len(host.requests) == fitting
    logos.find_client_logo("client 0", host.url("/logo"))
    assert len(host.requests) == fitting + 1


# ----- How few wait -----


def answer_after(released: threading.Event) -> Behaviour:
    def behave(connection: socket.socket, _over: threading.Event) -> None:
        released.wait(20)
        connection.sendall(answer(body=PNG))

    return behave


def test_many_who_ask_at_once_cause_one_fetch(logos: ClientLogos, host: OtherHost) -> None:
    released = threading.Event()
    begun = threading.Semaphore(0)

    def ask() -> ClientLogo | None:
        begun.release()
        return logos.find_client_logo(CLIENT, host.url("/logo"))

    host.behaviour = answer_after(released)
    with ThreadPoolExecutor(MAX_WAITING) as threads:
        asking = [threads.submit(ask)]
        assert host.arrived.acquire(timeout=10)
        asking += [threads.submit(ask) for _ in range(MAX_WAITING - 1)]
        for _ in range(MAX_WAITING):
            assert begun.acquire(timeout=10)
        released.set()
        assert [each.result(timeout=10) for each in asking] == [ClientLogo("image/png", PNG)] * MAX_WAITING
    assert len(host.requests) == 1


def test_hosts_that_hang_occupy_few_threads_and_nobody_pays_for_them_later(logos: ClientLogos, host: OtherHost) -> None:
    released = threading.Event()

    host.behaviour = answer_after(released)
    with ThreadPoolExecutor(MAX_WAITING) as threads:
        asking = [
            threads.submit(logos.find_client_logo, f"slow {number}", host.url("/slow")) for number in range(MAX_WAITING)
        ]
        for _ in asking:
            assert host.arrived.acquire(timeout=10)
        assert logos.find_client_logo(CLIENT, host.url("/logo")) is None
        assert len(host.requests) == MAX_WAITING
        released.set()
        for each in asking:
            assert each.result(timeout=10) == ClientLogo("image/png", PNG)
    # It was not a failure of this client's, so it is not remembered as one.
    assert logos.find_client_logo(CLIENT, host.url("/logo")) == ClientLogo("image/png", PNG)


def test_a_remembered_logo_is_there_while_hosts_hang(logos: ClientLogos, host: OtherHost) -> None:
    logos.find_client_logo(CLIENT, host.url("/logo"))
    released = threading.Event()

    assert host.arrived.acquire(timeout=10)
    host.behaviour = answer_after(released)
    with ThreadPoolExecutor(MAX_WAITING) as threads:
        for number in range(MAX_WAITING):
            threads.submit(logos.find_client_logo, f"slow {number}", host.url("/slow"))
        for _ in range(MAX_WAITING):
            assert host.arrived.acquire(timeout=10)
        assert logos.find_client_logo(CLIENT, host.url("/logo")) == ClientLogo("image/png", PNG)
        released.set()


def test_a_place_is_given_back_after_every_kind_of_end(clock: Clock, host: OtherHost) -> None:
    rebinding = Names([("10.0.0.1",)] * 10 + [("127.0.0.1",)])
    logos = ClientLogos(DocumentFetcher(allowed_networks=[LOOPBACK], resolve=rebinding), clock)
    for number in range(10):
        assert logos.find_client_logo(f"refused {number}", host.url("/logo")) is None
    assert logos.find_client_logo(CLIENT, host.url("/logo")) == ClientLogo("image/png", PNG)
