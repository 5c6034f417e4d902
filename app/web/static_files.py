"""The stylesheet, the icon and the scripts of the pages: read once, named by their content, cached for ever.

A change of the file changes its URL, so a browser never shows a page with the stylesheet of another version.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

_DIRECTORY = Path(__file__).with_name("static")
_HASH_CHARACTERS = 16
_VERSIONED_NAME = re.compile(r"(?P<stem>[a-z-]{1,40})\.[0-9a-f]{16}\.(?P<suffix>css|svg|js)")
# Comments of ours hold no quotation marks that begin a string, and strings no comments.
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r'("[^"]*")')
_MEDIA_TYPES = {"css": "text/css; charset=utf-8", "svg": "image/svg+xml", "js": "text/javascript; charset=utf-8"}
_IMMUTABLE = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticFile:
    """One file as it is answered: `versioned_name` is the last segment of its URL."""

    versioned_name: str
    media_type: str
    body: bytes


def shorten_stylesheet(text: str) -> str:
    """A stylesheet without comments and without the space that only its readers need; strings stay as they are."""
    return "".join(
        piece if piece.startswith('"') else _shorten(piece) for piece in _STRING.split(_COMMENT.sub("", text))
    ).strip()


def shorten_script(text: str) -> str:
    """A script without lines of comment and without indentation. No string of ours goes over the end of a line."""
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("//"))


def _shorten(piece: str) -> str:
    # A space before a colon parts an element from what is in it, so it stays.
    for pattern, short in ((r"\s+", " "), (r" ?([{};,]) ?", r"\1"), (": ", ":"), (";}", "}")):
        piece = re.sub(pattern, short, piece)
    return piece


def _read(name: str) -> StaticFile:
    body = (_DIRECTORY / name).read_bytes()
    if name.endswith(".css"):
        body = shorten_stylesheet(body.decode()).encode()
    if name.endswith(".js"):
        body = shorten_script(body.decode()).encode()
    stem, _, suffix = name.rpartition(".")
    content_hash = hashlib.sha256(body).hexdigest()[:_HASH_CHARACTERS]
    return StaticFile(versioned_name=f"{stem}.{content_hash}.{suffix}", media_type=_MEDIA_TYPES[suffix], body=body)


_NAMES = (
    "tokenhouse.css",
    "answers.css",
    "account.css",
    "favicon.svg",
    "form-post.js",
    "check-session.js",
    "logged-out.js",
    "passkeys.js",
)
_FILES: Mapping[str, StaticFile] = MappingProxyType({name: _read(name) for name in _NAMES})


def stylesheet_url(base_path: str) -> str:
    """Return the stylesheet's path on our origin; `base_path` is the issuer's path, without a slash at its end."""
    return f"{base_path}/static/{_FILES['tokenhouse.css'].versioned_name}"


def answers_stylesheet_url(base_path: str) -> str:
    """Return the path on our origin of what pages of questions and answers add; `base_path` as in `stylesheet_url`."""
    return f"{base_path}/static/{_FILES['answers.css'].versioned_name}"


def account_stylesheet_url(base_path: str) -> str:
    """Return the path on our origin of what the pages of an account add; `base_path` as in `stylesheet_url`."""
    return f"{base_path}/static/{_FILES['account.css'].versioned_name}"


def favicon_url(base_path: str) -> str:
    """Return the icon's path on our origin; `base_path` as in `stylesheet_url`."""
    return f"{base_path}/static/{_FILES['favicon.svg'].versioned_name}"


def form_post_script_url(base_path: str) -> str:
    """Return the path on our origin of the script that posts a form at once; `base_path` as in `stylesheet_url`."""
    return f"{base_path}/static/{_FILES['form-post.js'].versioned_name}"


def check_session_script_url(base_path: str) -> str:
    """Return the path on our origin of the script of the check-session iframe; `base_path` as in `stylesheet_url`."""
    return f"{base_path}/static/{_FILES['check-session.js'].versioned_name}"


def logged_out_script_url(base_path: str) -> str:
    """Return the path on our origin of the script that goes on after a logout; `base_path` as in `stylesheet_url`."""
    return f"{base_path}/static/{_FILES['logged-out.js'].versioned_name}"


def passkeys_script_url(base_path: str) -> str:
    """Return the path on our origin of the module that talks to authenticators; `base_path` as in `stylesheet_url`."""
    return f"{base_path}/static/{_FILES['passkeys.js'].versioned_name}"


def find_static_file(versioned_name: str) -> tuple[bytes, dict[str, str]] | None:
    """Return body and headers of the file at `<base_path>/static/<versioned_name>`, or None where there is none.

    While a new version rolls out, a page of one version may ask a server of the other for its stylesheet. It gets the
    one that is here, uncached: a page in last week's clothes is better than a naked one.
    """
    match = _VERSIONED_NAME.fullmatch(versioned_name)
    static_file = _FILES.get(f"{match['stem']}.{match['suffix']}") if match else None
    if static_file is None:
        return None
    is_this_version = static_file.versioned_name == versioned_name
    return static_file.body, {
        "Content-Type": static_file.media_type,
        "Cache-Control": _IMMUTABLE if is_this_version else "no-store",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    }
