"""The challenges that authenticators sign (WebAuthn 13.4.3): made without a row, known again by their own seal, and
used once.

A challenge is bound to what it was made for: its purpose, and the sign-in or the session in this browser. So nobody's
answer fits anywhere else, and nothing is stored for the many pages whose passkey button is never pressed.
"""

import hashlib
import hmac
import secrets
from typing import Final, Literal

from app.services.seals import Seals
from app.storage.database import Connection
from app.storage.single_use import use_once

Purpose = Literal["sign_in", "second_factor", "add"]
LIFETIME_MS: Final = 10 * 60_000
"""WebAuthn 15.1 recommends five to ten minutes for what asks for user verification."""

_NONCE_BYTES, _TIME_BYTES, _SEAL_BYTES = 16, 8, 32


class ChallengeRefused(Exception):
    """It is not ours, not for this, or was used before. `is_over`: it is, but was answered too late."""

    def __init__(self, reason: str, *, is_over: bool = False) -> None:
        super().__init__(reason)
        self.is_over = is_over


def mint_challenge(seals: Seals, purpose: Purpose, *, bound_to: str, now: int) -> bytes:
    """A new challenge: 16 random bytes, when it ends, and the seal over both and what it is for."""
    head = secrets.token_bytes(_NONCE_BYTES) + (now + LIFETIME_MS).to_bytes(_TIME_BYTES, "big")
    return head + _seal(seals.derive_keys("passkey challenges")[0], purpose, bound_to, head)


def check_challenge(seals: Seals, challenge: bytes, purpose: Purpose, *, bound_to: str, now: int) -> None:
    """Raises `ChallengeRefused`. Whether it was used before is decided by `use_challenge` alone."""
    head, seal = challenge[: _NONCE_BYTES + _TIME_BYTES], challenge[_NONCE_BYTES + _TIME_BYTES :]
    keys = seals.derive_keys("passkey challenges")
    if len(seal) != _SEAL_BYTES or not any(
        hmac.compare_digest(seal, _seal(key, purpose, bound_to, head)) for key in keys
    ):
        raise ChallengeRefused("challenge")
    if _ends_at(challenge) <= now:
        raise ChallengeRefused("challenge_over", is_over=True)


def use_challenge(connection: Connection, challenge: bytes) -> None:
    """Use a checked challenge, in the transaction that acts on its answer. Raises `ChallengeRefused`."""
    digest = hashlib.sha256(b"passkey challenge\0" + challenge).digest()
    if not use_once(connection, digest, expires_at=_ends_at(challenge)):
        raise ChallengeRefused("challenge_used")


def _ends_at(challenge: bytes) -> int:
    return int.from_bytes(challenge[_NONCE_BYTES : _NONCE_BYTES + _TIME_BYTES], "big")


def _seal(key: bytes, purpose: Purpose, bound_to: str, head: bytes) -> bytes:
    return hmac.digest(key, b"\0".join((purpose.encode(), head.hex().encode(), bound_to.encode())), "sha256")
