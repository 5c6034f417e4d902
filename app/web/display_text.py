"""Text and links that others chose, made safe for a person to read.

Escaping keeps markup out of a page; it does not keep a client from calling itself a line of invisible letters, from
turning the text around it with bidirectional controls, or from linking to `javascript:`. These functions do that half.
They do *not* detect look-alike letters: the consent page answers those by showing the redirect host in punycode.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

# Letters that look like nothing although Unicode counts them as letters or symbols.
_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
# Joiners are format characters, too, but Persian words and composed emoji need them.
_JOINERS = frozenset("\u200c\u200d")
# Written languages stack up to four marks on a letter; more only serves to paint over the neighbouring lines.
_MOST_MARKS = 4
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
# RFC 3986, section 2: everything a URI may consist of. Backslashes, spaces, controls and other scripts are not in it.
_URI_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")


def one_line(text: str, limit: int = 300) -> str:
    """Return `text` as one visible line of at most `limit` characters, without controls and invisible letters."""
    kept: list[str] = []
    marks = 0
    # Cut before the work, so that a megabyte costs no more than a name; controls may make up half of what is cut off.
    for character in unicodedata.normalize("NFC", text[: 4 * limit]):
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if category[0] == "Z" or character in "\t\n\r":
            kept.append(" ")
        elif character in _JOINERS:
            kept.append(character)
        elif category[0] == "C" or character in _BLANK_LETTERS or marks > _MOST_MARKS:
            continue
        else:
            kept.append(character)
    line = " ".join("".join(kept).split())
    if not line.strip("\u200c\u200d"):
        return ""
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def sentence(text: str) -> str:
    """Return `text` with a capital at its beginning and a stop at its end; programs get it without either."""
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")


def monogram(name: str) -> str:
    """Return the letter that stands in for a missing logo, or an empty string where the name has no letter."""
    return next((character.upper()[0] for character in name if character.isalnum()), "")


def safe_link(uri: str | None) -> str | None:
    """Return `uri` where following it is harmless: https, or http on this device; None otherwise.

    A host must be ASCII: one in another script is shown, and followed, only as punycode. Whether the page behind it is
    honest is not checked.
    """
    if not uri or len(uri) > 2048 or not _URI_CHARACTERS.fullmatch(uri):
        return None
    try:
        parts = urlsplit(uri)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or "@" in parts.netloc:
        return None
    if parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK_HOSTS):
        return uri
    return None


def own_path(path: str | None) -> str | None:
    """Return `path` where it is an absolute path on our own origin, None otherwise (`//host` is another origin)."""
    if not path or not path.startswith("/") or path.startswith("//") or not _URI_CHARACTERS.fullmatch(path):
        return None
    return path
