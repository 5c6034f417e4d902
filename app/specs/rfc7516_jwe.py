"""RFC 7516 - JSON Web Encryption in compact form, with the algorithms of RFC 7518 that are registered for here.

The cryptography is joserfc's; this module is the strict frame around it: all that can be seen in the open is judged
before a private key is used. Not implemented, on purpose: compression (a small token that becomes a large one), the
JSON serialisation, RSA1_5, shared keys and passwords (`dir`, `p2c`), and keys that the token itself brings or names.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from .rfc4648_base64url import Base64urlError, decode_base64url
from .rfc7517_jwk import (
    EC_ENCRYPTION_ALGORITHMS,
    ENCRYPTION_ALGORITHMS,
    MAX_KEY_ID_LENGTH,
    InvalidKey,
    PrivateKey,
    PublicKey,
    import_encryption_jwk,
)
from .strict_json import StrictJsonError, parse_json_object

MAX_HEADER_BYTES: Final = 4096
MAX_TOKEN_BYTES: Final = 65536

_UNSUPPORTED_MEMBERS: Final = frozenset({"zip", "crit", "b64", "p2s", "p2c", "iv", "tag"})
_KEY_BEARING_MEMBERS: Final = frozenset({"jwk", "jku", "x5u", "x5c"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """The octets of one content encryption (RFC 7518 section 5)."""

    key_bytes: int
    iv_bytes: int
    tag_bytes: int


_SHAPES: Final[Mapping[str, _Shape]] = {
    "A128CBC-HS256": _Shape(key_bytes=32, iv_bytes=16, tag_bytes=16),
    "A256CBC-HS512": _Shape(key_bytes=64, iv_bytes=16, tag_bytes=32),
    "A128GCM": _Shape(key_bytes=16, iv_bytes=12, tag_bytes=16),
    "A256GCM": _Shape(key_bytes=32, iv_bytes=12, tag_bytes=16),
}
CONTENT_ENCRYPTIONS: Final = tuple(_SHAPES)


class InvalidJwe(ValueError):
    """The token is malformed, unsupported, not acceptable, or not for this key.

    The text is the same for all of that: who could tell the reasons apart could use the private key as an oracle.
    `detail` is for the log; it tells apart only what is seen without the key.
    """

    def __init__(self, detail: str) -> None:
        super().__init__("the encrypted token is not acceptable")
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedJweHeader:
    """A header as the sender wrote it, of algorithms that are known. Choose a key by it; believe nothing else of it."""

    alg: str
    enc: str
    kid: str | None
    cty: str | None
    members: Mapping[str, Any]


def is_jwe(token: str) -> bool:
    """Whether the text has the five parts of an encrypted token. Says nothing of what they hold."""
    return token.count(".") == 4


def encrypt_jwe(plaintext: bytes, key: PublicKey, *, alg: str, enc: str, cty: str | None = None) -> str:
    """Returns the compact JWE of these bytes; the header names the key's `kid`.

    `cty` is "JWT" for a signed token (RFC 7519 5.2). Raises ValueError where the algorithms are not ours or do not fit
    the key: the caller's mistake.
    """
    if alg not in key.algorithms or alg not in ENCRYPTION_ALGORITHMS or enc not in _SHAPES:
        raise ValueError("the key is not for this encryption")
    header = {"alg": alg, "enc": enc}
    header |= {} if key.kid is None else {"kid": key.kid}
    header |= {} if cty is None else {"cty": cty}
    return jwe.encrypt_compact(header, plaintext, _library_key(key.native), registry=_REGISTRY)


def parse_unverified_jwe_header(token: str, *, max_bytes: int = MAX_TOKEN_BYTES) -> UnverifiedJweHeader:
    """Returns the header; raises InvalidJwe. Checks its form and that nothing unsupported is asked in it."""
    if len(token) > max_bytes:
        raise InvalidJwe("the token is too long")
    header_segment, _, _ = token.partition(".")
    if not token.isascii() or not is_jwe(token) or len(header_segment) > MAX_HEADER_BYTES * 4 // 3 + 1:
        raise InvalidJwe("not five ASCII segments, or too long a header")
    members = _parse_header_members(header_segment)
    alg, enc, kid, cty = (members.get(name) for name in ("alg", "enc", "kid", "cty"))
    if not (isinstance(alg, str) and alg in ENCRYPTION_ALGORITHMS and isinstance(enc, str) and enc in _SHAPES):
        raise InvalidJwe("alg or enc is not supported")
    if not (kid is None or (isinstance(kid, str) and len(kid) <= MAX_KEY_ID_LENGTH)):
        raise InvalidJwe("kid is not a text of reasonable length")
    if not (cty is None or isinstance(cty, str)):
        raise InvalidJwe("cty is not a text")
    _check_agreement(alg, members)
    return UnverifiedJweHeader(alg=alg, enc=enc, kid=kid, cty=cty, members=members)


def decrypt_jwe(
    token: str,
    key: PrivateKey,
    *,
    algorithms: Collection[str] = ENCRYPTION_ALGORITHMS,
    encryptions: Collection[str] = CONTENT_ENCRYPTIONS,
    max_bytes: int = MAX_TOKEN_BYTES,
) -> bytes:
    """Returns what was encrypted to the key; raises InvalidJwe.

    `algorithms` and `encryptions` are the caller's (what the client registered); the header only chooses among them.
    Anybody can encrypt to a published key, so this proves nothing about the sender. Does **not** compare `kid`, and
    does not open what is inside: a caller who expects a signed token refuses another encrypted one there.
    """
    header = parse_unverified_jwe_header(token, max_bytes=max_bytes)
    if header.alg not in algorithms or header.enc not in encryptions or header.alg not in key.public.algorithms:
        raise InvalidJwe("alg or enc is not accepted, or does not fit the key")
    _check_segments(token, header, key)
    try:
        opened = jwe.decrypt_compact(token, _library_key(key.native), registry=_REGISTRY)
    # What the library and the cryptography beneath raise for a message that is not for the key.
    except (JoseError, ValueError, AssertionError):
        raise InvalidJwe("the token does not decrypt") from None
    return opened.plaintext or b""


def _parse_header_members(header_segment: str) -> dict[str, Any]:
    try:
        members = parse_json_object(decode_base64url(header_segment.encode("ascii")), max_bytes=MAX_HEADER_BYTES)
    except (Base64urlError, StrictJsonError):
        raise InvalidJwe("the header is not a JSON object that can be read in one way only") from None
    # RFC 7516 4.1.3: an unknown critical extension makes it invalid, and none is known here.
    if refused := (_UNSUPPORTED_MEMBERS | _KEY_BEARING_MEMBERS) & members.keys():
        raise InvalidJwe(f"the header holds {min(refused)}")
    return members


def _check_agreement(alg: str, members: Mapping[str, Any]) -> None:
    """RFC 7518 4.6.1: the sender's ephemeral key is there where keys are agreed on, and is a point on our curve."""
    if alg not in EC_ENCRYPTION_ALGORITHMS:
        if "epk" in members:
            raise InvalidJwe("epk does not belong to alg")
        return
    epk = members.get("epk")
    try:
        key = import_encryption_jwk(epk if isinstance(epk, dict) else {})
        for name in ("apu", "apv"):
            decode_base64url(str(members.get(name, "")).encode("ascii"))
    except (InvalidKey, Base64urlError, UnicodeEncodeError):
        raise InvalidJwe("epk, apu or apv is not what the agreement needs") from None
    if key.algorithms.isdisjoint(EC_ENCRYPTION_ALGORITHMS):
        raise InvalidJwe("epk is not on the curve of the key")


