"""The order in which a status list gives out its indices: a keyed permutation, so that an index tells nothing.

Counters are taken in order, because that is what can be leased without looking at what others took. An index that
followed the counter would tell whoever holds two tokens how many were issued in between, and which belong together
(draft-ietf-oauth-status-list 12.5). So a Feistel network over the 20 bits of a list, keyed per list, turns one into
the other. Its rounds are tables that are filled once: an index costs eight look-ups.
"""

import hashlib
from array import array
from typing import Final

LIST_BITS: Final = 20
ENTRIES: Final = 2**LIST_BITS

_HALF_BITS: Final = LIST_BITS // 2
_HALF: Final = 2**_HALF_BITS
_MASK: Final = _HALF - 1
_ROUNDS: Final = 8


class IndexOrder:
    """The permutation of one list. Immutable; the same key gives the same order in every process."""

    __slots__ = ("_rounds",)

    def __init__(self, key: bytes) -> None:
        self._rounds = tuple(_round_table(key, number) for number in range(_ROUNDS))

    def index_of(self, counter: int) -> int:
        """The index of a counter, 0 to 2^20 - 1; no two counters have the same."""
        left, right = counter >> _HALF_BITS, counter & _MASK
        for table in self._rounds:
            left, right = right, left ^ table[right]
        return left << _HALF_BITS | right

    def counter_of(self, index: int) -> int:
        """The counter of an index: what `index_of` undoes."""
        left, right = index >> _HALF_BITS, index & _MASK
        for table in reversed(self._rounds):
            left, right = right ^ table[left], left
        return left << _HALF_BITS | right


def _round_table(key: bytes, number: int) -> "array[int]":
    # SHAKE256 over a secret key of fixed length is a pseudo-random function (FIPS 202 A.2), here with long output.
    wide = array("H", hashlib.shake_256(key + bytes([number])).digest(2 * _HALF))
    return array("H", (value & _MASK for value in wide))
