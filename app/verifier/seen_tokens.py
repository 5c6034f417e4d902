"""Tokens that were verified before: their signature's verdict and what never changes about them, nothing else.

Status, `exp`, network, proof and scope are judged at every call. An entry goes with the state of the key set that
verified it: when the keys are fetched anew, a token is verified anew.
"""

import threading
from collections import OrderedDict
from typing import NamedTuple

from ..specs.rfc9068_access_token import AccessTokenClaims
from ..specs.token_status_list import StatusReference
from ..specs.tokenhouse_networks import Networks
from .key_set import Keys


class VerifiedToken(NamedTuple):
    """A token whose signature held and whose claims are right, apart from what depends on when and how it is used."""

    claims: AccessTokenClaims
    keys: Keys
    bound_jkt: str | None
    networks: Networks | None
    status: StatusReference | None


class SeenTokens:
    """Verified tokens by SHA-256 digest, at most `max_tokens`: the oldest leave first, and those that have expired.

    The tokens themselves are not kept. Safe for threads.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._tokens: OrderedDict[bytes, VerifiedToken] = OrderedDict()
        self._lock = threading.Lock()
        # A bound method: one lookup less for every request.
        self.find = self._tokens.get

    def __len__(self) -> int:
        return len(self._tokens)

    def add(self, digest: bytes, token: VerifiedToken, *, now_s: float) -> None:
        if not self._max_tokens:
            return
        with self._lock:
            self._tokens[digest] = token
            if len(self._tokens) > self._max_tokens:
                self._tokens.popitem(last=False)
            # Two may leave for one that comes, as long as the oldest are dead: the dead do not pile up.
            for _ in range(2):
                if next(iter(self._tokens.values())).claims.expires_at_s >= now_s:
                    return
                self._tokens.popitem(last=False)
                if not self._tokens:
                    return

    def forget(self, digest: bytes) -> None:
        with self._lock:
            self._tokens.pop(digest, None)
