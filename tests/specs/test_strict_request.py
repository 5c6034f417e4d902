from contextlib import suppress
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.specs.protocol_error import InvalidRequest
from app.specs.strict_request import (
    Parameters,
    ProtocolRequest,
    check_form_content_type,
    parse_parameters,
)
from tests.patience import cpu_seconds

# Everything that may be in a parameter: no C0 control, no DEL, no surrogate.
PLAIN = st.text(st.characters(codec="utf-8", min_codepoint=0x20, exclude_characters="\x7f"), min_size=1)


@given(st.dictionaries(PLAIN, PLAIN, max_size=20))
def test_what_a_form_encoder_writes_is_read_back_unchanged(form: dict[str, str]) -> None:
    parameters = parse_parameters(urlencode(form).encode())
    assert {name: parameters.get(name) for name in parameters.names} == form


@given(st.binary(max_size=300))
def test_any_bytes_give_clean_parameters_or_invalid_request(raw: bytes) -> None:
    try:
        parameters = parse_parameters(raw)
    except InvalidRequest:
        return
    for name in parameters.names:
        for text in (name, *parameters.get_all(name)):
            text.encode("utf-8")
            assert not any(ord(character) < 0x20 or character == "\x7f" for character in text)


@given(st.lists(PLAIN, min_size=2, max_size=5))
def test_a_repeated_parameter_is_refused_whatever_its_values(values: list[str]) -> None:
    with pytest.raises(InvalidRequest, match="repeated"):
        parse_parameters(urlencode([("scope", value) for value in values]).encode())


@pytest.mark.requirement("RFC 6749", "B", "the six-character example of the form encoding")
def test_the_example_of_appendix_b_is_decoded() -> None:
    assert parse_parameters(b"x=+%25%26%2B%C2%A3%E2%82%AC").get("x") == " %&+£€"


@pytest.mark.requirement("RFC 6749", "3.1", "parameters sent without a value are treated as omitted")
@pytest.mark.parametrize("raw", [b"scope=", b"scope", b"scope=&client_id=a", b"&&scope=&"])
def test_an_empty_value_is_an_absent_parameter(raw: bytes) -> None:
    parameters = parse_parameters(raw)
    assert parameters.get("scope") is None
    assert parameters.get_all("scope") == ()
    assert "scope" not in parameters
    assert "scope" not in parameters.names


@pytest.mark.requirement("RFC 6749", "3.1", "request parameters must not be included more than once")
@pytest.mark.parametrize(
    "raw",
    [
        b"client_id=a&client_id=b",
        b"client_id=a&client_id=a",
        b"client_id=&client_id=a",
        b"client_id=a&client_id",
        b"client_id=a&%63lient_id=b",
        b"unknown=1&unknown=2",
        b"=1&=2",
    ],
)
def test_a_repeated_name_is_refused_however_it_is_spelled(raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match="repeated"):
        parse_parameters(raw)


@pytest.mark.requirement("RFC 8707", "2", "multiple resource parameters may be used")
def test_resource_may_be_repeated_and_keeps_its_order() -> None:
    parameters = parse_parameters(b"resource=urn:b&scope=x&resource=urn:a&resource=&resource=urn:c")
    assert parameters.get_all("resource") == ("urn:b", "urn:a", "urn:c")
    assert parameters.get("scope") == "x"
    assert "resource" in parameters
    assert set(parameters.names) == {"resource", "scope"}


def test_one_resource_is_read_by_both_getters() -> None:
    parameters = parse_parameters(b"resource=urn:a")
    assert parameters.get("resource") == "urn:a"
    assert parameters.get_all("resource") == ("urn:a",)


def test_reading_one_value_of_a_repeated_parameter_is_refused_and_not_guessed() -> None:
    with pytest.raises(InvalidRequest, match="resource must not be repeated here"):
        parse_parameters(b"resource=urn:a&resource=urn:b").get("resource")


def test_the_caller_names_what_may_be_repeated() -> None:
    exchange = frozenset({"resource", "audience"})
    assert parse_parameters(b"audience=a&audience=b", repeatable=exchange).get_all("audience") == ("a", "b")
    with pytest.raises(InvalidRequest):
        parse_parameters(b"resource=a&resource=b", repeatable=frozenset())


