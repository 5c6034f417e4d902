"""The stylesheet and the icon: found by the hash of what is in them, and by nothing else."""

from __future__ import annotations

import pytest

from app.web.static_files import (
    check_session_script_url,
    favicon_url,
    find_static_file,
    form_post_script_url,
    shorten_script,
    shorten_stylesheet,
    stylesheet_url,
)


@pytest.mark.parametrize(
    ("url", "media_type"),
    [
        (stylesheet_url(""), "text/css; charset=utf-8"),
        (favicon_url(""), "image/svg+xml"),
        (form_post_script_url(""), "text/javascript; charset=utf-8"),
        (check_session_script_url(""), "text/javascript; charset=utf-8"),
    ],
)
def test_a_static_file_is_cached_for_ever_under_the_hash_of_its_content(url: str, media_type: str) -> None:
    found = find_static_file(url.removeprefix("/static/"))
    assert found is not None
    body, headers = found
    assert body
    assert headers["Content-Type"] == media_type
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_stylesheet_of_another_version_is_answered_but_not_kept() -> None:
    found = find_static_file("tokenhouse.0123456789abcdef.css")
    assert found is not None
    assert found[1]["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "name",
    [
        "tokenhouse.css",
        "../pages.py",
        "..%2fpages.py",
        "other.0123456789abcdef.css",
        "tokenhouse.0123456789abcdef.svg",
        "tokenhouse.0123456789abcdef.css\n",
        "",
    ],
)
def test_a_name_that_is_no_static_file_finds_nothing(name: str) -> None:
    assert find_static_file(name) is None


def test_stylesheets_are_served_without_what_only_their_readers_need() -> None:
    text = '/* Why: {so} */\n.a > b,\n.c:not(:focus) :hover {\n  content: " : { ; } ";\n  color: #fff;\n}\n'
    assert shorten_stylesheet(text) == '.a > b,.c:not(:focus) :hover{content:" : { ; } ";color:#fff}'


def test_scripts_are_served_without_comments_and_indentation() -> None:
    text = 'const a = () => {\n  // Why.\n  return "// no comment";\n};\n'
    assert shorten_script(text) == 'const a = () => {\nreturn "// no comment";\n};\n'


def test_the_stylesheet_asks_for_nothing_from_elsewhere() -> None:
    found = find_static_file(stylesheet_url("").removeprefix("/static/"))
    assert found is not None
    assert b"url(" not in found[0]
    assert b"@import" not in found[0]
