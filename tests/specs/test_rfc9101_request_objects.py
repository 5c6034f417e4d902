"""RFC 9101: what a request object may say, and which parameters come of it."""

import json
from typing import Any

import pytest

from app.specs.protocol_error import InvalidRequestObject, InvalidRequestUri
from app.specs.rfc7515_jose import encode_base64url
from app.specs.rfc9101_request_objects import (
    check_request_object_claims,
    check_request_uri,
    complete_parameters,
    parse_request_object_claims,
    parse_request_object_header,
    read_request_parameters,
    read_unsigned_claims,
)
from app.specs.strict_request import Parameters

ISSUER, CLIENT, NOW = "https://login.example.com", "client", 1_800_000_000
GOOD: dict[str, Any] = {
    "iss": CLIENT,
    "client_id": CLIENT,
    "aud": ISSUER,
    "nbf": NOW,
    "exp": NOW + 300,
    "response_type": "code",
}


def check(*, is_strict: bool, **changes: Any) -> None:
    claims = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    check_request_object_claims(claims, issuer=ISSUER, client_id=CLIENT, now_s=NOW, is_strict=is_strict)


@pytest.mark.requirement("RFC 9101", "4", "an object that says for whom, by whom and when is accepted")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": [ISSUER]},
        {"nbf": NOW + 8},
        {"nbf": NOW - 3000, "exp": NOW + 100},
        {"exp": NOW + 3600},
        {"exp": NOW + 0.5},
        {"sub": "somebody"},
    ],
    ids=str,
)
def test_a_complete_object_is_accepted(changes: dict[str, Any]) -> None:
    check(is_strict=True, **changes)
    check(is_strict=False, **changes)


@pytest.mark.requirement("RFC 9101", "6.2", "an object for others, by others, or for another time is refused")
@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "another"},
        {"iss": ["client"]},
        {"client_id": "another"},
        {"aud": "https://other.example.com"},
        {"aud": ISSUER + "/"},
        {"aud": []},
        {"aud": {"0": ISSUER}},
        {"exp": NOW},
        {"exp": NOW - 1},
        {"exp": "2038-01-01"},
        {"exp": True},
        {"nbf": NOW + 61},
        {"nbf": "now"},
        {"iat": "now"},
        {"sub": CLIENT},
        {"request": "a.b.c"},
        {"request_uri": "https://rp.example/ro"},
    ],
    ids=str,
)
def test_an_object_that_says_otherwise_is_refused(changes: dict[str, Any]) -> None:
    for is_strict in (True, False):
        with pytest.raises(InvalidRequestObject):
            check(is_strict=is_strict, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": ...},
        {"aud": ...},
        {"client_id": ...},
        {"exp": ...},
        {"nbf": ...},
        {"aud": [ISSUER, "https://other.example.com"]},
        {"exp": NOW + 3601},
        {"nbf": NOW - 3601, "exp": NOW + 1},
    ],
    ids=str,
)
def test_what_openid_connect_leaves_open_is_demanded_where_it_is_strict(changes: dict[str, Any]) -> None:
    check(is_strict=False, **changes)
    with pytest.raises(InvalidRequestObject):
        check(is_strict=True, **changes)


@pytest.mark.requirement("RFC 9101", "4", "numbers are JSON numbers, documents are JSON, everything else is text")
def test_values_of_the_right_type_become_parameters() -> None:
    parameters = read_request_parameters(
        {
            **GOOD,
            "max_age": 60,
            "claims": {"userinfo": {"name": None}},
            "authorization_details": [{"type": "payment"}],
            "resource": ["https://a.example", "https://b.example"],
            "state": "zürich",
            "tokenhouse_expires_in": "60",
            "unknown": {"whatever": 1},
            "scope": "",
        }
    )
    assert parameters.get("max_age") == "60"
    assert json.loads(parameters.get("claims") or "") == {"userinfo": {"name": None}}
    assert json.loads(parameters.get("authorization_details") or "") == [{"type": "payment"}]
    assert parameters.get_all("resource") == ("https://a.example", "https://b.example")
    assert parameters.get("state") == "zürich"
    assert parameters.get("tokenhouse_expires_in") == "60"
    assert not {"unknown", "scope", "iss", "aud", "exp", "nbf"} & set(parameters.names)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scope", ["openid"]),
        ("redirect_uri", {"uri": "https://rp.example/cb"}),
        ("redirect_uri", ["https://rp.example/cb"]),
        ("state", 1),
        ("state", None),
        ("nonce", True),
        ("max_age", 1.5),
        ("max_age", True),
        ("max_age", [1]),
        ("claims", "{}"),
        ("claims", []),
        ("authorization_details", {"type": "payment"}),
        ("authorization_details", "[]"),
        ("resource", ["https://a.example", 1]),
        ("resource", {}),
        ("prompt", ["login"]),
        ("response_mode", 0),
        ("state", "a\r\nb"),
        ("resource", ["https://a.example/\x00"]),
    ],
    ids=str,
)
def test_52_a_value_of_the_wrong_type_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequestObject):
        read_request_parameters({**GOOD, name: value})


