from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.specs.protocol_error import InvalidToken
from app.specs.tokenhouse_networks import (
    Network,
    Networks,
    find_client_address,
    format_networks,
    intersect,
    is_within,
    narrow,
    parse_address,
    parse_network,
    parse_networks,
    parse_networks_claim,
)


def networks(*texts: str) -> Networks:
    return parse_networks(texts)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.7/32", "192.0.2.7/32"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("2001:0db8:0:0::/64", "2001:db8::/64"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("::/0", "::/0"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
    ],
)
def test_a_network_has_one_text(text: str, canonical: str) -> None:
    assert str(parse_network(text)) == canonical
    assert str(parse_network(canonical)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/8",
        "10.0.0.0/",
        "10.0.0.1/8",
        "2001:db8::1/32",
        "::ffff:10.0.0.1/104",
        "10.0.0.0/33",
        "2001:db8::/129",
        "10.0.0.0/-1",
        "10.0.0.0/08",
        "10.0.0.0/+8",
        "10.0.0.0/8 ",
        " 10.0.0.0/8",
        "10.0.0.0/8\n",
        "10.0.0.0/8/8",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/0.255.255.255",
        "10/8",
        "010.0.0.0/8",
        "0x0a.0.0.0/8",
        "167772160/8",
        "10.0.0.0/\u0668",
        "fe80::1%eth0",
        "fe80::%1/64",
        "localhost",
        "example.com/8",
        "[2001:db8::]/32",
        "10.0.0.0-10.0.0.255",
        "*",
    ],
)
def test_what_is_written_otherwise_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has) "):
        parse_network(text)


def test_several_networks_are_sorted_and_nothing_stands_twice() -> None:
    parsed = networks("2001:db8::/32", "192.0.2.0/25", "10.0.0.0/8", "192.0.2.128/25", "10.1.0.0/16", "::ffff:10.0.0.1")
    assert format_networks(parsed) == ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"]


def test_no_network_and_too_many_are_refused() -> None:
    with pytest.raises(ValueError, match="names no network"):
        parse_networks([])
    assert len(parse_networks(f"10.{number * 2}.0.0/16" for number in range(32))) == 32
    with pytest.raises(ValueError, match="more than 32"):
        parse_networks(f"10.{number}.0.0/16" for number in range(33))


# ----- The claim -----


def test_a_token_without_the_claim_is_not_limited() -> None:
    assert parse_networks_claim({}) is None


def test_the_claim_is_read() -> None:
    assert parse_networks_claim({"th_networks": ["10.0.0.0/8", "2001:db8::/32"]}) == networks(
        "10.0.0.0/8", "2001:db8::/32"
    )


@pytest.mark.parametrize(
    "claim",
    [
        *(None, [], {}, "10.0.0.0/8", [8], [None], [["10.0.0.0/8"]]),
        *(["10.0.0.0/8", ""], ["10.0.0.1/8"], ["10.0.0.0/8"] * 33),
    ],
    ids=lambda claim: str(claim)[:40],
)
def test_a_malformed_claim_refuses_the_token(claim: Any) -> None:
    with pytest.raises(InvalidToken, match="the token's th_networks"):
        parse_networks_claim({"th_networks": claim})


# ----- Addresses -----


