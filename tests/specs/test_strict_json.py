import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.specs.strict_json import StrictJsonError, parse_json, parse_json_object
from tests.patience import cpu_seconds

# What I-JSON can carry: no NUL, no surrogate, integers and floats that every reader takes alike.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(SCALARS | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20)


@given(VALUES)
def test_what_json_writes_is_read_back_unchanged(value: Any) -> None:
    assert parse_json(json.dumps(value), max_depth=100) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode(), max_depth=100) == value


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_input_gives_a_value_or_a_strict_json_error(raw: bytes | str) -> None:
    try:
        value = parse_json(raw)
    except StrictJsonError:
        return
    assert json.loads(raw) == value


@pytest.mark.requirement("RFC 7493", "2.3", "objects must not have members with duplicate names")
@pytest.mark.parametrize(
    "raw",
    [
        b'{"iss": "https://a.example", "iss": "https://b.example"}',
        b'{"nested": [{"a": 1, "b": 2, "a": 1}]}',
        rb'{"alg": "ES256", "\u0061lg": "none"}',
    ],
)
def test_a_duplicate_member_is_refused_however_it_is_spelled(raw: bytes) -> None:
    with pytest.raises(StrictJsonError, match="same name"):
        parse_json(raw)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "[NaN]", '{"exp": Infinity}'])
def test_constants_that_are_not_json_are_refused(text: str) -> None:
    with pytest.raises(StrictJsonError, match="NaN and infinities"):
        parse_json(text)


@pytest.mark.parametrize("text", ["1e999", "-1e999", '{"exp": 1e309}', "1" * 400 + ".0"])
def test_a_number_that_becomes_infinite_is_refused(text: str) -> None:
    with pytest.raises(StrictJsonError, match="too large"):
        parse_json(text)


@pytest.mark.parametrize("digits", [41, 4301, 60_000])
def test_a_long_integer_is_refused_without_being_converted(digits: int) -> None:
    with pytest.raises(StrictJsonError, match="more than 40 digits"):
        parse_json("9" * digits)


def test_an_integer_of_forty_digits_is_read() -> None:
    assert parse_json("9" * 40) == 10**40 - 1


@pytest.mark.requirement("RFC 7493", "2.1", "strings must not hold surrogates or noncharacters encoded alone")
@pytest.mark.parametrize(
    "raw",
    [rb'"\ud800"', rb'"\udc00\ud800"', rb'{"\udfff": 1}', rb'[["x", {"a": "\ud83d"}]]', '"\ud800"'],
)
def test_a_lone_surrogate_is_refused(raw: bytes | str) -> None:
    with pytest.raises(StrictJsonError):
        parse_json(raw)


def test_an_escaped_surrogate_pair_is_one_character() -> None:
    assert parse_json(rb'"\ud83d\ude00"') == "\U0001f600"


@pytest.mark.parametrize("raw", [rb'"\u0000"', rb'{"a\u0000b": 1}', rb'{"a": ["\u0000"]}', b'"\x00"', b'"a\nb"'])
def test_nul_and_raw_control_characters_in_strings_are_refused(raw: bytes) -> None:
    with pytest.raises(StrictJsonError):
        parse_json(raw)


def test_an_escaped_backslash_before_u0000_is_not_a_nul() -> None:
    assert parse_json(rb'"\\u0000"') == r"\u0000"


@pytest.mark.parametrize("raw", [b"\xff\xfe", b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xe2\x82"', b"\xef\xbb\xbf{}"])
def test_invalid_utf_8_and_a_byte_order_mark_are_refused(raw: bytes) -> None:
    with pytest.raises(StrictJsonError):
        parse_json(raw)


@pytest.mark.parametrize("raw", ["", " ", "{", "[1,]", "{'a': 1}", '{"a" 1}', "01", "1 2", "{}{}", "+1", ".5", "tru"])
def test_what_is_not_json_is_refused(raw: str) -> None:
    with pytest.raises(StrictJsonError, match="not JSON"):
        parse_json(raw)


@pytest.mark.parametrize("raw", ["[]", "null", "1", '"{}"', "true"])
def test_a_top_level_that_is_not_an_object_is_refused_where_one_is_expected(raw: str) -> None:
    with pytest.raises(StrictJsonError, match="must be a JSON object"):
        parse_json_object(raw)


def test_an_object_is_returned_as_a_dict() -> None:
    assert parse_json_object(b' {"a": {"b": [1, 2.5, null, true]}} ') == {"a": {"b": [1, 2.5, None, True]}}


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_twenty_levels_are_read_and_twenty_one_are_refused(opening: str, closing: str) -> None:
    assert parse_json(opening * 20 + "1" + closing * 20)
    with pytest.raises(StrictJsonError, match="nested more than 20"):
        parse_json(opening * 21 + "1" + closing * 21)


def test_nesting_counts_levels_and_not_brackets() -> None:
    assert len(parse_json(json.dumps([[[]]] * 500))) == 500
    assert parse_json(json.dumps(["[[[{{{" * 20, '\\"[[[' * 20]))[0].startswith("[[[")


@pytest.mark.parametrize("raw", [b"[" * 200_000, b'{"a":' * 200_000, b"[" * 200_000 + b"]" * 200_000])
def test_deep_nesting_is_a_refusal_and_not_a_recursion_error(raw: bytes) -> None:
    with pytest.raises(StrictJsonError, match="nested more than 20"):
        parse_json(raw, max_bytes=2_000_000)


@pytest.mark.parametrize("raw", [b'"' + b"x" * 65536, '"' + "x" * 65536, '"' + "€" * 30_000 + '"'])
def test_a_document_over_the_limit_is_refused_in_bytes_not_characters(raw: bytes | str) -> None:
    with pytest.raises(StrictJsonError, match="larger than 65536 bytes"):
        parse_json(raw)


@pytest.mark.parametrize(
    "raw",
    [
        "[" * 30 + '"' + '\\"' * 32_000,
        "{}" * 32_000,
        '"' * 65_000,
        "[" * 15 + "{" * 15 + "\\" * 65_000,
        "[" + "[]," * 21_000,
        "-" * 65_000,
    ],
)
def test_hostile_text_costs_time_linear_in_its_size(raw: str) -> None:
    def parse() -> None:
        with pytest.raises(StrictJsonError):
            parse_json(raw)

    assert cpu_seconds(parse) < 0.1


def test_the_error_does_not_repeat_the_document() -> None:
    with pytest.raises(StrictJsonError) as refusal:
        parse_json('{"client_secret": "hunter2-hunter2" oops}')
    assert "hunter2" not in str(refusal.value)
