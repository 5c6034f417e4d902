import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.specs.protocol_error import InvalidToken
from app.specs.rfc4648_base64url import encode_base64url
from app.specs.token_status_list import (
    MAX_ENTRIES,
    MEDIA_TYPE,
    TYP,
    InvalidStatusList,
    StatusList,
    StatusReference,
    build_status_list_claims,
    check_status_list_claims,
    parse_status_claim,
    status_claim,
)

URI = "https://login.example.com/status-lists/3q2"
NOW_S = 1_800_000_000
# draft-ietf-oauth-status-list-20, appendix C.1.
LARGE_LIST = (
    "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAAAAAAAAAAAJsLCQAAAAAA"
    "AAAAADjelAAAAAAAAAAAKjDMAQAAAACAZC8L2AEb"
)
LARGE_LIST_SET = {0, 1993, 25460, 159495, 495669, 554353, 645645, 723232, 854545, 934534, 1000345}


def make_claims(**changes: Any) -> dict[str, Any]:
    claims = {
        **build_status_list_claims(
            uri=URI, issued_at_s=NOW_S, expires_at_s=NOW_S + 600, ttl_s=5, statuses=bytes([0xB9, 0xA3])
        ),
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


def check(claims: dict[str, Any], **options: Any) -> StatusList:
    return check_status_list_claims(claims, **{"uri": URI, "now_s": NOW_S, **options})


def packed(raw: bytes) -> str:
    return encode_base64url(zlib.compress(raw, 9))


# ----- The list -----


@pytest.mark.requirement(
    "draft-ietf-oauth-status-list", "4.1", "one bit per token, least significant bit first; the example"
)
def test_the_specifications_list_of_one_bit() -> None:
    claims = make_claims()
    assert claims["status_list"] == {"bits": 1, "lst": "eNrbuRgAAhcBXQ"}
    statuses = check(claims)
    assert statuses.size == 16
    assert [index for index in range(16) if statuses.is_set(index)] == [0, 3, 4, 5, 7, 8, 9, 13, 15]


@pytest.mark.requirement("draft-ietf-oauth-status-list", "4.1", "two bits per token; the example")
def test_the_specifications_list_of_two_bits() -> None:
    statuses = check(make_claims(status_list={"bits": 2, "lst": "eNo76fITAAPfAgc"}))
    assert [statuses.get_status(index) for index in range(statuses.size)] == [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]
    assert not statuses.is_set(2)
    assert statuses.is_set(1)


@pytest.mark.requirement("draft-ietf-oauth-status-list", "C.1", "the test vector of 2^20 entries")
def test_the_specifications_large_list() -> None:
    statuses = check(make_claims(status_list={"bits": 1, "lst": LARGE_LIST}))
    assert statuses.size == MAX_ENTRIES
    assert {index for index in range(MAX_ENTRIES) if statuses.is_set(index)} == LARGE_LIST_SET
    rebuilt = build_status_list_claims(uri=URI, issued_at_s=1, expires_at_s=2, ttl_s=5, statuses=statuses.statuses)
    assert rebuilt["status_list"]["lst"] == LARGE_LIST


@given(statuses=st.binary(min_size=1, max_size=64))
def test_what_is_built_reads_back(statuses: bytes) -> None:
    claims = build_status_list_claims(uri=URI, issued_at_s=NOW_S, expires_at_s=NOW_S + 600, ttl_s=5, statuses=statuses)
    read = check(claims)
    assert (read.statuses, read.uri, read.issued_at_s, read.expires_at_s, read.ttl_s) == (
        statuses,
        URI,
        NOW_S,
        NOW_S + 600,
        5,
    )
    for index in range(len(statuses) * 8):
        assert read.is_set(index) == bool(statuses[index // 8] & (1 << index % 8))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_an_index_out_of_range_is_refused(bits: int) -> None:
    statuses = check(make_claims(status_list={"bits": bits, "lst": packed(bytes(4))}))
    assert not statuses.is_set(statuses.size - 1)
    for index in (-1, statuses.size, 2**64):
        with pytest.raises(InvalidStatusList, match="no entry"):
            statuses.is_set(index)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another list": ({"sub": URI + "x"}, "another one"),
    "no sub": ({"sub": ...}, "another one"),
    "from the future": ({"iat": NOW_S + 11}, "in the future"),
    "no iat": ({"iat": ...}, "iat is missing"),
    "iat as a text": ({"iat": "1"}, "iat is missing or not a time"),
    "expired": ({"exp": NOW_S}, "has expired"),
    "no exp": ({"exp": ...}, "has no exp"),
    "exp as a truth": ({"exp": True}, "exp is missing or not a time"),
    "exp null": ({"exp": None}, "exp is missing or not a time"),
    "exp out of this world": ({"exp": 10**15}, "exp is missing or not a time"),
    "ttl zero": ({"ttl": 0}, "ttl is not a positive number"),
    "ttl negative": ({"ttl": -5}, "ttl is not a positive number"),
    "ttl as a text": ({"ttl": "5"}, "ttl is not a positive number"),
    "no list": ({"status_list": ...}, "status_list is missing"),
    "a list of another form": ({"status_list": []}, "status_list is missing"),
    "three bits": ({"status_list": {"bits": 3, "lst": "eNrbuRgAAhcBXQ"}}, "one, two, four or eight"),
    "bits as a truth": ({"status_list": {"bits": True, "lst": "eNrbuRgAAhcBXQ"}}, "one, two, four or eight"),
    "no bits": ({"status_list": {"lst": "eNrbuRgAAhcBXQ"}}, "one, two, four or eight"),
    "no lst": ({"status_list": {"bits": 1}}, "not base64url"),
    "padding": ({"status_list": {"bits": 1, "lst": "eNrbuRgAAhcBXQ=="}}, "not base64url"),
    "not ASCII": ({"status_list": {"bits": 1, "lst": "é"}}, "not base64url"),
    "not zlib": ({"status_list": {"bits": 1, "lst": encode_base64url(b"hello")}}, "not zlib"),
    "cut off": ({"status_list": {"bits": 1, "lst": encode_base64url(zlib.compress(b"abc")[:-2])}}, "cut off"),
    "more behind": (
        {"status_list": {"bits": 1, "lst": encode_base64url(zlib.compress(b"abc") + b"x")}},
        "after its end",
    ),
    "empty": ({"status_list": {"bits": 1, "lst": packed(b"")}}, "is empty"),
    "a byte too many": ({"status_list": {"bits": 1, "lst": packed(bytes(MAX_ENTRIES // 8 + 1))}}, "more entries"),
    "a bomb": ({"status_list": {"bits": 8, "lst": packed(bytes(200_000_000))}}, "more entries"),
}


@pytest.mark.requirement("draft-ietf-oauth-status-list", "8.3", "validation rules")
@pytest.mark.parametrize("name", REFUSED)
def test_a_list_one_step_away_is_refused_for_its_own_reason(name: str) -> None:
    changes, reason = REFUSED[name]
    with pytest.raises(InvalidStatusList, match=reason):
        check(make_claims(**changes))


def test_a_list_is_true_until_its_exp_to_the_second_and_an_issuers_clock_may_be_ahead() -> None:
    assert check(make_claims(), now_s=NOW_S + 599.9).size == 16
    assert check(make_claims(iat=NOW_S + 10)).size == 16
    with pytest.raises(InvalidStatusList, match="has expired"):
        check(make_claims(), now_s=NOW_S + 600)


def test_a_reader_may_believe_a_list_for_a_shorter_time_and_then_needs_no_exp() -> None:
    assert check(make_claims(exp=...), max_lifetime_s=60).expires_at_s == NOW_S + 60
    assert check(make_claims(), max_lifetime_s=60).expires_at_s == NOW_S + 60
    assert check(make_claims(), max_lifetime_s=6000).expires_at_s == NOW_S + 600
    with pytest.raises(InvalidStatusList, match="has expired"):
        check(make_claims(exp=...), max_lifetime_s=60, now_s=NOW_S + 60)


def test_ttl_may_be_missing() -> None:
    assert check(make_claims(ttl=...)).ttl_s is None


def test_the_media_type() -> None:
    assert (TYP, MEDIA_TYPE) == ("statuslist+jwt", "application/statuslist+jwt")


# ----- The reference -----


@pytest.mark.requirement("draft-ietf-oauth-status-list", "6.2", "the status claim of a referenced token")
def test_a_token_names_its_list_and_index() -> None:
    claims = {"status": status_claim(URI, 7)}
    assert claims == {"status": {"status_list": {"idx": 7, "uri": URI}}}
    assert parse_status_claim(claims) == StatusReference(uri=URI, index=7)
    assert parse_status_claim({}) is None


@pytest.mark.parametrize(
    "status",
    [
        None,
        "valid",
        {},
        [],
        {"status_list": None},
        {"status_list": []},
        {"assertion": {"idx": 1, "uri": URI}},
        {"status_list": {"idx": -1, "uri": URI}},
        {"status_list": {"idx": "1", "uri": URI}},
        {"status_list": {"idx": 1.0, "uri": URI}},
        {"status_list": {"idx": True, "uri": URI}},
        {"status_list": {"uri": URI}},
        {"status_list": {"idx": 1}},
        {"status_list": {"idx": 1, "uri": ""}},
        {"status_list": {"idx": 1, "uri": 5}},
        {"status_list": {"idx": 1, "uri": "https://" + "x" * 2048}},
    ],
    ids=str,
)
def test_a_status_that_cannot_be_read_refuses_the_token(status: Any) -> None:
    with pytest.raises(InvalidToken, match="the token's status"):
        parse_status_claim({"status": status})
