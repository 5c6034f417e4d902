"""One document over HTTPS, from an issuer that the operator named. Standard library only.

The address is configuration or comes from the configured issuer's own metadata, so private addresses are allowed; what
is refused is what would let somebody else answer: plain http beyond loopback, redirects, other schemes.
"""

import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from ipaddress import ip_address
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    getproxies,
)

from ..specs.strict_json import StrictJsonError, parse_json_object

MAX_DOCUMENT_BYTES: Final = 262_144
_URL_CHARACTERS: Final = re.compile(r"[!#-\[\]-~]+")  # printable ASCII without space, quote and backslash
_ETAG: Final = re.compile(r'(?:W/)?"[!#-~]{0,200}"')
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=\"?([0-9]{1,9})(?![0-9])", re.IGNORECASE)


class FetchError(Exception):
    """The document could not be had; the text is for the operator."""


class Unreachable(FetchError):
    """Nothing answered, or not in time: another address at the same host would not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedDocument:
    """`max_age_s` is what Cache-Control allows, or None where it says nothing."""

    members: Mapping[str, Any]
    max_age_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedBody:
    """A body as it came. `etag` is what to send next time; `max_age_s` as in FetchedDocument."""

    raw_body: bytes
    etag: str | None
    max_age_s: int | None


class DocumentClient:
    """Fetches bodies and JSON objects. `timeout_s` bounds each wait for the network and the whole of the body."""

    def __init__(self, *, timeout_s: float, ca_file: str | None = None) -> None:
        self._timeout_s = timeout_s
        self._opener = OpenerDirector()
        # Without HTTPRedirectHandler a redirect is an error; without File, FTP and DataHandler nothing else opens.
        # Plain http is loopback and never goes through a proxy.
        proxies = {scheme: proxy for scheme, proxy in getproxies().items() if scheme == "https"}
        for handler in (
            ProxyHandler(proxies),
            HTTPHandler(),
            HTTPSHandler(context=ssl.create_default_context(cafile=ca_file)),
            HTTPDefaultErrorHandler(),
            HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    def fetch(self, url: str) -> FetchedDocument:
        """Returns the JSON object at `url`; raises FetchError on anything but a 200 that can be read in one way."""
        fetched = self.fetch_body(url, accept="application/json", max_bytes=MAX_DOCUMENT_BYTES)
        if fetched is None:
            raise FetchError(f"{url} answered 304 to a question without condition")
        return FetchedDocument(members=_parse(url, fetched.raw_body), max_age_s=fetched.max_age_s)

    def fetch_body(self, url: str, *, accept: str, max_bytes: int, etag: str | None = None) -> FetchedBody | None:
        """Returns the body at `url`, None where it is still what `etag` names; raises FetchError on other answers."""
        check_url(url)
        deadline = time.monotonic() + self._timeout_s
        headers = {"Accept": accept, "User-Agent": "tokenhouse-verifier"}
        if etag is not None:
            headers["If-None-Match"] = etag
        request = Request(url, headers=headers)  # noqa: S310 - check_url allows http(s) only
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                raw_body = self._read(response, deadline, max_bytes)
                if response.status != 200:
                    raise FetchError(f"{url} answered {response.status}")
                cache_control, new_etag = response.headers.get("Cache-Control", ""), response.headers.get("ETag")
        except HTTPError as error:
            error.close()
            if error.code == 304 and etag is not None:
                return None
            raise FetchError(f"{url} answered {error.code}") from None
        except OSError as error:
            raise Unreachable(f"{url}: {error}") from error
        except (HTTPException, ValueError) as error:
            raise FetchError(f"{url} did not answer with HTTP: {error}") from error
        return FetchedBody(raw_body=raw_body, etag=_check_etag(new_etag), max_age_s=_parse_max_age(cache_control))

    def _read(self, response: Any, deadline: float, max_bytes: int) -> bytes:
        chunks: list[bytes] = []
        size = 0
        # read1 returns what one receive gave, so that a server that drips bytes cannot stretch the timeout.
        while chunk := response.read1(65536):
            chunks.append(chunk)
            size += len(chunk)
            if size > max_bytes:
                raise FetchError(f"{response.url} is larger than {max_bytes} bytes")
            if time.monotonic() > deadline:
                raise Unreachable(f"{response.url} took longer than {self._timeout_s} s")
        if response.length:  # read1 does not notice it
            raise FetchError(f"{response.url} ended before its Content-Length")
        return b"".join(chunks)


def check_url(url: str) -> None:
    """Raises ValueError unless `url` is https, or http on loopback, with a host and without userinfo and fragment."""
    # urlsplit drops tabs and line breaks; an address that has them is not the address that was meant.
    if not _URL_CHARACTERS.fullmatch(url):
        raise ValueError(f"not a URL: {url!r}")
    parts = urlsplit(url)
    if not parts.hostname or parts.port == 0 or parts.username is not None or "#" in url:
        raise ValueError(f"a URL with a host, without user and fragment, was expected: {url!r}")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise ValueError(f"https was expected (http only on loopback): {url!r}")


def is_fetchable(url: str) -> bool:
    """Returns whether `check_url` accepts it."""
    try:
        check_url(url)
    except ValueError:
        return False
    return True


def find_origin(url: str) -> str | None:
    """Returns scheme, host and port of an address that could be fetched; None for what is none, such as a URN."""
    if not is_fetchable(url):
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _parse(url: str, raw_document: bytes) -> Mapping[str, Any]:
    try:
        return parse_json_object(raw_document, max_bytes=MAX_DOCUMENT_BYTES)
    except StrictJsonError as error:
        raise FetchError(f"{url} is not a JSON object that can be read in one way only: {error}") from error


def _check_etag(etag: str | None) -> str | None:
    """What is sent back must not be able to carry a second header."""
    return etag if etag is not None and _ETAG.fullmatch(etag) else None


def _parse_max_age(cache_control: str) -> int | None:
    if "no-store" in cache_control or "no-cache" in cache_control:
        return 0
    found = _MAX_AGE.search(cache_control)
    return int(found[1]) if found else None
