"""The catalogues of requirements are whole: every specification has one, every row a test that exists."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.requirements.catalogue import ROOT, Catalogue, read_catalogues

SPECIFICATIONS = {
    *(f"RFC {number}" for number in (6749, 6750, 7009, 7519, 7523, 7591, 7592, 7636, 7662, 8252, 8414, 8693, 8707)),
    *(f"RFC {number}" for number in (9068, 9101, 9207, 9396, 9700, 9701, 9728)),
    "OpenID Connect Core 1.0",
    "OpenID Connect Discovery 1.0",
    "OpenID Connect Dynamic Client Registration 1.0",
    "OpenID Connect RP-Initiated Logout 1.0",
    "OpenID Connect Front-Channel Logout 1.0",
    "OpenID Connect Back-Channel Logout 1.0",
    "OpenID Connect Session Management 1.0",
}


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of a file's tests."""
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_every_specification_has_a_catalogue() -> None:
    assert {catalogue.specification for catalogue in read_catalogues()} >= SPECIFICATIONS


@pytest.mark.parametrize("catalogue", read_catalogues(), ids=lambda catalogue: catalogue.specification)
def test_every_row_names_tests_that_exist(catalogue: Catalogue) -> None:
    for requirement, tests in catalogue.shown_by.items():
        assert tests, f"nothing shows {requirement}"
        for test in tests:
            path, _, name = test.partition("::")
            assert (ROOT / path).is_file(), f"{requirement}: no file {path}"
            assert name in names_in(ROOT / path), f"{requirement}: no test {name!r} in {path}"
