"""How an operator lets the pages look: colours, corners, letters and a few words; for a server, or for one client.

Only values stand here, no rules of a stylesheet: a colour is a hexadecimal number, the letters are one of three kinds,
so nothing that is written here can become anything else on a page. Each colour is judged by what stands before it and
behind it (WCAG 2.2, 1.4.3), and refused with one that would do.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from .metadata_values import HttpsUri, Tuple, check_display_text

LEAST_CONTRAST: Final = 4.5
_SVG: Final = re.compile(rb"\s{0,99}(?:<\?xml[^>]{0,200}>\s{0,99})?(?:<!--.{0,999}?-->\s{0,99})?<svg[\s>]", re.DOTALL)
_DATA: Final = re.compile(r"data:(image/(?:svg\+xml|png|webp));base64,([A-Za-z0-9+/=]{1,20000})", re.ASCII)
_HEX: Final = re.compile(r"#[0-9a-fA-F]{6}", re.ASCII)
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}", re.ASCII)

# The stylesheet's own colours, which an accent stands on or among: `--surface`, `--paper`, `--ink`, `--ink-soft`.
_LIGHT: Final = ("#ffffff", "#f4f3ef", "#1a2428", "#4c5a60")
_DARK: Final = ("#171e21", "#0e1315", "#e9eded", "#aab6b9")
_FONTS: Final = {
    "system": None,
    "serif": '"Iowan Old Style", "Palatino Linotype", Palatino, "Noto Serif", "Liberation Serif", Georgia, serif',
    "rounded": 'ui-rounded, "Hiragino Maru Gothic ProN", Quicksand, Comfortaa, Nunito, system-ui, sans-serif',
}


# ----- The logo -----

MAX_LOGO_BYTES: Final = 6_000


def find_image_type(body: bytes) -> str | None:
    """The media type of an SVG, PNG or WebP, by how it begins; None for anything else. Does **not** read the rest."""
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    return "image/svg+xml" if _SVG.match(body[:2000]) is not None else None


def read_logo(body: bytes) -> "Logo":
    """A picture that a page can carry. Raises `ValueError`, which says what is wrong with it."""
    if len(body) > MAX_LOGO_BYTES:
        raise ValueError(f"has {len(body)} bytes; every page carries it, so {MAX_LOGO_BYTES} is the most")
    media_type = find_image_type(body)
    if media_type is None:
        raise ValueError("must be SVG, PNG or WebP")
    return Logo(media_type=media_type, body=body)


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture, small enough for every page."""

    media_type: str
    body: bytes = field(repr=False)


def parse_data_logo(url: str) -> Logo:
    """The picture in a `data:` URL (RFC 2397), base64. Raises `ValueError`, also where it is not what the URL says."""
    match = _DATA.fullmatch(url)
    if match is None:
        raise ValueError("must be data:image/svg+xml;base64,… or the same of PNG or WebP")
    try:
        logo = read_logo(base64.b64decode(match[2], validate=True))
    except binascii.Error as error:
        raise ValueError("is not base64") from error
    if logo.media_type != match[1]:
        raise ValueError(f"says {match[1]} and is {logo.media_type}")
    return logo


# ----- What an operator writes -----


def _check_colour(value: str) -> str:
    if _HEX.fullmatch(value) is None:
        raise ValueError("must be a colour like #0c5a60")
    return value.lower()


def _check_language(value: str) -> str:
    if _LANGUAGE.fullmatch(value) is None:
        raise ValueError("must be a language like en")
    return value


def _check_data_logo(value: str) -> str:
    parse_data_logo(value)
    return value


Colour = Annotated[str, AfterValidator(_check_colour)]
_CONFIG: Final = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class PageLink(BaseModel):
    """A link in the foot of the pages."""

    model_config = _CONFIG

    text: Annotated[str, Field(max_length=40), AfterValidator(check_display_text)]
    uri: HttpsUri


class PageTexts(BaseModel):
    """Words of an operator's own, in one language; what is left out is ours."""

    model_config = _CONFIG

    title: Annotated[str, Field(max_length=60), AfterValidator(check_display_text)] | None = None
    """The heading of the page to sign in at."""
    subtitle: Annotated[str, Field(max_length=200), AfterValidator(check_display_text)] | None = None
    """A sentence beneath it."""
    footer: Annotated[str, Field(max_length=300), AfterValidator(check_display_text)] | None = None
    links: Annotated[tuple[PageLink, ...], Tuple, Field(max_length=5)] = ()
    """Help, imprint, privacy: in the foot of every page."""


