"""Offline verification of RFC 9068 access tokens. The code is in `tokenhouse_verifier.verifier`."""

from .verifier import (
    AccessTokenClaims,
    AccessTokenVerifier,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    KeysNotAtHand,
    ProtocolError,
    Refusal,
    TemporarilyUnavailable,
    admit,
)

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
