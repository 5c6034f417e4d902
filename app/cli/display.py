"""Tables and times for people. What others chose (names, addresses) cannot move the cursor or turn the text around."""

import datetime
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

# Where nobody looks at a screen, nothing is cut and nothing is wrapped.
_WIDTH_WITHOUT_TERMINAL = 1000


def print_human(content: Any) -> None:
    """Print what a command has for people: text, a table, or several of these."""
    if content is None:
        return
    parts = content if isinstance(content, tuple) else (content,)
    is_terminal = sys.stdout.isatty()
    console = Console(
        width=None if is_terminal else _WIDTH_WITHOUT_TERMINAL, soft_wrap=not is_terminal, highlight=False
    )
    for part in parts:
        console.print(plain(part) if isinstance(part, str) else part)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table; long values are folded, never cut: an identifier without its end is of no use."""
    grid = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(plain(_as_text(value)) for value in row))
    return grid


def details(pairs: Iterable[tuple[str, Any]]) -> Table:
    """One thing, a line per property."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(name, plain(_as_text(value)))
    return grid


def plain(text: str) -> Text:
    """The text as it stands: no markup in it is obeyed, control characters and such are written out."""
    safe = "".join(_written_out(character) for character in text)
    return Text(safe)


def tree(branches: Iterable[tuple[str, Any]]) -> Tree:
    """Lines, each with the branches beneath it: `(line, branches)`, and so on."""

    def grow(node: Tree, below: Iterable[tuple[str, Any]]) -> Tree:
        for line, further in below:
            grow(node.add(plain(line)), further)
        return node

    return grow(Tree("", hide_root=True), branches)


def moment(at: int | None) -> str:
    """A time in milliseconds, for people."""
    if at is None:
        return ""
    return datetime.datetime.fromtimestamp(at / 1000, datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def seconds(at: int | None) -> int | None:
    """A time in milliseconds as wire seconds, rounded down."""
    return None if at is None else at // 1000


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return "\n".join(str(part) for part in value)
    return str(value)


def _written_out(character: str) -> str:
    # Cc and Cf hold escape sequences and the marks that reverse the direction of what follows.
    if character != "\n" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return f"\\u{ord(character):04x}"
    return character
