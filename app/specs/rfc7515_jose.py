"""RFC 7515 - JSON Web Signatures in compact form: sign, read the header, verify.

The cryptography is `cryptography`'s; this module is the strict frame around it, and the one door to keys, which live
in rfc7517_jwk. Not implemented, on purpose: JWE, the JSON serialisation, unencoded payloads (RFC 7797), symmetric
algorithms, `none`, and keys that the token itself brings or names (`jwk`, `jku`, `x5u`, `x5c`).
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from .rfc4648_base64url import Base64urlError, decode_base64url, encode_base64url
from .rfc7517_jwk import (
    MAX_KEY_ID_LENGTH,
    SIGNING_ALGORITHMS,
    InvalidKey,
    PrivateKey,
    PublicKey,
    generate_private_jwk,
    import_jwk_set,
    import_private_jwk,
    import_public_jwk,
    public_members,
    thumbprint,
)
from .strict_json import StrictJsonError, parse_json_object

__all__ = [
    "SIGNING_ALGORITHMS",
    "VERIFICATION_ALGORITHMS",
    "InvalidJws",
    "InvalidKey",
    "InvalidSignature",
    "PrivateKey",
    "PublicKey",
    "UnverifiedHeader",
    "check_header",
    "decode_base64url",
    "encode_base64url",
    "generate_private_jwk",
    "import_jwk_set",
    "import_private_jwk",
    "import_public_jwk",
    "parse_unverified_header",
    "public_members",
    "sign_jws",
    "thumbprint",
    "verify_jws",
]

VERIFICATION_ALGORITHMS: Final = (*SIGNING_ALGORITHMS, "EdDSA", "Ed25519")

# A header may carry an RSA key (RFC 9449), which the 512 bytes of other libraries do not hold.
MAX_HEADER_BYTES: Final = 8192
MAX_TOKEN_BYTES: Final = 65536

# RFC 7515 4.1.11: "If any of the listed extension Header Parameters are not understood and supported by the
# recipient, then the JWS is invalid." No extension is understood here. `b64` is RFC 7797's; the rest is JWE's.
_UNSUPPORTED_MEMBERS: Final = frozenset({"crit", "b64", "zip", "enc", "epk", "apu", "apv", "p2s", "p2c", "tag", "iv"})
_KEY_BEARING_MEMBERS: Final = frozenset({"jwk", "jku", "x5u", "x5c"})

_SHA256: Final = hashes.SHA256()
_ECDSA: Final = ec.ECDSA(_SHA256)
_PKCS1: Final = padding.PKCS1v15()
# RFC 7518 3.5: the salt is as long as the hash, both when signing and when verifying.
_PSS: Final = padding.PSS(mgf=padding.MGF1(_SHA256), salt_length=32)


class InvalidJws(ValueError):
    """The token is malformed, unsupported, or not what the caller accepts; ASCII, and repeats nothing of the input."""


class InvalidSignature(InvalidJws):
    """The token is well-formed and acceptable, but this key did not sign it."""


def _verify_es256(key: ec.EllipticCurvePublicKey, signature: bytes, signing_input: bytes) -> None:
    # RFC 7518 3.4: "the JWS Signature value MUST be a 64-octet sequence"; DER is what the library wants.
    if len(signature) != 64:
        raise BadSignature
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key.verify(encode_dss_signature(r, s), signing_input, _ECDSA)


def _verify_rs256(key: rsa.RSAPublicKey, signature: bytes, signing_input: bytes) -> None:
    key.verify(signature, signing_input, _PKCS1, _SHA256)


def _verify_ps256(key: rsa.RSAPublicKey, signature: bytes, signing_input: bytes) -> None:
    key.verify(signature, signing_input, _PSS, _SHA256)


def _verify_eddsa(key: ed25519.Ed25519PublicKey, signature: bytes, signing_input: bytes) -> None:
    key.verify(signature, signing_input)


def _sign_es256(key: ec.EllipticCurvePrivateKey, signing_input: bytes) -> bytes:
    r, s = decode_dss_signature(key.sign(signing_input, _ECDSA))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _sign_rs256(key: rsa.RSAPrivateKey, signing_input: bytes) -> bytes:
    return key.sign(signing_input, _PKCS1, _SHA256)


def _sign_ps256(key: rsa.RSAPrivateKey, signing_input: bytes) -> bytes:
    return key.sign(signing_input, _PSS, _SHA256)


_VERIFY: Final[Mapping[str, Callable[[Any, bytes, bytes], None]]] = {
    "ES256": _verify_es256,
    "RS256": _verify_rs256,
    "PS256": _verify_ps256,
    "EdDSA": _verify_eddsa,
    "Ed25519": _verify_eddsa,
}
_SIGN: Final[Mapping[str, Callable[[Any, bytes], bytes]]] = {
    "ES256": _sign_es256,
    "RS256": _sign_rs256,
    "PS256": _sign_ps256,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedHeader:
    """A header as the sender wrote it. Choose a key by it; believe nothing else of it before the signature holds."""

    alg: str
    kid: str | None
    typ: str | None
    # `typ` as a media type in lower case: RFC 7515 4.1.9 lets the sender leave `application/` out.
    media_type: str | None
    # Which of the members are there by which a sender names the key that it wants to be verified with.
    own_keys: frozenset[str]
    members: Mapping[str, Any]


def sign_jws(header: Mapping[str, str | Mapping[str, str]], claims_bytes: bytes, key: PrivateKey, alg: str) -> str:
    """Returns the compact JWS of these bytes. `alg` and `kid` are added to the header from the key.

    Raises ValueError if `alg` is not the key's own or the header has either already: the caller's mistake, no input.
    """
    if alg != key.alg:
        raise ValueError("the key is for another algorithm")
    # A key signs thousands of tokens under the same header; one that holds a JWK is used once and cannot be hashed.
    is_plain = all(isinstance(member, str) for member in header.values())
    header_segment = (_encode_header_once if is_plain else _encode_header)(alg, key.kid, tuple(header.items()))
    signing_input = header_segment + "." + encode_base64url(claims_bytes)
    return signing_input + "." + encode_base64url(_SIGN[alg](key.native, signing_input.encode("ascii")))


def _encode_header(alg: str, kid: str, members: tuple[tuple[str, str | Mapping[str, str]], ...]) -> str:
    header = {"alg": alg, "kid": kid}
    if not header.keys().isdisjoint(name for name, _ in members):
        raise ValueError("alg and kid are taken from the key")
    return encode_base64url(json.dumps({**header, **dict(members)}, separators=(",", ":")).encode("ascii"))


_encode_header_once = lru_cache(maxsize=64)(_encode_header)


def parse_unverified_header(token: str) -> UnverifiedHeader:
    """Returns the token's header; raises InvalidJws. Checks its form and that nothing unsupported is asked in it.

    Does **not** verify the signature, and does not judge `alg`, `typ` or any embedded key: verify_jws does.
    """
    header_segment, dot, _ = token.partition(".")
    if not dot:
        raise InvalidJws("the token is not a JWS in compact form")
    return _parse_header_segment(header_segment)


def verify_jws(
    token: str,
    key: PublicKey,
    *,
    algorithms: Collection[str],
    typ: str | None,
    max_bytes: int = MAX_TOKEN_BYTES,
    caller_reads: Collection[str] = (),
) -> bytes:
    """Returns the payload's bytes after the signature held; raises InvalidJws (InvalidSignature for the signature).

    `algorithms` are the caller's; the header only chooses among them, and the choice must fit the key (RFC 8725
    3.1). `typ` is compared as a media type; None means that the caller judges it. A header that brings its own key
    is refused (RFC 8725 3.10), except in the members of `caller_reads`, which the caller checked (RFC 9449's `jwk`).
    Does **not** compare `kid`, and does not look into the payload.
    """
    if len(token) > max_bytes:
        raise InvalidJws("the token is too long")
    try:
        raw_token = token.encode("ascii")
    except UnicodeEncodeError:
        raise InvalidJws("the token is not a JWS in compact form") from None
    parts = raw_token.split(b".", 4)
    if len(parts) != 3:
        raise InvalidJws(
            "the token is encrypted, which is not supported"
            if len(parts) == 5
            else "the token is not a JWS in compact form"
        )
    header = _parse_header_segment(token[: len(parts[0])])
    check_header(header, algorithms=algorithms, typ=typ, caller_reads=caller_reads)
    if header.alg not in key.algorithms:
        raise InvalidJws("the token's alg does not fit the key")
    try:
        signature = decode_base64url(parts[2])
        payload = decode_base64url(parts[1])
        _VERIFY[header.alg](key.native, signature, raw_token[: -len(parts[2]) - 1])
    except Base64urlError as error:
        raise InvalidJws(f"a part of the token is {error}") from None
    except BadSignature:
        raise InvalidSignature("the signature does not verify") from None
    return payload


def check_header(
    header: UnverifiedHeader, *, algorithms: Collection[str], typ: str | None, caller_reads: Collection[str] = ()
) -> None:
    """Raises InvalidJws unless the header asks for what the caller accepts: what can be judged before there is a key.

    verify_jws calls this itself; it is public for callers that would fetch a key for the token first.
    """
    if header.alg not in algorithms:
        raise InvalidJws("the token's alg is not accepted")
    if typ is not None and header.media_type != _media_type(typ):
        raise InvalidJws(f"the token's typ is not {typ}")
    if header.own_keys and (unread := header.own_keys.difference(caller_reads)):
        raise InvalidJws(f"the token's header brings its own key ({min(unread)})")


@lru_cache(maxsize=64)
def _media_type(typ: str) -> str:
    return (typ if "/" in typ else "application/" + typ).lower()


# All tokens that one key signs have the same header, so its parse is worth keeping; the bound keeps junk from filling
# memory (128 headers of at most 11 KB). What is kept is a function of the segment alone, and refusals are not kept.
@lru_cache(maxsize=128)
def _parse_header_segment(segment: str) -> UnverifiedHeader:
    if len(segment) > MAX_HEADER_BYTES * 4 // 3 + 1:
        raise InvalidJws("the token's header is too long")
    if not segment.isascii():
        raise InvalidJws("the token is not a JWS in compact form")
    try:
        members = parse_json_object(decode_base64url(segment.encode("ascii")), max_bytes=MAX_HEADER_BYTES)
    except Base64urlError as error:
        raise InvalidJws(f"the token's header is {error}") from None
    except StrictJsonError:
        raise InvalidJws("the token's header is not a JSON object that can be read in one way only") from None
    if unsupported := _UNSUPPORTED_MEMBERS & members.keys():
        raise InvalidJws(f"the token's header asks for what is not supported ({min(unsupported)})")
    alg, kid, typ = members.get("alg"), members.get("kid"), members.get("typ")
    if not isinstance(alg, str):
        raise InvalidJws("the token's header names no alg")
    if kid is not None and not (isinstance(kid, str) and len(kid) <= MAX_KEY_ID_LENGTH):
        raise InvalidJws("the token's kid is not a text of reasonable length")
    if typ is not None and not isinstance(typ, str):
        raise InvalidJws("the token's typ is not a text")
    return UnverifiedHeader(
        alg=alg,
        kid=kid,
        typ=typ,
        media_type=None if typ is None else _media_type(typ),
        own_keys=_KEY_BEARING_MEMBERS & members.keys(),
        members=MappingProxyType(members),
    )
