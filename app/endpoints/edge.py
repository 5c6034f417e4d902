"""What both front doors share, before either sees a request: trust in proxies, sizes, names, logs, the last resort.

Everything below it can rely on this: the peer's address is true, forwarded headers and client-certificate headers are
gone unless a configured proxy sent them, host and scheme are the issuer's, the body has a length within the limit, and
whatever raises becomes a 503 (our own fault, come back) or a 500 with a code, never a stack trace.
"""

import ipaddress
import itertools
import secrets
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import structlog
from prometheus_client import Counter, Histogram

from app.endpoints.answers import Answer, PublicDocument, json_answer
from app.services.incidents import new_incident
from app.services.mint_secret import without_secrets
from app.services.write_log import LogLines
from app.settings import Network, Settings
from app.specs.strict_request import MAX_HEADER_CHARACTERS
from app.storage.database import DatabaseUnavailable

StartResponse = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

MAX_BODY_BYTES = 64 * 1024
MAX_QUERY_BYTES = 64 * 1024
RETRY_AFTER_S = 2
# RFC 7239 6.2 calls it so. It is no address, so it is within no network.
UNKNOWN_ADDRESS = "unknown"

REQUESTS = Counter("tokenhouse_requests_total", "Requests by route, method and status.", ["route", "method", "status"])
DURATION = Histogram(
    "tokenhouse_request_seconds",
    "Time to answer, by route.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

# Only a proxy that terminates TLS may say these; from anybody else they are lies.
_FORWARDED_HEADERS = frozenset(
    {
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_FORWARDED_HOST",
        "HTTP_X_FORWARDED_PROTO",
        "HTTP_X_FORWARDED_PORT",
        "HTTP_X_FORWARDED_PREFIX",
        "HTTP_X_REAL_IP",
        "HTTP_FORWARDED",
        "HTTP_SSL_CLIENT_CERT",
        "HTTP_X_SSL_CLIENT_CERT",
        "HTTP_X_CLIENT_CERT",
        "HTTP_X_FORWARDED_CLIENT_CERT",
        "HTTP_CLIENT_CERT",
        "HTTP_CLIENT_CERT_CHAIN",
    }
)
# With one of these a GET is not plain: it has a body, or it asks for less than the whole document.
_NOT_PLAIN = frozenset({"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_ENCODING", "HTTP_IF_NONE_MATCH"})
_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
# What a person sees when everything that makes pages has failed.
_LAST_PAGE = """<!doctype html><html lang="en"><title>Authorization error</title>
<main id="error-page" data-error="{error}" data-incident="{incident}"><p>{description}. Code: {incident}</p></main>
"""
_LAST_PAGE_HEADERS = (
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
)
_log = structlog.get_logger("tokenhouse.access")


class Edge:
    """The outermost WSGI callable."""

    def __init__(
        self,
        app: WsgiApp,
        settings: Settings,
        *,
        known_routes: Sequence[str],
        documents: Mapping[str, Callable[[], PublicDocument]],
        access_log: LogLines,
    ) -> None:
        self._app = app
        self._access_log = access_log
        self._trusted: tuple[Network, ...] = settings.trusted_proxies
        self._prefix = settings.issuer_path
        # By the whole path: what stands beneath the issuer's is known by the route without it from here on.
        self._documents = {
            path if self._is_inserted(path) else self._prefix + path: (path, current)
            for path, current in documents.items()
        }
        parts = urlsplit(settings.issuer)
        self._host, self._scheme = parts.netloc, parts.scheme
        # Labels of metrics are a closed set: a scanner must not be able to grow it.
        self._routes = frozenset(known_routes)
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._durations = {route: DURATION.labels(route) for route in (*self._routes, "other")}
        # Unique, not secret: a random number for every request would cost a system call each.
        self._process_id, self._numbers = secrets.token_hex(5), itertools.count(1)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        started = time.perf_counter()
        request_id = f"{self._process_id}{next(self._numbers):06x}"
        environ["tokenhouse.request_id"] = request_id
        self._establish_peer(environ)
        status = 500

        def start(line: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal status
            status = int(line[:3])
            headers.append(("X-Request-Id", request_id))
            return start_response(line, headers, exc_info) if exc_info else start_response(line, headers)

        try:
            body = self._serve_document(environ, start)
            if body is None:
                refusal = self._check(environ)
                body = refusal.respond(environ, start) if refusal is not None else self._app(environ, start)
        except DatabaseUnavailable as error:
            body = _our_fault(environ, start, 503, "temporarily_unavailable", error)
        except Exception as error:  # the last resort: a bug is a 500 with a code, and its trace is in the log
            body = _our_fault(environ, start, 500, "server_error", error)
        self._tell(environ, status, time.perf_counter() - started)
        return body

    def _serve_document(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes] | None:
        """A public document where nothing but that is asked; None where somebody else has to look at the request."""
        found = self._documents.get(environ.get("PATH_INFO", ""))
        if (
            found is None
            or environ["REQUEST_METHOD"] != "GET"
            or environ.get("QUERY_STRING")
            or not environ.keys().isdisjoint(_NOT_PLAIN)
            # The router counts in the same way, and says what is wrong.
            or sum([len(value) for name, value in environ.items() if name[:5] == "HTTP_"]) > MAX_HEADER_CHARACTERS
        ):
            return None
        environ["PATH_INFO"], current = found
        document = current()
        start("200 OK", [*document.headers_of_get])
        return [document.body]

    def _establish_peer(self, environ: dict[str, Any]) -> None:
        peer = environ.get("REMOTE_ADDR", "")
        forwarded_for = environ.get("HTTP_X_FORWARDED_FOR", "")
        if self._trusted and _is_within(peer, self._trusted):
            environ["REMOTE_ADDR"] = find_client_address(peer, forwarded_for, self._trusted)
        else:
            if not environ.keys().isdisjoint(_FORWARDED_HEADERS):
                for name in _FORWARDED_HEADERS:
                    environ.pop(name, None)
        # Every URL is the issuer's; a Host header decides nothing.
        environ["HTTP_HOST"] = self._host
        environ["wsgi.url_scheme"] = self._scheme

    def _check(self, environ: dict[str, Any]) -> Answer | None:
        if environ["REQUEST_METHOD"] not in _KNOWN_METHODS:
            # Not 501: what a stranger makes up must never look like a failure of ours.
            return _refusal(405, "the method is not known", (("Allow", "GET, HEAD, POST"),))
        if len(environ.get("QUERY_STRING", "")) > MAX_QUERY_BYTES:
            return _refusal(414, "the query is too long")
        if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() not in ("", "identity"):
            return _refusal(415, "encoded bodies are not read")
        # RFC 9112 6.3: a server "MAY reject a request that contains a message body but not a Content-Length". The host
        # takes a Content-Length that came beside it away, so that whoever smuggles cannot be told from who streams.
        if "HTTP_TRANSFER_ENCODING" in environ:
            return _refusal(400, "the body must have a Content-Length, and no Transfer-Encoding")
        try:
            length = int(environ.get("CONTENT_LENGTH") or 0)
        except ValueError:
            return _refusal(400, "Content-Length is not a number")
        if length > MAX_BODY_BYTES:
            return _refusal(413, "the body is too large")
        path = environ.get("PATH_INFO", "")
        if self._prefix and not self._is_inserted(path):
            if not path.startswith(self._prefix + "/") and path != self._prefix:
                return _refusal(404, "there is nothing here")
            environ["SCRIPT_NAME"] = self._prefix
            environ["PATH_INFO"] = path[len(self._prefix) :] or "/"
        return None

    def _is_inserted(self, path: str) -> bool:
        """RFC 8414 3.1 inserts its name before the issuer's path.

        What stands at the root without that path is another issuer's, even if nobody is one there.
        """
        return path.startswith("/.well-known/") and path.endswith(self._prefix)

    def _tell(self, environ: dict[str, Any], status: int, seconds: float) -> None:
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        # What ends in a slash is the route of everything with one more segment.
        collection = path[: path.rfind("/") + 1]
        route = path if path in self._routes else collection if collection in self._routes else "other"
        labels = (route, method if method in _KNOWN_METHODS else "other", status)
        counter = self._counters.get(labels)
        if counter is None:
            counter = self._counters[labels] = REQUESTS.labels(*labels)
        counter.inc()
        self._durations[route].observe(seconds)
        # The query is left out: it may hold a code, a state, or a secret that somebody put there by mistake.
        self._access_log.write_request(
            method=method[:20],
            # A link that was sent by mail has its secret in its path.
            path=without_secrets(path[:300]),
            status=status,
            seconds=seconds,
            peer=environ.get("REMOTE_ADDR", ""),
            request_id=environ["tokenhouse.request_id"],
        )


def find_client_address(peer: str, forwarded_for: str, trusted: tuple[Network, ...]) -> str:
    """The last address before our own proxies, or `unknown` where one of them names something else than an address.

    Not the proxy's own address then: that may be one that a rule trusts. Read from the right, because only what our
    proxies appended is true; at most 50 entries are looked at.
    """
    if not forwarded_for:
        return peer
    for entry in reversed(forwarded_for.split(",")[-50:]):
        candidate = entry.strip()
        try:
            address = ipaddress.ip_address(candidate)
        except ValueError:
            return UNKNOWN_ADDRESS
        if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
            return UNKNOWN_ADDRESS
        if not _is_within(candidate, trusted):
            return str(address)
    return peer


# The same few proxies stand in front of every request. Bounded, because the others are whoever comes.
@lru_cache(maxsize=1024)
def _is_within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed.version == network.version and parsed in network for network in networks)


def _refusal(status: int, description: str, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    return json_answer(status, {"error": "invalid_request", "error_description": description}, headers)


def _our_fault(
    environ: dict[str, Any], start: StartResponse, status: int, error: str, cause: Exception
) -> Iterable[bytes]:
    incident = new_incident()
    _log.error(
        "failure",
        incident=incident,
        request_id=environ["tokenhouse.request_id"],
        error=type(cause).__name__,
        # Where, but not the message: a driver's message may hold the values of a statement.
        trace=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(cause.__traceback__)],
    )
    description = "try again soon" if status == 503 else "something went wrong here"
    answer = json_answer(status, {"error": error, "error_description": f"{description} [{incident}]"})
    if status == 503:
        answer.headers.append(("Retry-After", str(RETRY_AFTER_S)))
    if "text/html" in environ.get("HTTP_ACCEPT", ""):
        page = _LAST_PAGE.format(error=error, incident=incident, description=description.capitalize())
        headers = [("Content-Type", "text/html; charset=utf-8"), *_LAST_PAGE_HEADERS, *answer.headers[1:]]
        answer = Answer(status, headers, page.encode())
    return answer.respond(environ, start)
