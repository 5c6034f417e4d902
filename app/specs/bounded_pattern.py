"""Regular expressions from documents, matched in bounded time (the `pattern` of JSON Schema 2020-12, section 6.3.3).

Python's matcher tries one way after the other, and `^(a+)+$` has more ways than time has seconds. So the number of ways
in which a pattern can match a text of the longest permitted length is counted before it is used, and bounded. What is
not counted is not read: look-around, back references, lazy quantifiers, named groups, escapes other than `\\d \\w \\s`.
"""

import re
from typing import Final

MAX_PATTERN_CHARACTERS: Final = 200
MAX_MATCHED_CHARACTERS: Final = 256
MAX_WAYS: Final = 100_000

_QUANTIFIER = re.compile(r"[*+?]|\{(?P<least>[0-9]{1,3})(?P<comma>,(?P<most>[0-9]{1,3})?)?\}")
_ESCAPE = re.compile(r"\\[dwsDWS\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e]")
# Not `[` inside, and none of the doubled signs that some languages read as operations on classes.
_CLASS = re.compile(r"\[\^?(?:\\[dwsDWS\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e]|(?!--|&&|\|\||~~)[^\\\[\]])++\]")
_NOT_LITERAL = frozenset("\\^$.[](){}*+?|")


class BoundedPattern:
    """A pattern whose matching costs at most `MAX_WAYS` tries. Raises ValueError for one that may cost more."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_PATTERN_CHARACTERS:
            raise ValueError(f"a pattern has at most {MAX_PATTERN_CHARACTERS} characters")
        if not text.startswith("^") or not text.endswith("$") or text.endswith("\\$"):
            raise ValueError("a pattern must begin with ^ and end with $, so that it describes the whole text")
        inner = text[1:-1]
        _Reader(inner).read()
        try:
            # ASCII, as in ECMA 262, whose expressions these are. `$` of Python would pass a line break at the end.
            self._compiled = re.compile(inner, re.ASCII)
        except re.error as error:
            raise ValueError(f"a pattern cannot be read: {error.msg}") from error

    def matches(self, text: str) -> bool:
        """Whether the whole text matches; none of more than `MAX_MATCHED_CHARACTERS` does."""
        return len(text) <= MAX_MATCHED_CHARACTERS and self._compiled.fullmatch(text) is not None


class _Reader:
    """Reads a pattern and counts the ways in which it can match."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def read(self) -> None:
        """Raises ValueError unless the whole text is one sequence, within bounds."""
        self._read_sequence()
        if self._at < len(self._text):
            # At the top an alternative would take one of the anchors with it.
            raise ValueError(f"a pattern must not hold {self._text[self._at]!r} outside of a group or class")

    def _read_alternatives(self) -> int:
        ways = self._read_sequence()
        while self._text.startswith("|", self._at):
            self._at += 1
            ways += self._read_sequence()
        return _bounded(ways)

    def _read_sequence(self) -> int:
        ways = 1
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            ways = _bounded(ways * self._read_quantified())
        return ways

    def _read_quantified(self) -> int:
        ways = self._read_atom()
        found = _QUANTIFIER.match(self._text, self._at)
        if found is None:
            return ways
        self._at = found.end()
        least, most = _times(found)
        total = 0
        for count in range(least, most + 1):
            total = _bounded(total + ways**count)
        return total

    def _read_atom(self) -> int:
        text, at = self._text, self._at
        if text[at] == "(":
            return self._read_group()
        if text[at] == "." or text[at] not in _NOT_LITERAL:
            self._at = at + 1
            return 1
        found = (_ESCAPE if text[at] == "\\" else _CLASS).match(text, at)
        if found is None:
            raise ValueError(f"a pattern must not hold {text[at : at + 2]!r} here")
        self._at = found.end()
        return 1

    def _read_group(self) -> int:
        self._at += 3 if self._text.startswith("(?:", self._at) else 1
        ways = self._read_alternatives()
        if not self._text.startswith(")", self._at):
            raise ValueError("a pattern has a group without end")
        self._at += 1
        return ways


def _times(found: re.Match[str]) -> tuple[int, int]:
    named = {"*": (0, MAX_MATCHED_CHARACTERS), "+": (1, MAX_MATCHED_CHARACTERS), "?": (0, 1)}.get(found.group())
    if named is not None:
        return named
    least = int(found["least"])
    most = int(found["most"]) if found["most"] else MAX_MATCHED_CHARACTERS if found["comma"] else least
    if not least <= most <= MAX_MATCHED_CHARACTERS:
        raise ValueError(f"a pattern must repeat nothing more than {MAX_MATCHED_CHARACTERS} times")
    return least, most


def _bounded(ways: int) -> int:
    if ways > MAX_WAYS:
        raise ValueError("a pattern can match in too many ways: repeat nothing that repeats or chooses by itself")
    return ways
