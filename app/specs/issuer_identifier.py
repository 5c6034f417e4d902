"""OpenID Connect Discovery 3, RFC 8414 2 - What may be an issuer: written in one way, and https but on loopback."""

import ipaddress
from urllib.parse import urlsplit


def check_issuer(issuer: str) -> None:
    """Raises ValueError unless the URL can name this server. Does not look whether anything answers there."""
    parts = urlsplit(issuer)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an http(s) URL without query and fragment")
    if "?" in issuer or "#" in issuer or parts.username is not None or issuer != issuer.strip():
        raise ValueError("must be a plain URL: no user, no query, no fragment, no space")
    if issuer.endswith("/"):
        raise ValueError("must not end in a slash")
    if issuer != issuer.lower().replace(parts.path.lower(), parts.path) or not issuer.isascii():
        raise ValueError("scheme and host must be written in lower case ASCII (punycode)")
    segments = parts.path.split("/")[1:]
    if any(segment in ("", ".", "..") or "%" in segment for segment in segments):
        raise ValueError("its path must not have empty, dot or percent-encoded segments")
    if parts.scheme == "http" and not is_loopback_host(parts.hostname):
        raise ValueError("must be https: plain http is for loopback addresses and localhost only")


def is_loopback_host(host: str) -> bool:
    """Whether a URL's host is a loopback literal or `localhost`. Does not resolve names."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
