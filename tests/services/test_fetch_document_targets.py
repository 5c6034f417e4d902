"""Where a URL that others chose may lead: what is refused before a connection."""

import ipaddress
import socket
from typing import Any

import pytest

from app.services.fetch_document import DocumentFetcher, FetchRefused, _parse_target
from tests.services.fetching import JSON, MUCH, fail, fetch, refuse
from tests.services.other_host import LOOPBACK, NAME, Names, Network, OtherHost, answer, names
from tests.services.test_public_addresses import NOT_PUBLIC, PUBLIC

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
