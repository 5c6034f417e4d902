"""RFC 4648 section 5 - base64url as the JOSE specifications use it: no padding, and one spelling only."""

import binascii
from typing import Final


class Base64urlError(ValueError):
    """The text is not canonical base64url; the message is ASCII and repeats nothing of the input."""


# The decoder reads the standard alphabet, so `-_` become `+/`, and what base64url does not have becomes a refusal.
_TO_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
_TO_URLSAFE: Final = bytes.maketrans(b"+/", b"-_")
_PADDING: Final = (b"", None, b"==", b"=")
# The last character of a partial group has unused low bits; a canonical encoding has zeros there.
_CANONICAL_LAST: Final = (None, None, frozenset(b"AQgw"), frozenset(b"AEIMQUYcgkosw048"))


def encode_base64url(raw: bytes) -> str:
    """Returns base64url without padding (RFC 7515 section 2)."""
    return binascii.b2a_base64(raw, newline=False).translate(_TO_URLSAFE).rstrip(b"=").decode("ascii")


def decode_base64url(encoded: bytes) -> bytes:
    """Returns the bytes behind unpadded base64url; raises Base64urlError unless it is *the* encoding of these bytes.

    RFC 7515 section 2: "with all trailing '=' characters omitted and without the inclusion of any line breaks,
    whitespace, or other additional characters". A second spelling of the same token would defeat every record that is
    kept by the token's digest.
    """
    remainder = len(encoded) & 3
    filling = _PADDING[remainder]
    last = _CANONICAL_LAST[remainder]
    if filling is None or (last is not None and encoded[-1] not in last):
        raise Base64urlError("not canonical base64url")
    try:
        return binascii.a2b_base64(encoded.translate(_TO_STANDARD) + filling, strict_mode=True)
    except binascii.Error:
        raise Base64urlError("not base64url") from None