def _check_segments(token: str, header: UnverifiedJweHeader, key: PrivateKey) -> None:
    """Every segment has the one length that alg and enc give it: seen before the private key is used."""
    try:
        encrypted_key, iv, ciphertext, tag = (decode_base64url(part.encode("ascii")) for part in token.split(".")[1:])
    except Base64urlError:
        raise InvalidJwe("a segment is not base64url") from None
    shape = _SHAPES[header.enc]
    if isinstance(key.public.native, rsa.RSAPublicKey):
        expected = (key.public.native.key_size + 7) // 8
    else:
        # RFC 3394: a wrapped key is eight octets longer; where the agreed key itself encrypts, none is sent.
        expected = 0 if header.alg == "ECDH-ES" else shape.key_bytes + 8
    is_whole_blocks = shape.iv_bytes != 16 or (len(ciphertext) > 0 and len(ciphertext) % 16 == 0)
    lengths = (len(encrypted_key), len(iv), len(tag))
    if lengths != (expected, shape.iv_bytes, shape.tag_bytes) or not is_whole_blocks:
        raise InvalidJwe("a segment does not have the length that alg and enc give it")


def _library_key(native: Any) -> Any:
    if isinstance(native, (rsa.RSAPublicKey, rsa.RSAPrivateKey)):
        return RSAKey.import_key(native)
    return ECKey.import_key(native)


def _make_registry() -> jwe.JWERegistry:
    registry = jwe.JWERegistry(algorithms=[*ENCRYPTION_ALGORITHMS, *CONTENT_ENCRYPTIONS])
    # Its own bounds are narrower than ours, which were checked before: an RSA key of 8192 bits, say.
    registry.max_protected_header_length = MAX_HEADER_BYTES * 4 // 3 + 1
    registry.max_encrypted_key_length = 2048
    registry.max_ciphertext_length = 2 * MAX_TOKEN_BYTES
    registry.strict_check_header = False
    return registry


_REGISTRY: Final = _make_registry()
