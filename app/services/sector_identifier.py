"""The file behind a `sector_identifier_uri` (OpenID Connect Registration 5): read once, when a client registers it.

It lists the redirect URIs that may share pairwise subjects, so it must list all of the client's: else anybody could
learn the subjects of another's sector by naming its file. Later changes of the file change nothing.
"""

import threading
from typing import Any, Final

from app.services.fetch_document import DocumentFetcher, FetchError
from app.specs.protocol_error import InvalidClientMetadata, TemporarilyUnavailable
from app.specs.rfc7591_metadata import ClientMetadata
from app.specs.strict_json import StrictJsonError, parse_json

MAX_BYTES: Final = 64 * 1024
DEADLINE_S: Final = 3.0
MOST_AT_ONCE: Final = 2
"""Strangers choose whom we wait for; they must not occupy the threads of a server."""

_waiting = threading.BoundedSemaphore(MOST_AT_ONCE)


def check_sector_identifier(fetcher: DocumentFetcher, metadata: ClientMetadata) -> None:
    """Raises `InvalidClientMetadata` unless the file lists every redirect URI; `TemporarilyUnavailable` when busy."""
    uri = metadata.sector_identifier_uri
    if uri is None:
        return
    if not _waiting.acquire(blocking=False):
        raise TemporarilyUnavailable("try again soon", headers={"Retry-After": "2"})
    try:
        listed = fetch_redirect_uris(fetcher, uri)
    except (FetchError, StrictJsonError) as cause:
        raise InvalidClientMetadata("sector_identifier_uri: cannot be read", detail=f"{uri!r:.300}: {cause}") from cause
    finally:
        _waiting.release()
    missing = [redirect_uri for redirect_uri in metadata.redirect_uris if redirect_uri not in listed]
    if missing:
        # "The values [...] MUST be included in the elements of the array, or registration MUST fail."
        raise InvalidClientMetadata(
            "sector_identifier_uri: does not list every redirect URI", detail=f"missing: {missing!r:.300}"
        )


def fetch_redirect_uris(fetcher: DocumentFetcher, uri: str) -> frozenset[str]:
    """The redirect URIs in the file. Raises `FetchError` or `StrictJsonError`."""
    document = fetcher.fetch(uri, max_bytes=MAX_BYTES, accept="application/json", deadline_s=DEADLINE_S)
    if document.status != 200:
        raise FetchError(f"answered {document.status}")
    listed: Any = parse_json(document.body)
    if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
        raise StrictJsonError("the document is not an array of strings")
    return frozenset(listed)
