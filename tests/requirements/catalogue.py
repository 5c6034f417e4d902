"""The catalogues, read; and the matrix that a run prints: specification, section, sentence, test, result.

A row comes from a catalogue (`shown_by`) or from a test's own `@pytest.mark.requirement`. With `--requirements` the
matrix stands at the end of the run.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent
ROOT = DIRECTORY.parent.parent


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """One sentence of a specification."""

    specification: str
    section: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What one specification demands of the server."""

    specification: str
    title: str
    shown_by: dict[Requirement, tuple[str, ...]]


@dataclass
class Matrix:
    """The rows of a run: for each requirement the tests that show it, with their results."""

    rows: dict[Requirement, dict[str, str]] = field(default_factory=dict)

    def note(self, requirement: Requirement, test: str, result: str) -> None:
        """One test's result; of a test that ran several times (parameters, phases) the worst."""
        test = test.split("[", maxsplit=1)[0]
        tests = self.rows.setdefault(requirement, {})
        order = ("passed", "skipped", "failed")
        tests[test] = max(tests.get(test, result), result, key=order.index)

    def lines(self) -> Iterator[str]:
        """The matrix as text, a block per specification."""
        specification = ""
        for requirement in sorted(self.rows, key=_in_order):
            if requirement.specification != specification:
                specification = requirement.specification
                yield ""
                yield specification
            yield f"  {requirement.section}  {requirement.sentence}"
            for test, result in sorted(self.rows[requirement].items()):
                yield f"      {result:8}{test}"


@cache
def read_catalogues() -> tuple[Catalogue, ...]:
    """Every catalogue, by the name of its file."""
    return tuple(_read(path) for path in sorted(DIRECTORY.glob("*.toml")))


def requirements_of(node_id: str) -> tuple[Requirement, ...]:
    """The catalogued requirements that a test shows."""
    return _by_test().get(node_id.split("[", maxsplit=1)[0], ())


@cache
def _by_test() -> dict[str, tuple[Requirement, ...]]:
    found: dict[str, tuple[Requirement, ...]] = {}
    for catalogue in read_catalogues():
        for requirement, tests in catalogue.shown_by.items():
            for test in tests:
                found[test] = (*found.get(test, ()), requirement)
    return found


def _read(path: Path) -> Catalogue:
    document: dict[str, Any] = tomllib.loads(path.read_text())
    specification = document["specification"]
    shown_by: dict[Requirement, tuple[str, ...]] = {}
    for must in document["must"]:
        requirement = Requirement(specification, must["section"], must["sentence"])
        assert requirement not in shown_by, f"{path.name}: twice: {requirement}"
        shown_by[requirement] = tuple(must["shown_by"])
    return Catalogue(specification=specification, title=document["title"], shown_by=shown_by)


def _in_order(requirement: Requirement) -> tuple[str, list[int], str]:
    numbers = [int(part) for part in requirement.section.split(".") if part.isdecimal()]
    return requirement.specification, numbers, requirement.sentence
