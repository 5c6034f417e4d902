"""One JSON document over HTTPS, from an issuer that the operator named. Standard library only.

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


class DocumentClient:
    """Fetches JSON objects. `timeout_s` bounds each wait for the network and the whole of the body."""

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
        check_url(url)
        deadline = time.monotonic() + self._timeout_s
        request = Request(url, headers={"Accept": "application/json", "User-Agent": "tokenhouse-verifier"})  # noqa: S310 - check_url allows http(s) only
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                raw_document = self._read(response, deadline)
                cache_control = response.headers.get("Cache-Control", "")
                if response.status != 200:
                    raise FetchError(f"{url} answered {response.status}")
        except HTTPError as error:
            error.close()
            raise FetchError(f"{url} answered {error.code}") from None
        except OSError as error:
            raise Unreachable(f"{url}: {error}") from error
        except (HTTPException, ValueError) as error:
            raise FetchError(f"{url} did not answer with HTTP: {error}") from error
        return FetchedDocument(members=_parse(url, raw_document), max_age_s=_parse_max_age(cache_control))

    def _read(self, response: Any, deadline: float) -> bytes:
        chunks: list[bytes] = []
        size = 0
        # read1 returns what one receive gave, so that a server that drips bytes cannot stretch the timeout.
        while chunk := response.read1(65536):
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_DOCUMENT_BYTES:
                raise FetchError(f"{response.url} is larger than {MAX_DOCUMENT_BYTES} bytes")
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


def _parse_max_age(cache_control: str) -> int | None:
    if "no-store" in cache_control or "no-cache" in cache_control:
        return 0
    found = _MAX_AGE.search(cache_control)
    return int(found[1]) if found else None