class Appearance(BaseModel):
    """The look of the pages. Whether a person can read them is checked here; whether they like them is not."""

    model_config = _CONFIG

    accent: Colour | None = None
    """Buttons and links where the page is light."""
    accent_dark: Colour | None = None
    """The same where it is dark; left out, it is made of `accent`."""
    corner_radius_px: Annotated[int, Field(ge=0, le=24)] | None = None
    font: Literal["system", "serif", "rounded"] | None = None
    logo: Annotated[str, AfterValidator(_check_data_logo)] | None = None
    """A picture as a `data:` URL: it is where the look is, on every node of a server."""
    logo_shows_name: bool | None = None
    """Whether the server's name stands in the picture already, so that it is not written beside it."""
    texts: Mapping[Annotated[str, AfterValidator(_check_language)], PageTexts] = {}

    @model_validator(mode="after")
    def _check_contrast(self) -> "Appearance":
        if self.accent is not None:
            _check_readable("accent", self.accent, _LIGHT, toward="#000000")
        if self.accent_dark is not None:
            if self.accent is None:
                raise ValueError("accent_dark: needs an accent beside it, for pages that are light")
            _check_readable("accent_dark", self.accent_dark, _DARK, toward="#ffffff")
        return self

    @model_validator(mode="after")
    def _check_logo_shows_name(self) -> "Appearance":
        if self.logo_shows_name and not self.has_logo:
            raise ValueError("logo_shows_name: needs a logo beside it")
        return self

    @property
    def has_logo(self) -> bool:
        """Whether it brings a logo along."""
        return self.logo is not None

    def over(self, beneath: "Appearance") -> "Appearance":
        """This look where it says something, and the other where it does not. Words go by language and by piece."""
        chosen: dict[str, object] = {
            name: getattr(self, name) for name in ("corner_radius_px", "font") if getattr(self, name) is not None
        }
        if self.accent is not None:
            # The other's colour for dark pages is no relative of this one.
            chosen |= {"accent": self.accent, "accent_dark": self.accent_dark}
        if self.logo is not None:
            chosen |= {"logo": self.logo, "logo_shows_name": self.logo_shows_name}
        texts = dict(beneath.texts)
        for language, words in self.texts.items():
            said = {name: getattr(words, name) for name in words.model_fields_set}
            texts[language] = beneath.find_texts(language).model_copy(update=said)
        return beneath.model_copy(update={**chosen, "texts": texts})

    def find_texts(self, language: str) -> PageTexts:
        """The words in a language; else in English, else in whichever comes first, else none."""
        for name in (language, "en", *self.texts):
            if name in self.texts:
                return self.texts[name]
        return PageTexts()


# ----- What becomes of it -----


@dataclass(frozen=True, slots=True, kw_only=True)
class _Palette:
    accent: str
    accent_deep: str
    accent_soft: str
    on_accent: str

    def to_css(self) -> str:
        return (
            f"--accent:{self.accent};--accent-deep:{self.accent_deep};"
            f"--accent-soft:{self.accent_soft};--on-accent:{self.on_accent};"
        )


def to_stylesheet(appearance: Appearance) -> str:
    """The custom properties of a look, as a stylesheet to stand after ours; empty where nothing is changed.

    Unlayered rules win over all layers, so order and specificity play no part.
    """
    shape = ""
    if appearance.corner_radius_px is not None:
        shape += f"--round:{appearance.corner_radius_px}px;--round-large:{round(appearance.corner_radius_px * 1.75)}px;"
    font = _FONTS[appearance.font or "system"]
    if font is not None:
        shape += f"--text:{font};"
    if appearance.accent is None:
        return f":root{{{shape}}}\n" if shape else ""
    light = _palette(appearance.accent, _LIGHT)
    dark = _palette(appearance.accent_dark or _readable(appearance.accent, _DARK, toward="#ffffff", least=7), _DARK)
    return (
        f":root{{{light.to_css()}{shape}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark.to_css()}}}}}\n"
    )


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two hexadecimal colours, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _palette(accent: str, ground: tuple[str, ...]) -> _Palette:
    surface, _paper, ink, ink_soft = ground
    on_accent = max(("#ffffff", "#10181b"), key=lambda text: contrast(text, accent))
    # Away from the words on it, so that a button under the pointer is easier to read and not harder.
    deep = _mix(accent, "#000000" if on_accent == "#ffffff" else "#ffffff", 0.25)
    # As much of the accent as leaves the words on it readable.
    shares = (0.12, 0.09, 0.06, 0.03)
    soft = next(
        (
            tint
            for tint in (_mix(surface, accent, share) for share in shares)
            if min(contrast(ink_soft, tint), contrast(accent, tint), contrast(ink, tint)) >= LEAST_CONTRAST
        ),
        surface,
    )
    return _Palette(accent=accent, accent_deep=deep, accent_soft=soft, on_accent=on_accent)


def _check_readable(name: str, colour: str, ground: tuple[str, ...], *, toward: str) -> None:
    worst = min(ground[:2], key=lambda behind: contrast(colour, behind))
    if contrast(colour, worst) >= LEAST_CONTRAST:
        return
    better = _readable(colour, ground, toward=toward)
    raise ValueError(
        f"{name}: {colour} on {worst} has a contrast of {contrast(colour, worst):.1f} to 1, and {LEAST_CONTRAST} to 1 "
        f"is needed to be read; {better} would do"
    )


def _readable(colour: str, ground: tuple[str, ...], *, toward: str, least: float = LEAST_CONTRAST + 0.1) -> str:
    """The nearest mixture of a colour with black or white that can be read on the pages."""
    for percent in range(0, 100, 2):
        mixture = _mix(colour, toward, percent / 100)
        if min(contrast(mixture, behind) for behind in ground[:2]) >= least:
            return mixture
    return toward


def _mix(one: str, other: str, share: float) -> str:
    pairs = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _luminance(colour: str) -> float:
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in _channels(colour))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
