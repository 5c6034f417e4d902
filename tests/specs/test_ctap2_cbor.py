import cbor2
import pytest

from app.specs.ctap2_cbor import CborError, check_ctap2_cbor, end_of_ctap2_item


@pytest.mark.parametrize(
    "value",
    [
        {"fmt": "none", "attStmt": {}, "authData": b"\0" * 300},
        {1: 2, 3: -7, -1: 1, -2: b"x" * 32, -3: b"y" * 32},
        [[[[1]]]],
        [True, False, None, 0, 23, 24, 255, 256, 65_536, 2**32, 2**64 - 1, -(2**63)],
        "text",
    ],
)
def test_what_authenticators_write_is_taken(value: object) -> None:
    check_ctap2_cbor(cbor2.dumps(value))


@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        (b"", "too early"),
        (b"\x58", "a length"),
        (b"\x59\x00", "a length"),
        (b"\x42\x00", "a string is longer"),
        (b"\x5b" + b"\xff" * 8, "a string is longer"),
        (b"\x9b" + b"\xff" * 8, "a list is longer"),
        (b"\xbb" + b"\x7f" + b"\xff" * 7, "a list is longer"),
        (b"\x82\x01", "a list is longer"),
        (b"\x9f\x01\xff", "a length"),
        (b"\x5f\x41\x00\xff", "a length"),
        (b"\x1c", "a length"),
        (b"\xc2\x41\x01", "a kind"),
        (b"\xfb" + b"\0" * 8, "a kind"),
        (b"\xf7", "a kind"),
        (b"\x81" * 5 + b"\x01", "nested"),
        (b"\x81" * 60_000 + b"\x01", "nested"),
        (b"\x01\x01", "behind"),
    ],
    ids=lambda value: value[:9].hex() if isinstance(value, bytes) else value.replace(" ", "-"),
)
def test_anything_else_of_cbor_is_not(encoded: bytes, why: str) -> None:
    with pytest.raises(CborError, match=why):
        check_ctap2_cbor(encoded)


def test_where_an_item_ends_is_told() -> None:
    assert end_of_ctap2_item(cbor2.dumps({1: b"xy"}) + b"rest", 0) == 5