@pytest.mark.parametrize("octet", [*range(0x20), 0x7F])
def test_a_control_character_is_refused_encoded_and_raw_in_values_and_names(octet: int) -> None:
    encoded = f"%{octet:02x}".encode()
    for raw in (b"state=a" + encoded, b"state=a" + bytes([octet]), b"st" + encoded + b"ate=a", encoded + b"="):
        with pytest.raises(InvalidRequest, match="control character"):
            parse_parameters(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"a=%ff",
        b"a=\xff",
        b"a=%c0%af",
        b"a=%e0%80%af",
        b"a=%ed%a0%80",
        b"a=%ed%a0%bd%ed%b8%80",
        b"a=%e2%82",
        b"%ff=a",
        b"a=%f4%90%80%80",
    ],
)
def test_overlong_truncated_and_surrogate_utf_8_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match="UTF-8"):
        parse_parameters(raw)


@pytest.mark.parametrize("raw", [b"a=%", b"a=%4", b"a=%zz", b"a=%0", b"a=%u0041", b"%=a", b"a=100%&b=1", b"a=% 41"])
def test_a_malformed_percent_encoding_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match="percent-encoding"):
        parse_parameters(raw)


def test_text_beyond_ascii_survives_encoded_and_raw() -> None:
    assert parse_parameters("a=%E2%82%AC&b=€".encode()) == Parameters.of({"a": "€", "b": "€"})


def test_only_the_first_equals_sign_separates_and_a_semicolon_does_not() -> None:
    assert parse_parameters(b"a=b=c;d=e") == Parameters.of({"a": "b=c;d=e"})


def test_a_value_is_decoded_once() -> None:
    assert parse_parameters(b"a=%2541%252B").get("a") == "%41%2B"


@pytest.mark.parametrize("raw", [b"", b"&", b"&&&"])
def test_nothing_sent_is_no_parameters(raw: bytes) -> None:
    assert parse_parameters(raw) == Parameters()


def test_a_hundred_parameters_are_read_and_one_more_is_refused() -> None:
    pairs = [f"p{number}=1" for number in range(101)]
    assert len(parse_parameters("&".join(pairs[:100]).encode()).names) == 100
    with pytest.raises(InvalidRequest, match="too many"):
        parse_parameters("&".join(pairs).encode())


def test_the_size_is_limited_to_64_kibibytes() -> None:
    assert parse_parameters(b"a=" + b"x" * 65534).get("a") == "x" * 65534
    with pytest.raises(InvalidRequest, match="too long"):
        parse_parameters(b"a=" + b"x" * 65535)


@pytest.mark.parametrize(
    "raw", [b"%0" * 32_000, b"a=" + b"%41" * 21_000, b"a=" + b"+" * 65_000, b"&" * 65_000, b"a=" + b"%25" * 21_000]
)
def test_hostile_parameters_cost_time_linear_in_their_size(raw: bytes) -> None:
    def parse() -> None:
        with suppress(InvalidRequest):
            parse_parameters(raw)

    assert cpu_seconds(parse) < 0.1


def test_values_do_not_reach_repr_or_the_public_description() -> None:
    parameters = parse_parameters(b"client_secret=hunter2&resource=urn:x:hunter2&resource=urn:y")
    request = ProtocolRequest(
        method="POST",
        path="/token",
        parameters=parameters,
        authorization="Basic aHVudGVyMg==",
        headers={"cookie": "hunter2"},
        remote_address="192.0.2.1",
        request_id="r1",
    )
    assert "hunter2" not in repr(request)
    assert "aHVudGVyMg" not in repr(request)
    assert "client_secret" in repr(request)
    with pytest.raises(InvalidRequest) as refusal:
        parse_parameters(b"hunter2=hunter2&hunter2=1")
    assert "hunter2" not in refusal.value.description


def test_parameters_made_of_trusted_values_leave_out_the_empty_ones() -> None:
    parameters = Parameters.of({"a": "1", "b": "", "resource": ["urn:a", "urn:b"], "c": ["2"], "d": []})
    assert set(parameters.names) == {"a", "c", "resource"}
    assert parameters.get_all("resource") == ("urn:a", "urn:b")
    assert parameters.get("c") == "2"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "Application/X-WWW-Form-URLEncoded",
        "application/x-www-form-urlencoded; charset=UTF-8",
        'application/x-www-form-urlencoded;charset="utf-8"',
    ],
)
def test_a_form_in_utf_8_is_accepted(content_type: str) -> None:
    check_form_content_type(content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/x-www-form-urlencoded; charset=utf-7",
        "application/x-www-form-urlencoded; charset=iso-8859-1",
        "application/x-www-form-urlencoded, application/json",
        "application/x-www-form-urlencoded; charset=utf-8; charset=utf-16",
        "application/x-www-form-urlencodedx",
        "application/x-www-form-urlencoded\n",
        "application/x-www-form-urlencoded;",
    ],
)
def test_any_other_content_type_is_refused(content_type: str | None) -> None:
    with pytest.raises(InvalidRequest, match="content type"):
        check_form_content_type(content_type)
