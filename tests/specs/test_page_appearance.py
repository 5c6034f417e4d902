"""What an operator may let the pages look like, and what becomes of it."""

import re

import pytest
from pydantic import ValidationError

from app.specs.page_appearance import Appearance, contrast, find_image_type, to_stylesheet
from app.specs.rfc7591_metadata import ClientPolicy

ACCENTS = ["#7a2e8e", "#0b57d0", "#b00020", "#1b5e20", "#000000", "#8a4b00"]
PROPERTY = re.compile(r"--([a-z-]+):(#[0-9a-f]{6});")


@pytest.mark.parametrize(
    ("ratio", "one", "other"), [(21, "#000000", "#ffffff"), (1, "#123456", "#123456"), (4.54, "#767676", "#ffffff")]
)
def test_the_contrast_is_that_of_wcag(ratio: float, one: str, other: str) -> None:
    assert contrast(one, other) == pytest.approx(ratio, abs=0.01)
    assert contrast(other, one) == contrast(one, other)


@pytest.mark.parametrize("accent", ACCENTS)
def test_everything_that_is_made_of_an_accent_can_be_read(accent: str) -> None:
    light, dark = to_stylesheet(Appearance(accent=accent)).split("@media")
    for rules, surface, paper, soft_ink in (
        (light, "#ffffff", "#f4f3ef", "#4c5a60"),
        (dark, "#171e21", "#0e1315", "#aab6b9"),
    ):
        colours = dict(PROPERTY.findall(rules))
        assert colours.keys() == {"accent", "accent-deep", "accent-soft", "on-accent"}
        for one, other in (
            (colours["accent"], surface),
            (colours["accent"], paper),
            (colours["accent"], colours["accent-soft"]),
            (colours["accent-deep"], surface),
            (colours["on-accent"], colours["accent"]),
            (colours["on-accent"], colours["accent-deep"]),
            (soft_ink, colours["accent-soft"]),
        ):
            assert contrast(one, other) >= 4.5, (accent, one, other)


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        ("accent", "#ffcc00", "contrast of 1.4 to 1, and 4.5 to 1 is needed to be read; #856a00 would do"),
        ("accent", "red", "must be a colour like"),
        ("accent", "#fff", "must be a colour like"),
        ("accent", "#0c5a60;}body{display:none}", "must be a colour like"),
        ("accent", "#0c5a60\n", "must be a colour like"),
        ("accent", "url(https://evil.example/)", "must be a colour like"),
        ("accent_dark", "#85cfc9", "needs an accent beside it"),
        ("font", "Comic Sans, url(x)", "Input should be 'system', 'serif' or 'rounded'"),
        ("corner_radius_px", 25, "less than or equal to 24"),
        ("corner_radius_px", "4px;}", "valid integer"),
        ("texts", {"en\n": {}}, "must be a language"),
        ("texts", {"en": {"title": "Meadow\nSet-Cookie: a=b"}}, "must be visible text"),
        ("texts", {"en": {"title": "x" * 61}}, "at most 60 characters"),
        ("texts", {"en": {"footer": "\u202eevil"}}, "must be visible text"),
        ("texts", {"en": {"links": [{"text": "Help", "uri": "javascript:alert(1)"}]}}, "https"),
        ("texts", {"en": {"links": [{"text": "Help", "uri": "https://a.example/\r\nx"}]}}, "links"),
        ("css", "body{}", "Extra inputs are not permitted"),
    ],
)
def test_130_what_cannot_be_read_or_would_be_more_than_a_value_is_refused(
    member: str, value: object, reason: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        Appearance.model_validate({member: value})
    assert reason in str(refused.value)
    with pytest.raises(ValidationError):
        ClientPolicy.model_validate({"appearance": {member: value}})


def test_a_clients_look_stands_over_the_servers_piece_by_piece() -> None:
    server = Appearance.model_validate(
        {
            "accent": "#0b57d0",
            "accent_dark": "#a8c7fa",
            "font": "serif",
            "texts": {"en": {"title": "Meadow", "footer": "Meadow Ltd"}, "de": {"title": "Wiese"}},
        }
    )
    client = Appearance.model_validate({"accent": "#7a2e8e", "texts": {"en": {"title": "Prints"}}})
    merged = client.over(server)
    assert (merged.accent, merged.accent_dark, merged.font) == ("#7a2e8e", None, "serif")
    assert (merged.find_texts("en").title, merged.find_texts("en").footer) == ("Prints", "Meadow Ltd")
    assert merged.find_texts("de").title == "Wiese"
    assert merged.find_texts("ar").title == "Prints"
    assert Appearance().find_texts("en").title is None


def test_nothing_chosen_is_no_stylesheet() -> None:
    assert to_stylesheet(Appearance()) == ""
    assert to_stylesheet(Appearance(font="system")) == ""
    assert to_stylesheet(Appearance(corner_radius_px=0)) == ":root{--round:0px;--round-large:0px;}\n"


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b'<?xml version="1.0"?>\n<!-- us -->\n<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
        (b"<svg>", "image/svg+xml"),
        (b"<html><svg>", None),
        (b"GIF89a", None),
        (b"<!--" * 5000, None),
        (b"", None),
    ],
    ids=["png", "webp", "svg", "bare svg", "html", "gif", "comments", "nothing"],
)
def test_a_logo_is_known_by_how_it_begins(body: bytes, media_type: str | None) -> None:
    assert find_image_type(body) == media_type
