"""RFC 6238 - TOTP: Time-Based One-Time Password Algorithm, with the parameters that authenticator apps share.

SHA-1, six digits and steps of 30 seconds are what every app takes; others are ignored by some. HOTP (RFC 4226) stands
beneath it, in the library. Which steps were used already is the caller's to know.
"""

import base64
import hmac
import re
from typing import Final
from urllib.parse import quote

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

STEP_S: Final = 30
DIGITS: Final = 6
# RFC 4226 section 4, R6: "The length of the shared secret MUST be at least 128 bits. This document RECOMMENDs a shared
# secret length of 160 bits."
SECRET_BYTES: Final = 20
WINDOW: Final = 1
"""How many steps a clock may be before or behind ours (RFC 6238 5.2 recommends at most one for the network)."""

_CODE = re.compile(r"[0-9]{6}")


def make_code(secret: bytes, step: int) -> str:
    """The code of one time step."""
    return TOTP(secret, DIGITS, SHA1(), STEP_S).generate(step * STEP_S).decode()  # noqa: S303


def step_of(now_s: float) -> int:
    """The time step of a moment, in seconds since the epoch (RFC 6238 4.2)."""
    return int(now_s // STEP_S)


def parse_code(text: str) -> str | None:
    """The six digits that a person typed, spaces between them allowed; None where it is no code of an app."""
    digits = "".join(text.split())
    return digits if digits.isascii() and _CODE.fullmatch(digits) else None


def find_step(secret: bytes, code: str, *, now_s: float) -> int | None:
    """The time step whose code this is, at most one away from now; None for a wrong code.

    Does **not** know which steps were used: RFC 6238 5.2, "The verifier MUST NOT accept the second attempt of the OTP
    after the successful validation has been issued for the first OTP".
    """
    now = step_of(now_s)
    found = None
    # Every step is looked at, so that the time says nothing about which one it was.
    for step in range(max(0, now - WINDOW), now + WINDOW + 1):
        if hmac.compare_digest(make_code(secret, step).encode(), code.encode()):
            found = step
    return found


def secret_text(secret: bytes) -> str:
    """The secret in base32 without padding: how apps take it, and how a person types it."""
    return base64.b32encode(secret).decode().rstrip("=")


def otpauth_uri(secret: bytes, *, issuer: str, account: str) -> str:
    """The URI that an authenticator app reads from a QR code. `issuer` and `account` are what the app shows.

    A colon parts the two in it, so a name may hold none; apps do not read `+` as a space, as a query's encoding has it.
    """
    issuer, account = (quote(name.replace(":", " "), safe="") for name in (issuer, account))
    parameters = f"secret={secret_text(secret)}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_S}"
    return f"otpauth://totp/{issuer}:{account}?{parameters}"
