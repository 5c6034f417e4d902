"""Text that others chose: what is left of it on a page."""

from __future__ import annotations

import pytest

from app.web.display_text import monogram, one_line, own_path, safe_link, sentence
from tests.patience import cpu_seconds


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Photo Prints", "Photo Prints"),
        ("  Photo \t\r\n Prints\u2028 ", "Photo Prints"),
        ("ab\u202ecd\u202c\u2066e\u2069", "abcde"),
        ("a\x00b\x1b[31mc\x7f", "ab[31mc"),
        ("zero\u200bwidth\u2060\ufeff", "zerowidth"),
        ("lone \ud800surrogate", "lone surrogate"),
        ("\u2800\u3164\uffa0\u115f", ""),
        ("\u200d\u200c", ""),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        ("e\u0301", "é"),
        ("tag\U000e0041", "tag"),
    ],
)
def test_a_line_keeps_what_can_be_read_and_drops_what_cannot(text: str, line: str) -> None:
    assert one_line(text) == line


def test_marks_piled_on_a_letter_are_cut_to_what_a_language_needs() -> None:
    assert len(one_line("q" + "\u0335" * 100)) == 5


def test_a_long_line_ends_with_an_ellipsis_at_its_limit() -> None:
    assert one_line("x" * 500, 10) == "x" * 9 + "…"
    assert one_line("x" * 10, 10) == "x" * 10


def test_a_megabyte_costs_no_more_than_a_line() -> None:
    text = "a\u0300\u202e " * 250_000
    assert cpu_seconds(lambda: one_line(text)) < 0.02


@pytest.mark.parametrize(("name", "letter"), [("photo", "P"), ("«über»", "Ü"), ("🖼️", ""), ("", ""), ("ßtraße", "S")])
def test_the_monogram_is_the_first_letter(name: str, letter: str) -> None:
    assert monogram(name) == letter


@pytest.mark.parametrize("uri", ["https://a.example", "https://a.example:8443/x?y#z", "http://localhost:3000/"])
def test_https_and_this_device_are_safe_links(uri: str) -> None:
    assert safe_link(uri) == uri


def test_a_link_longer_than_any_browser_takes_is_not_one() -> None:
    assert safe_link("https://a.example/" + "x" * 2048) is None


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "https://evil.example", "/a b", "", "logo.png"])
def test_what_leads_to_another_origin_is_not_a_path_of_ours(path: str) -> None:
    assert own_path(path) is None


def test_a_path_of_ours_passes_unchanged() -> None:
    assert own_path("/auth/client-logo/a%20b?v=1") == "/auth/client-logo/a%20b?v=1"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("the code is gone", "The code is gone."), ("Ask again?", "Ask again?"), ("cut off…", "Cut off…"), ("", "")],
)
def test_a_description_for_programs_becomes_a_sentence_for_people(text: str, shown: str) -> None:
    assert sentence(text) == shown
