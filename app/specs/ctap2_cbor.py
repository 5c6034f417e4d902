"""CTAP2 canonical CBOR - the little of RFC 8949 in which authenticators write, checked before anything reads it.

FIDO CTAP 2.1 section 8: definite lengths, no tags, at most four levels deep. So what an authenticator's answer can
unfold to is bounded by its size; a reader of the whole of CBOR sees nothing else.
"""

from typing import Final

MAX_DEPTH: Final = 4

_LENGTH_BYTES: Final = {24: 1, 25: 2, 26: 4, 27: 8}
_BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = 2, 3, 4, 5, 6, 7
# False, true and null; floats and undefined have no place in what we read.
_SIMPLE_VALUES: Final = frozenset({20, 21, 22})


class CborError(ValueError):
    """The bytes are not what an authenticator may write. The message never repeats them."""


def check_ctap2_cbor(encoded: bytes) -> None:
    """Raises `CborError` unless the bytes are one item and nothing behind it, in time linear in their number.

    Does **not** check the order of keys, nor that none comes twice.
    """
    if end_of_ctap2_item(encoded, 0) != len(encoded):
        raise CborError("something stands behind the item")


def end_of_ctap2_item(encoded: bytes, start: int, *, depth: int = 0) -> int:
    """Where the item that begins at `start` ends. Raises `CborError`."""
    if start >= len(encoded):
        raise CborError("it ends too early")
    kind, short = encoded[start] >> 5, encoded[start] & 0x1F
    if kind == _TAG or (kind == _SIMPLE and short not in _SIMPLE_VALUES):
        raise CborError("a kind of value that authenticators do not write")
    argument, at = _argument(encoded, start + 1, short)
    if kind in (_BYTES, _TEXT):
        if argument > len(encoded) - at:
            raise CborError("a string is longer than what there is")
        return at + argument
    if kind in (_ARRAY, _MAP):
        if depth >= MAX_DEPTH:
            raise CborError("it is nested too deeply")
        items = argument * 2 if kind == _MAP else argument
        # Each has a byte at least, so that a length that was made up ends here.
        if items > len(encoded) - at:
            raise CborError("a list is longer than what there is")
        for _ in range(items):
            at = end_of_ctap2_item(encoded, at, depth=depth + 1)
    return at


def _argument(encoded: bytes, at: int, short: int) -> tuple[int, int]:
    if short < 24:
        return short, at
    length = _LENGTH_BYTES.get(short)
    if length is None or at + length > len(encoded):
        raise CborError("a length that is none")
    return int.from_bytes(encoded[at : at + length], "big"), at + length
