"""The URLs by which a mail server is named: `smtp://`, `smtps://` and `smtp+starttls://`, with a user or without."""

from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

SmtpSecurity = Literal["none", "tls", "starttls"]
_SCHEMES: Final[dict[str, tuple[SmtpSecurity, int]]] = {
    "smtp": ("none", 25),
    "smtps": ("tls", 465),
    "smtp+starttls": ("starttls", 587),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """A mail server that takes our mail (RFC 6409), how it is spoken to, and as whom."""

    host: str
    port: int
    security: SmtpSecurity
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def parse_smtp_url(url: str) -> SmtpServer:
    """The server that a URL names. Raises ValueError with a sentence that repeats nothing of the URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("must be a URL such as smtp+starttls://user:password@host:587") from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError("must begin with smtp://, smtps:// or smtp+starttls:// and name a host")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must have no path, query or fragment; what is special in a password is percent-encoded")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("must not have spaces or control characters")
    if (parts.username is None) != (parts.password is None):
        raise ValueError("must have both a user and a password, or neither")
    security, usual_port = _SCHEMES[parts.scheme]
    return SmtpServer(
        host=parts.hostname,
        port=port or usual_port,
        security=security,
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )
