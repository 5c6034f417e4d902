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
from app.specs.page_appearance import Appearance, Logo, PageLink, parse_data_logo, read_logo, to_stylesheet
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
class NamedLogo:
    """A logo as it is answered, under a name that changes with it."""

    name: str
    media_type: str
    body: bytes


class Looks:
    """The looks of one server and of its clients. `base_path` is the issuer's path without a slash at its end."""

    def __init__(self, appearance: ServerAppearance | None, *, base_path: str) -> None:
        self._appearance = appearance or ServerAppearance()
        self._base_path = base_path
        self._logo = _read_own_logo(self._appearance)
        self._stylesheet = lru_cache(maxsize=256)(self._make_stylesheet)

    def of_client(self, client_id: str | None, appearance: Appearance | None) -> Look:
        """The look of a page for a client, or of a page where none asks."""
        merged = self._merge(appearance)
        texts = merged.find_texts(current().tag)
        return Look(
            theme_url=self._theme_url(client_id, appearance),
            logo_url=self._logo_url(client_id, appearance),
            logo_shows_name=merged.logo_shows_name is True,
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

    def find_logo(self, name: str, appearance: Appearance | None) -> tuple[bytes, dict[str, str]] | None:
        """Body and headers of `logo.<hash>.<type>`, a client's own or the server's."""
        logo = self._logo_of(appearance)
        if logo is None or not name.startswith("logo."):
            return None
        return logo.body, _headers(logo.media_type, is_current=name == logo.name)

    def _logo_url(self, client_id: str | None, appearance: Appearance | None) -> str | None:
        logo = self._logo_of(appearance)
        if logo is None:
            return None
        is_clients = appearance is not None and appearance.logo is not None
        return self._url(logo.name, client_id if is_clients else None)

    def _theme_url(self, client_id: str | None, appearance: Appearance | None) -> str | None:
        body = self._stylesheet(_key(appearance))
        if not body:
            return None
        return self._url(_name("theme", body, "css"), client_id if appearance is not None else None)

    def _url(self, name: str, client_id: str | None) -> str:
        """Where the file is: a client's names the client, so that every process finds it."""
        of_client = "" if client_id is None else f"?client={quote(client_id, safe='')}"
        return f"{self._base_path}/static/{name}{of_client}"

    def _logo_of(self, appearance: Appearance | None) -> NamedLogo | None:
        return self._logo if appearance is None or appearance.logo is None else _read_data_logo(appearance.logo)

    def _make_stylesheet(self, document: str | None) -> bytes:
        appearance = None if document is None else Appearance.model_validate_json(document)
        return to_stylesheet(self._merge(appearance)).encode()

    def _merge(self, appearance: Appearance | None) -> Appearance:
        return self._appearance if appearance is None else appearance.over(self._appearance)


def _key(appearance: Appearance | None) -> str | None:
    # What the stylesheet is made of.
    return None if appearance is None else appearance.model_dump_json(exclude={"logo", "logo_shows_name", "texts"})


def _read_own_logo(appearance: ServerAppearance) -> NamedLogo | None:
    if appearance.logo_file is not None:
        return _name_logo(read_logo(appearance.logo_file.read_bytes()))
    return None if appearance.logo is None else _read_data_logo(appearance.logo)


@lru_cache(maxsize=256)
def _read_data_logo(url: str) -> NamedLogo:
    return _name_logo(parse_data_logo(url))


def _name_logo(logo: Logo) -> NamedLogo:
    name = _name("logo", logo.body, _SUFFIXES[logo.media_type])
    return NamedLogo(name=name, media_type=logo.media_type, body=logo.body)


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
