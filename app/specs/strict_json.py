"""RFC 8259 and RFC 7493 (I-JSON) - JSON from others, read so that two readers cannot see two documents.

The standard library's parser takes the last of two equal members, NaN, `1e999` and half a surrogate pair, and raises
RecursionError on deep nesting. All of that is refused here, before or while parsing, in time linear in the size.
Writing JSON needs no strictness and is not here.
"""

import json
import math
import re
from typing import Any, Final, NoReturn

MAX_BYTES: Final = 65536
MAX_DEPTH: Final = 20
# More digits than any integer we read has (RFC 7493 2.2 promises 53 bits), and far below where int() gets slow.
MAX_INTEGER_DIGITS: Final = 40

# RFC 8259 section 2: what may stand around a value.
_WHITESPACE: Final = " \t\n\r"

# One token at a time: a string, whole, or one bracket. The closing quote is optional and the repetition possessive,
# so that an unterminated string costs one pass instead of one pass per quote.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_NUL_OR_SURROGATE = re.compile("[\x00\ud800-\udfff]")


class StrictJsonError(ValueError):
    """The text is not JSON that every reader would read alike. The message never repeats the text."""


def parse_json_object(raw: bytes | str, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """The members of a JSON object. Raises StrictJsonError, also where the top level is something else."""
    value = parse_json(raw, max_bytes=max_bytes, max_depth=max_depth)
    if not isinstance(value, dict):
        raise StrictJsonError("the document must be a JSON object")
    return value


def parse_json(raw: bytes | str, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """Any JSON value out of UTF-8. Raises StrictJsonError.

    Refuses duplicate members, NaN and infinities, integers of more than 40 digits, lone surrogates, U+0000, more than
    `max_depth` levels of nesting, and invalid UTF-8. Does **not** check the types of members.
    """
    text = _decode(raw, max_bytes).strip(_WHITESPACE)
    _check_depth(text, max_depth)
    try:
        # Not `decode`, which looks for whitespace at both ends with a regular expression.
        value, end = _decoder.raw_decode(text)
    except json.JSONDecodeError as cause:
        raise StrictJsonError(f"not JSON: {cause.msg} at character {cause.pos}") from cause
    if end != len(text):
        raise StrictJsonError(f"not JSON: something stands behind it at character {end}")
    # The decoded text holds neither a raw control character nor a surrogate; only an escape can make one.
    # (One character is looked for in a tenth of the time that two take, and nearly no document has it.)
    if "\\" in text:
        _check_strings(value)
    return value


def _decode(raw: bytes | str, max_bytes: int) -> str:
    # Characters are at least one byte each: a str that is too long need not be encoded to know it.
    if len(raw) > max_bytes:
        raise StrictJsonError(f"the document is larger than {max_bytes} bytes")
    try:
        encoded = raw.encode("utf-8") if isinstance(raw, str) else raw
        text = encoded.decode("utf-8")
    except UnicodeError as cause:
        raise StrictJsonError("the document is not UTF-8") from cause
    if len(encoded) > max_bytes:
        raise StrictJsonError(f"the document is larger than {max_bytes} bytes")
    return text


def _check_depth(text: str, max_depth: int) -> None:
    if text.count("[") + text.count("{") <= max_depth:
        return
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        first_character = text[match.start()]
        if first_character in "[{":
            depth += 1
            if depth > max_depth:
                raise StrictJsonError(f"the document is nested more than {max_depth} levels deep")
        elif first_character in "]}":
            depth -= 1


def _object_without_duplicates(members: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(members)
    # RFC 7493 2.3: "Objects in I-JSON messages MUST NOT have members with duplicate names."
    if len(parsed) != len(members):
        raise StrictJsonError("an object has two members of the same name")
    return parsed


def _refuse_constant(_constant: str) -> NoReturn:
    raise StrictJsonError("NaN and infinities are not JSON")


def _parse_finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise StrictJsonError("a number is too large")
    return number


def _parse_short_int(text: str) -> int:
    if len(text) > MAX_INTEGER_DIGITS:
        raise StrictJsonError(f"an integer has more than {MAX_INTEGER_DIGITS} digits")
    return int(text)


# One for all calls: json.loads makes a decoder per call, a third of the time that a token's claims take.
_decoder = json.JSONDecoder(
    object_pairs_hook=_object_without_duplicates,
    parse_constant=_refuse_constant,
    parse_float=_parse_finite_float,
    parse_int=_parse_short_int,
)


def _check_strings(value: Any) -> None:
    # Recursion is bounded by max_depth, which was checked before.
    if isinstance(value, str):
        if _NUL_OR_SURROGATE.search(value) is not None:
            raise StrictJsonError("a string holds U+0000 or a lone surrogate")
    elif isinstance(value, dict):
        for name, member in value.items():
            _check_strings(name)
            _check_strings(member)
    elif isinstance(value, list):
        for element in value:
            _check_strings(element)
