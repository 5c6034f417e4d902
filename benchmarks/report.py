"""Prints results: `[{"name", "ours", "peer", "ratio", "unit"}]` with --json, a table for people without."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One measured line. `peer` None means that there is nothing to compare with; `ratio` is ours / peer."""

    name: str
    ours: float
    peer: float | None = None
    unit: str

    @property
    def ratio(self) -> float | None:
        return None if not self.peer else self.ours / self.peer


def parse_arguments(
    description: str, *, seconds: float | None = None, tokens: int | None = None, database_url: str | None = None
) -> argparse.Namespace:
    """The arguments of a benchmark: `--json`, and `--seconds`, `--tokens`, `--database-url` where they have a meaning.

    `seconds` and `tokens` are defaults, `database_url` is a help text.
    """
    parser = make_parser(description)
    if seconds is not None:
        parser.add_argument("--seconds", type=float, default=seconds, help="time per measurement (default %(default)s)")
    if tokens is not None:
        parser.add_argument("--tokens", type=int, default=tokens, help="how many live (default %(default)s)")
    if database_url is not None:
        parser.add_argument("--database-url", help=database_url)
    return parser.parse_args()


def make_parser(description: str) -> argparse.ArgumentParser:
    """What every benchmark understands: `--json`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON array instead of a table")
    return parser


def print_results(title: str, results: Sequence[Result], *, as_json: bool, notes: Sequence[str] = ()) -> None:
    """Prints to stdout; notes go beneath the table, and to stderr where stdout is JSON."""
    if as_json:
        documents = [
            {
                "name": result.name,
                "ours": _rounded(result.ours),
                "peer": _rounded(result.peer),
                "ratio": _rounded(result.ratio),
                "unit": result.unit,
            }
            for result in results
        ]
        print(json.dumps(documents, indent=1))
        for note in notes:
            print(note, file=sys.stderr)
        return
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    for heading in ("ours", "peer", "ours / peer"):
        table.add_column(heading, justify="right")
    table.add_column("unit")
    for result in results:
        table.add_row(result.name, _shown(result.ours), _shown(result.peer), _shown(result.ratio), result.unit)
    console = Console(width=max(Console().width, 110))
    console.print(table)
    for note in notes:
        console.print(note, highlight=False)


def progress(text: str) -> None:
    """Says on stderr what is being measured."""
    print(text, file=sys.stderr, flush=True)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
