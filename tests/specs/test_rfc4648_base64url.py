import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.specs.rfc4648_base64url import Base64urlError, decode_base64url, encode_base64url


@pytest.mark.requirement("RFC 4648", "10", "the section's examples, without padding")
@pytest.mark.parametrize(
    ("raw", "encoded"),
    [(b"", ""), (b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (b"foob", "Zm9vYg"), (b"fooba", "Zm9vYmE")],
)
def test_the_examples_of_the_specification_come_out(raw: bytes, encoded: str) -> None:
    assert encode_base64url(raw) == encoded
    assert decode_base64url(encoded.encode()) == raw


@given(st.binary(max_size=300))
def test_bytes_come_back_and_the_encoding_is_the_usual_one(raw: bytes) -> None:
    encoded = encode_base64url(raw)
    assert decode_base64url(encoded.encode()) == raw
    assert encoded == base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@given(st.text("ABQgwAEIZaz09-_+/= \n.", max_size=12) | st.binary(max_size=12).map(lambda raw: raw.decode("latin-1")))
def test_what_is_read_at_all_is_the_one_spelling_of_its_bytes(text: str) -> None:
    encoded = text.encode("latin-1")
    try:
        raw = decode_base64url(encoded)
    except Base64urlError:
        return
    assert encode_base64url(raw).encode() == encoded


@pytest.mark.parametrize(
    "encoded",
    [
        b"A",
        b"AB",
        b"AAB",
        b"AAAAA",
        b"AA==",
        b"AAA=",
        b"+A",
        b"/w",
        b"A A",
        b"AA\n",
        b"\nAA",
        b"=",
        b"AA.A",
        b"\xff",
        b"AA\0",
    ],
)
def test_another_spelling_is_refused(encoded: bytes) -> None:
    with pytest.raises(Base64urlError):
        decode_base64url(encoded)
