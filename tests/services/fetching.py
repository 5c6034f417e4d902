"""Fetching in a test: with which fetcher, and what is expected of it."""

import ipaddress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.services.fetch_document import Answers, DocumentFetcher, FetchedDocument, FetchFailed, FetchRefused, Resolve
from tests.services.other_host import LOOPBACK, answer, names

JSON = answer("Content-Type: application/json", 'ETag: "v1"', body=b'{"keys": []}')
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MUCH = 1 << 20


class Switchboard:
    """Resolves by whatever is plugged in, so that fetchers can be shared: reading the system's authorities is slow."""

    resolve: Resolve = names("127.0.0.1")

    def __call__(self, host: str, port: int, family: int, kind: int) -> Answers:
        """One lookup."""
        return self.resolve(host, port, family, kind)


switchboard = Switchboard()


@cache
def make_fetcher(allowed_networks: tuple[ipaddress.IPv4Network, ...], ca_bundle: Path | None) -> DocumentFetcher:
    return DocumentFetcher(allowed_networks=allowed_networks, ca_bundle=ca_bundle, resolve=switchboard)


def fetch(
    url: str,
    *,
    max_bytes: int = MUCH,
    deadline_s: float = 5,
    resolve: Resolve | None = None,
    allowed_networks: tuple[ipaddress.IPv4Network, ...] = (LOOPBACK,),
    ca_bundle: Path | None = None,
) -> FetchedDocument:
    """Fetch with a fetcher that may reach the servers of these tests, unless told otherwise."""
    switchboard.resolve = resolve or names("127.0.0.1")
    fetcher = make_fetcher(allowed_networks, ca_bundle)
    return fetcher.fetch(url, max_bytes=max_bytes, accept="application/json", deadline_s=deadline_s)


def refuse(url: str, **options: Any) -> str:
    """The reason of the refusal."""
    with pytest.raises(FetchRefused) as refused:
        fetch(url, **options)
    return refused.value.reason


def fail(url: str, **options: Any) -> str:
    """The reason of the failure."""
    with pytest.raises(FetchFailed) as failed:
        fetch(url, **options)
    return failed.value.reason
