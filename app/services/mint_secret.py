"""Every secret that the server makes: `th_<type>_<43 base62><6 base62 checksum>`, 256 random bits.

The format splits safely, survives Basic encoding and a double click, and lets a scanner of leaked text recognise a
real one by its checksum. One type per table: a secret presented in the wrong place is not even looked up.
"""

import re
import secrets
import zlib
from typing import Literal

SecretType = Literal["ac", "at", "br", "cs", "el", "ia", "kd", "lo", "rg", "rt", "tx", "ub", "up"]
# ac: authorization code, at: opaque access token, br: browser, cs: client secret, el: link in a mail,
# ia: initial access token, kd: known device, lo: logout request, rg: registration access token, rt: refresh token,
# tx: authorization transaction, ub: the browser that left for another provider, up: the state that comes back

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_SHAPE = re.compile(r"th_([a-z]{2})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")


def mint_secret(secret_type: SecretType) -> str:
    """A new secret of 256 random bits."""
    body = _base62(secrets.randbits(256), length=43)
    return f"th_{secret_type}_{body}{_checksum(secret_type, body)}"


def is_well_formed(secret_type: SecretType, secret: str) -> bool:
    """Whether `secret` can have come from `mint_secret(secret_type)`. Does not check that it was ever issued."""
    match = _SHAPE.fullmatch(secret)
    return match is not None and match[1] == secret_type and match[3] == _checksum(secret_type, match[2])


def without_secrets(text: str) -> str:
    """`text` with every secret of ours cut down to its type: what callers send in the wrong place is logged as sent."""
    return _SHAPE.sub(r"th_\1_(removed)", text) if "th_" in text else text


def _checksum(secret_type: str, body: str) -> str:
    return _base62(zlib.crc32(f"{secret_type}_{body}".encode()), length=6)


def _base62(number: int, *, length: int) -> str:
    # Two digits at a time: every secret that is made, and every one that is looked up, comes by here.
    pairs = []
    for _ in range((length + 1) // 2):
        number, pair = divmod(number, 3844)
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs))[-length:]