@pytest.mark.requirement("RFC 9101", "6.3", "only the parameters in the object count")
def test_nothing_beside_a_complete_object_counts() -> None:
    outer = Parameters.of({"client_id": CLIENT, "scope": "admin", "state": "theirs", "request": "x", "max_age": "1"})
    inner = Parameters.of({"client_id": CLIENT, "scope": "openid"})
    counted = complete_parameters(outer, inner, client_id=CLIENT, may_complete=False)
    assert {name: counted.get(name) for name in counted.names} == {"client_id": CLIENT, "scope": "openid"}


@pytest.mark.requirement("OpenID Connect Core 1.0", "6.1", "the object supersedes what stands beside it")
def test_what_stands_beside_it_completes_and_never_replaces() -> None:
    outer = Parameters.of(
        {"client_id": CLIENT, "response_type": "code", "scope": "openid", "state": "s", "request_uri": "x"}
    )
    inner = Parameters.of({"scope": "openid email", "nonce": "n"})
    counted = complete_parameters(outer, inner, client_id=CLIENT, may_complete=True)
    assert {name: counted.get(name) for name in counted.names} == {
        "client_id": CLIENT,
        "response_type": "code",
        "scope": "openid email",
        "state": "s",
        "nonce": "n",
    }


@pytest.mark.requirement("OpenID Connect Core 1.0", "6.1", "response_type and client_id beside it must match")
@pytest.mark.parametrize("name", ["response_type", "client_id"])
def test_what_must_agree_must_agree(name: str) -> None:
    with pytest.raises(InvalidRequestObject):
        complete_parameters(
            Parameters.of({name: "one"}), Parameters.of({name: "other"}), client_id=CLIENT, may_complete=True
        )


@pytest.mark.requirement(
    "OpenID Connect Core 1.0", "6.2", "request_uri is registered, and fetched without its fragment"
)
def test_an_address_is_compared_whole_and_fetched_without_its_fragment() -> None:
    registered = ("https://rp.example/ro#version-2", "https://rp.example/other")
    assert check_request_uri("https://rp.example/ro#version-2", registered) == "https://rp.example/ro"
    assert check_request_uri("https://rp.example/other", registered) == "https://rp.example/other"
    for unknown in ("https://rp.example/ro", "https://rp.example/ro#version-3", "https://rp.example/OTHER", "urn:x"):
        with pytest.raises(InvalidRequestUri):
            check_request_uri(unknown, registered)


def header(**members: Any) -> str:
    return f"{encode_base64url(json.dumps(members).encode())}.e30.c2ln"


@pytest.mark.requirement("RFC 9101", "10.8", "objects of another type are refused")
@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "oauth-authz-req+jwt", "application/oauth-authz-req+jwt"])
def test_a_type_may_be_missing_or_its_own(typ: str | None) -> None:
    parse_request_object_header(header(alg="ES256", **({} if typ is None else {"typ": typ})))


@pytest.mark.parametrize(
    "members",
    [
        {"alg": "ES256", "typ": "at+jwt"},
        {"alg": "ES256", "typ": "client-authentication+jwt"},
        {"alg": "ES256", "typ": 1},
        {"alg": "ES256", "jwk": {"kty": "EC"}},
        {"alg": "ES256", "jku": "https://evil.example/keys"},
        {"alg": "none", "x5u": "https://evil.example/cert"},
        {"alg": "ES256", "crit": ["exp"]},
        {"alg": "ES256", "zip": "DEF"},
        {"typ": "JWT"},
    ],
    ids=str,
)
def test_49_a_header_that_brings_a_key_or_is_of_another_type_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestObject):
        parse_request_object_header(header(**members))


@pytest.mark.parametrize("raw", ["a.b", "e30.e30.c2ln", "e30.e=0.", "e30.é."])
def test_an_unsigned_object_has_an_empty_signature(raw: str) -> None:
    with pytest.raises(InvalidRequestObject):
        read_unsigned_claims(raw)


def test_the_claims_are_read_in_one_way_only() -> None:
    assert parse_request_object_claims(read_unsigned_claims("e30.eyJhIjoxfQ.")) == {"a": 1}
    for payload in (b'{"a": 1, "a": 2}', b"[]", b"{", b'{"a": 1e999}', b"\xff"):
        with pytest.raises(InvalidRequestObject):
            parse_request_object_claims(payload)
