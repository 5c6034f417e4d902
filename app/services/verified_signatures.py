"""Signatures of our own that held, remembered: an API that asks about one token asks often.

Only the verdict of the signature and the bytes that it covers are kept. Whether the key still counts, the times, and
whether the token was ended are looked at every time.
"""

import hashlib
import threading
from dataclasses import dataclass, field
from typing import Final

from cachetools import LRUCache

_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPayload:
    """What the key `kid` signed, as an access token."""

    kid: str
    payload: bytes = field(repr=False)


class VerifiedSignatures:
    """Found by the SHA-256 of the whole token. Safe for threads."""

    def __init__(self) -> None:
        self._payloads: LRUCache[bytes, VerifiedPayload] = LRUCache(maxsize=_REMEMBERED)
        self._lock = threading.Lock()

    def find(self, token: str) -> VerifiedPayload | None:
        """What this very token was found to say, by the key that signed it; None for one not seen lately."""
        with self._lock:
            return self._payloads.get(_digest(token))

    def remember(self, token: str, verified: VerifiedPayload) -> None:
        """Keep the verdict for the next time."""
        with self._lock:
            self._payloads[_digest(token)] = verified


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