@pytest.mark.parametrize(
    ("address", "is_in"),
    [
        ("10.0.0.0", True),
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("::ffff:10.1.2.3", True),
        ("::10.1.2.3", False),
        ("64:ff9b::10.1.2.3", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
    ],
)
def test_an_address_is_within_or_not(address: str, is_in: bool) -> None:
    assert is_within(parse_address(address), networks("10.0.0.0/8", "2001:db8::/32")) is is_in


@pytest.mark.parametrize("everything", ["0.0.0.0/0", "::/0"])
def test_the_whole_of_one_family_is_nothing_of_the_other(everything: str) -> None:
    other = "2001:db8::1" if everything == "0.0.0.0/0" else "::ffff:192.0.2.1"
    assert not is_within(parse_address(other), networks(everything))


@pytest.mark.parametrize("text", ["", "unknown", "10.0.0.1:80", "fe80::1%1", "010.0.0.1", "10.0.0.1 ", "a.example"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has) "):
        parse_address(text)


PROXIES = networks("192.0.2.0/24", "2001:db8:1::/48")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "10.0.0.1", "203.0.113.9"),
        ("192.0.2.1", "203.0.113.9", "203.0.113.9"),
        ("192.0.2.1", "10.0.0.1, 203.0.113.9", "203.0.113.9"),
        ("192.0.2.1", "10.0.0.1, 203.0.113.9, 192.0.2.2", "203.0.113.9"),
        ("::ffff:192.0.2.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1::1", "2001:db8:2::1", "2001:db8:2::1"),
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.3", "192.0.2.3"),
        ("192.0.2.1", ",".join(["10.0.0.1"] * 1000 + ["203.0.113.9"]), "203.0.113.9"),
    ],
)
def test_only_trusted_proxies_say_who_the_client_is(peer: str, forwarded_for: str, client: str) -> None:
    assert find_client_address(peer, forwarded_for, PROXIES) == ip_address(client)


@pytest.mark.parametrize(
    "forwarded_for", ["unknown", "203.0.113.9, a", "203.0.113.9,", "fe80::1%eth0", "203.0.113.9:443"]
)
def test_a_trusted_proxy_that_names_no_address_leaves_none(forwarded_for: str) -> None:
    assert find_client_address("192.0.2.1", forwarded_for, PROXIES) is None


@pytest.mark.parametrize("peer", ["", "unix:", "localhost"])
def test_a_connection_without_an_address_has_none(peer: str) -> None:
    assert find_client_address(peer, "203.0.113.9", PROXIES) is None


# ----- Sets -----


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        (["10.0.0.0/8"], ["10.1.0.0/16"], ["10.1.0.0/16"]),
        (["10.1.0.0/16"], ["10.0.0.0/8"], ["10.1.0.0/16"]),
        (["10.0.0.0/8"], ["10.0.0.0/8"], ["10.0.0.0/8"]),
        (["10.0.0.0/8", "192.0.2.0/24"], ["192.0.2.7", "10.2.0.0/16"], ["10.2.0.0/16", "192.0.2.7/32"]),
        (["10.0.0.0/8"], ["192.0.2.0/24"], []),
        (["10.0.0.0/8"], ["2001:db8::/32"], []),
        (["0.0.0.0/0"], ["::/0"], []),
        (["::ffff:10.0.0.0/104"], ["10.3.0.0/16"], ["10.3.0.0/16"]),
    ],
)
def test_what_lies_in_both(one: list[str], other: list[str], common: list[str]) -> None:
    assert format_networks(intersect(networks(*one), networks(*other))) == common
    assert format_networks(intersect(networks(*other), networks(*one))) == common


def test_limits_narrow_each_other_and_none_limits_nothing() -> None:
    client, person = networks("10.0.0.0/8"), networks("10.1.0.0/16", "192.0.2.0/24")
    assert narrow([]) is None
    assert narrow([None, None]) is None
    assert narrow([None, client]) == client
    assert narrow([client, None, person]) == networks("10.1.0.0/16")
    assert narrow([client, networks("192.0.2.0/24")]) == ()


four = st.builds(
    lambda number, length: ip_network((number, length), strict=False), st.integers(0, 2**32 - 1), st.integers(0, 6)
)


@given(
    one=st.lists(four, min_size=1, max_size=4),
    other=st.lists(four, min_size=1, max_size=4),
    number=st.integers(0, 2**32 - 1),
)
def test_an_address_is_in_the_intersection_if_it_is_in_both(
    one: list[Network], other: list[Network], number: int
) -> None:
    left, right = networks(*map(str, one)), networks(*map(str, other))
    address = parse_address(str(ip_address(number)))
    both = is_within(address, left) and is_within(address, right)
    assert is_within(address, intersect(left, right)) == both
