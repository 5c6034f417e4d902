"""RFC 8252 - OAuth 2.0 for Native Apps, and the redirect URIs of RFC 6749 3.1.2 and RFC 9700 2.1.

Two questions: may this URI be registered, and is the requested URI the registered one? The second is a comparison of
strings with one exception, so everything that parsers understand differently is refused by the first.
"""

import re
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import unquote

from .protocol_error import InvalidRedirectUri
from .rfc3986_uri import Uri, check_web_host, parse_uri

RedirectKind = Literal["https", "loopback", "custom"]

# Section 7.3 allows any port for these two literals only; section 8.3 advises against the name `localhost`.
_LOOPBACK_LITERAL = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::([1-9][0-9]{0,4}))?((?:[/?].*)?)")
_LOCALHOST_WITHOUT_PORT: Final = ("http://localhost/", "http://localhost?")
_LOCALHOST_WITH_PORT = re.compile(r"http://localhost:([1-9][0-9]{0,4})([/?].*)")
_LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "[::1]", "localhost"})
# Section 7.1: a domain name under the app's control, in reverse order; so there is at least one dot.
_PRIVATE_USE_SCHEME = re.compile(r"[a-z][a-z0-9\-]*(?:\.[a-z0-9\-]+)+")
# An encoded slash, backslash or control character is a path that two servers split differently.
_AMBIGUOUS_ESCAPE = re.compile(r"%(?:2f|5c|7f|[01][0-9a-f])", re.IGNORECASE)
_RESPONSE_PARAMETERS: Final = frozenset(
    {"code", "state", "iss", "error", "error_description", "error_uri", "session_state", "response"}
)


# ----- Registration -----


def check_redirect_uri_registration(uri: str, *, application_type: str = "web") -> None:
    """Raises InvalidRedirectUri, with the reason, unless `uri` may be registered.

    https with any host, http with a loopback literal or `localhost`, or, for `native` applications, a private-use
    scheme with a dot. Does **not** check that the client owns the host.
    """
    try:
        _check(uri, application_type)
    except ValueError as cause:
        raise InvalidRedirectUri(f"a redirect URI {cause}", detail=f"redirect_uri={uri!r:.300}") from cause


def _check(value: str, application_type: str) -> None:
    uri = parse_uri(value)
    # RFC 6749 3.1.2: "The endpoint URI MUST NOT include a fragment component."
    if uri.fragment is not None:
        raise ValueError("must not have a fragment")
    if uri.userinfo is not None:
        raise ValueError("must not hold credentials before its host")
    if "*" in value:
        raise ValueError("must not hold a wildcard")
    if uri.scheme in ("http", "https"):
        _check_web(uri)
    else:
        _check_private_use(uri, application_type)
    _check_path(uri.path)
    _check_query(uri.query)


def _check_web(uri: Uri) -> None:
    check_web_host(uri.host)
    # RFC 8252 8.3 and RFC 9700 2.6: no redirect over an unprotected network.
    if uri.scheme == "http" and uri.host not in _LOOPBACK_HOSTS:
        raise ValueError("must use https, or http with 127.0.0.1, [::1] or localhost")


def _check_private_use(uri: Uri, application_type: str) -> None:
    # The dot keeps out `javascript`, `data`, `file`, `urn` and every other scheme that means something by itself.
    if _PRIVATE_USE_SCHEME.fullmatch(uri.scheme) is None:
        raise ValueError("must use https, or a private-use scheme that is a reversed domain name in lower case")
    if application_type != "native":
        raise ValueError("with a private-use scheme needs application_type native")
    if not uri.host and not uri.path.startswith("/"):
        raise ValueError("with a private-use scheme needs a slash after the colon")


def _check_path(path: str) -> None:
    if _AMBIGUOUS_ESCAPE.search(path) is not None:
        raise ValueError("must not hold an encoded slash, backslash or control character in its path")
    # `..;` is a dot segment to servers that take path parameters off first.
    segments = (unquote(segment.partition(";")[0]) for segment in path.split("/"))
    if any(segment in (".", "..") for segment in segments):
        raise ValueError("must not hold dot segments in its path")


def _check_query(query: str | None) -> None:
    # RFC 6749 3.1: response parameters "MUST NOT be included more than once", and ours come after the registered ones.
    names = {unquote(pair.partition("=")[0].replace("+", " ")) for pair in (query or "").split("&")}
    if names & _RESPONSE_PARAMETERS:
        raise ValueError("must not hold a parameter of the authorization response in its query")


# ----- Comparison -----


def matches_redirect_uri(requested: str, registered: str, *, any_port_of_localhost: bool = False) -> bool:
    """Whether a requested redirect URI is the registered one. Never raises.

    RFC 9700 2.1: servers "MUST utilize exact string matching except for port numbers in localhost redirection URIs
    of native apps". The exception holds for http on 127.0.0.1 and [::1]; for the name localhost only where the caller
    says so and no port is registered, because a name can be made to mean another machine (RFC 8252 8.3).
    """
    if requested == registered:
        return True
    if any_port_of_localhost and registered.startswith(_LOCALHOST_WITHOUT_PORT):
        match = _LOCALHOST_WITH_PORT.fullmatch(requested)
        return match is not None and int(match[1]) <= 65535 and f"http://localhost{match[2]}" == registered
    registered_parts = _split_loopback(registered)
    return registered_parts is not None and registered_parts == _split_loopback(requested)


def _split_loopback(uri: str) -> tuple[str, str] | None:
    """What stands before and after the port of an http loopback URI; None for any other URI."""
    match = _LOOPBACK_LITERAL.fullmatch(uri)
    if match is None or int(match[2] or 0) > 65535:
        return None
    return match[1], match[3]


# ----- What people are told -----


# Of registered URIs, so strangers cannot fill it with theirs.
@lru_cache(maxsize=1024)
def redirect_kind(uri: str) -> RedirectKind:
    """Where a registered redirect URI leads: a web host, this device's loopback, an app by its scheme.

    https on a loopback name is "loopback" too: no certificate authority vouches for who listens there. Raises
    ValueError for what could not have been registered.
    """
    parsed = parse_uri(uri)
    if parsed.scheme not in ("http", "https"):
        return "custom"
    host = parsed.host or ""
    if host in _LOOPBACK_HOSTS or host.endswith(".localhost"):
        return "loopback"
    if parsed.scheme == "http":
        raise ValueError("http leads nowhere but to this device")
    return "https"


def display_host(uri: str) -> str:
    """What a consent page may show as the destination: the host in punycode, "this device", or the scheme."""
    kind = redirect_kind(uri)
    if kind == "loopback":
        return "this device"
    parsed = parse_uri(uri)
    return parsed.scheme if kind == "custom" else parsed.host or ""
