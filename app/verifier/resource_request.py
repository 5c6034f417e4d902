"""A request to a resource, as far as a token's checks need it, whatever framework it came through."""

from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

# What a path may hold unencoded (RFC 3986 3.3), with the slash between its segments.
_PATH_CHARACTERS = "/!$&'()*+,;=:@-._~"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRequest:
    """The parts as they came, nothing of it believed. `path` is percent-encoded, without the query.

    `authorization` and `dpop` are the headers' values, several of one name joined by commas. `peer` is the other end of
    the connection, and `forwarded_for` the value of X-Forwarded-For, which counts only behind a trusted proxy.
    """

    authorization: str | None = field(default=None, repr=False)
    dpop: str | None = field(default=None, repr=False)
    method: str = "GET"
    path: str = "/"
    peer: str = ""
    forwarded_for: str = ""


def encode_path(decoded_path: bytes, raw_path: str = "") -> str:
    """Returns the path as its sender wrote it: `raw_path` where that says the same, else the decoded one encoded.

    Gateways hand applications a decoded path, which does not tell a slash from an encoded one; most add the raw one.
    """
    raw_path = raw_path.partition("?")[0]
    if raw_path.startswith("/") and raw_path.isascii() and unquote_to_bytes(raw_path) == decoded_path:
        return raw_path
    return quote(decoded_path, safe=_PATH_CHARACTERS)
