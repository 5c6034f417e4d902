"""Offline verification of RFC 9068 access tokens, for resource servers.

Imports of this package's own modules are relative, because it also ships as a wheel of its own, where its parent is
not called `app`. Flask is imported by `flask.py` only, and nothing here imports that.
"""

from ..specs.protocol_error import (
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    ProtocolError,
    TemporarilyUnavailable,
)
from ..specs.rfc9068_access_token import AccessTokenClaims
from .access_token import AccessTokenVerifier
from .key_set import KeysNotAtHand
from .protected_resource import Refusal, admit

__all__ = [
    "AccessTokenClaims",
    "AccessTokenVerifier",
    "InsufficientScope",
    "InvalidRequest",
    "InvalidToken",
    "KeysNotAtHand",
    "ProtocolError",
    "Refusal",
    "TemporarilyUnavailable",
    "admit",
]
