"""The addresses that nobody else may send us to."""

import ipaddress
import socket

import pytest

from app.services.public_addresses import find_denial

NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104 - bound by nobody
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:93.184.216.34",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::5db8:d822",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:5db8:d822::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "8000::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "198.17.255.255",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2606:4700:4700::1111",
    "2a00:1450:4001:831::200e",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_the_internets_is_denied_with_a_reason(address: str) -> None:
    assert find_denial(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_not_denied(address: str) -> None:
    assert find_denial(ipaddress.ip_address(address)) is None


@pytest.mark.parametrize(
    ("address", "reason"),
    [("::1", "loopback"), ("2001::1", "Teredo"), ("169.254.169.254", "link-local, where clouds keep their metadata")],
)
def test_the_narrowest_reason_is_the_one_that_is_given(address: str, reason: str) -> None:
    assert find_denial(ipaddress.ip_address(address)) == reason


def test_an_address_of_one_interface_is_denied_even_where_it_looks_public() -> None:
    assert find_denial(ipaddress.ip_address("2606:4700:4700::1111%eth0")) == "bound to one network interface"


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_no_denied_address_changes_its_mind_in_the_spelling_of_the_operating_system(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    spelt = socket.inet_ntop(family, socket.inet_pton(family, address))
    assert find_denial(ipaddress.ip_address(spelt)) == find_denial(ipaddress.ip_address(address))
