"""The look of a page: the stylesheet, the logo and the words that an operator chose for the server or for one client.

The values become a stylesheet of custom properties, made in memory and named by its content. A client's stylesheet
names the client beside the hash, so that every process can make it anew, whichever of them showed the page.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from app.settings import ServerAppearance
from app.specs.page_appearance import Appearance, PageLink, find_image_type, to_stylesheet
from app.web.language import current

_HASH_CHARACTERS: Final = 16
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_SUFFIXES: Final = {"image/svg+xml": "svg", "image/png": "png", "image/webp": "webp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the templates need. Texts are the operator's, in the reader's language where they wrote it."""

    theme_url: str | None
    logo_url: str | None
    logo_shows_name: bool
    title: str | None
    subtitle: str | None
    footer: str | None
    links: tuple[PageLink, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Logo:
    """The server's own, as it is answered."""

    name: str
    media_type: str
    body: bytes


class Looks:
    """The looks of one server and of its clients. `base_path` is the issuer's path without a slash at its end."""

    def __init__(self, appearance: ServerAppearance | None, *, base_path: str) -> None:
        self._appearance = appearance or ServerAppearance()
        self._base_path = base_path
        self._logo = _read_logo(self._appearance)
        self._stylesheet = lru_cache(maxsize=256)(self._make_stylesheet)

    def of_client(self, client_id: str | None, appearance: Appearance | None) -> Look:
        """The look of a page for a client, or of a page where none asks."""
        merged = self._merge(appearance)
        texts = merged.find_texts(current().tag)
        return Look(
            theme_url=self._theme_url(client_id, appearance),
            logo_url=None if self._logo is None else f"{self._base_path}/static/{self._logo.name}",
            logo_shows_name=self._appearance.logo_shows_name,
            title=texts.title,
            subtitle=texts.subtitle,
            footer=texts.footer,
            links=texts.links,
        )

    def find_theme(self, name: str, appearance: Appearance | None) -> tuple[bytes, dict[str, str]] | None:
        """Body and headers of `theme.<hash>.css`; under a hash that has passed, the stylesheet of now, uncached."""
        body = self._stylesheet(_key(appearance))
        if not name.startswith("theme.") or not body:
            return None
        return body, _headers("text/css; charset=utf-8", is_current=name == _name("theme", body, "css"))

    def find_logo(self, name: str) -> tuple[bytes, dict[str, str]] | None:
        """Body and headers of the server's logo."""
        if self._logo is None or not name.startswith("logo."):
            return None
        return self._logo.body, _headers(self._logo.media_type, is_current=name == self._logo.name)

    def _theme_url(self, client_id: str | None, appearance: Appearance | None) -> str | None:
        body = self._stylesheet(_key(appearance))
        if not body:
            return None
        url = f"{self._base_path}/static/{_name('theme', body, 'css')}"
        return url if appearance is None or client_id is None else f"{url}?client={quote(client_id, safe='')}"

    def _make_stylesheet(self, document: str | None) -> bytes:
        appearance = None if document is None else Appearance.model_validate_json(document)
        return to_stylesheet(self._merge(appearance)).encode()

    def _merge(self, appearance: Appearance | None) -> Appearance:
        return self._appearance if appearance is None else appearance.over(self._appearance)


def _key(appearance: Appearance | None) -> str | None:
    return None if appearance is None else appearance.model_dump_json()


def _read_logo(appearance: ServerAppearance) -> Logo | None:
    if appearance.logo_file is None:
        return None
    body = appearance.logo_file.read_bytes()
    media_type = find_image_type(body)
    if media_type is None:
        raise ValueError(f"{appearance.logo_file} is not the picture any more that was checked")
    return Logo(name=_name("logo", body, _SUFFIXES[media_type]), media_type=media_type, body=body)


def _name(stem: str, body: bytes, suffix: str) -> str:
    return f"{stem}.{hashlib.sha256(body).hexdigest()[:_HASH_CHARACTERS]}.{suffix}"


def _headers(media_type: str, *, is_current: bool) -> dict[str, str]:
    return {
        "Content-Type": media_type,
        "Cache-Control": _IMMUTABLE if is_current else "no-store",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        # A picture may be SVG with a style of its own; it runs nothing and asks nobody.
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
    }
