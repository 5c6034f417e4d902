"""RFC 7517 - JSON Web Keys: parsed once, strictly, and then used often. With the thumbprints of RFC 7638.

The key types are those that something here signs or encrypts with: EC on P-256, RSA, and Ed25519 (RFC 8037; verified
only, for other issuers). A key is for signatures or for encryption, never read as both at once, and a private one is
for one algorithm. Symmetric keys are refused. joserfc is not used for this: loading its keys costs every start
50 ms, every RSA private key 40 ms of primality tests, and it reads base64url leniently.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from .rfc4648_base64url import Base64urlError, decode_base64url, encode_base64url

MIN_RSA_BITS: Final = 2048
# Beyond this a key is a way to make verifiers work, not to make signatures strong.
MAX_RSA_BITS: Final = 8192
MAX_KEYS_PER_SET: Final = 64
MAX_KEY_ID_LENGTH: Final = 1024

SIGNING_ALGORITHMS: Final = ("ES256", "RS256", "PS256")
RSA_ENCRYPTION_ALGORITHMS: Final = ("RSA-OAEP", "RSA-OAEP-256")
EC_ENCRYPTION_ALGORITHMS: Final = ("ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW")
ENCRYPTION_ALGORITHMS: Final = (*RSA_ENCRYPTION_ALGORITHMS, *EC_ENCRYPTION_ALGORITHMS)
"""What manages the key of an encrypted message (RFC 7518 section 4)."""
# RFC 7517 4.3, one set for each thing that is done here. Who sends wraps a key or agrees on one.
_SIGN: Final = frozenset({"sign"})
_VERIFY: Final = frozenset({"verify"})
_ENCRYPT: Final = frozenset({"encrypt", "wrapKey", "deriveKey", "deriveBits"})
_DECRYPT: Final = frozenset({"decrypt", "unwrapKey", "deriveKey", "deriveBits"})
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class InvalidKey(ValueError):
    """The JWK is malformed, weak, or for another use; the text is ASCII and repeats nothing of the input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A parsed public key, for signatures or for encryption: `algorithms` are those of its use, and never more than its
    type and `alg` allow.
    """

    kid: str | None
    algorithms: frozenset[str]
    native: Any = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKey:
    """A parsed key that signs or decrypts by exactly one algorithm; parse once, use often. Its secret never reaches
    `repr`.
    """

    kid: str
    alg: str
    public: PublicKey
    native: Any = field(repr=False, compare=False)


def import_public_jwk(jwk: Mapping[str, Any]) -> PublicKey:
    """Returns the key of a public JWK; raises InvalidKey.

    Checks type, size, that an EC point is on its curve, `use`, `key_ops` and `alg`. Does not look at `x5c` or any
    other certificate, and does not check that `kid` is a thumbprint: other issuers choose theirs freely.
    """
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        # A private key that was published is anybody's key.
        raise InvalidKey("the JWK carries private or symmetric key material")
    _check_purpose(jwk, use="sig", operations=_VERIFY)
    native, fitting = _public_native(jwk)
    return PublicKey(kid=_key_id(jwk), algorithms=_fitting_algorithms(jwk, fitting), native=native)


def import_encryption_jwk(jwk: Mapping[str, Any]) -> PublicKey:
    """Returns the key of a public JWK to which messages can be encrypted; raises InvalidKey.

    As import_public_jwk, for keys that are not of `use` sig. A JWK that says neither `use` nor `alg` is both: only its
    owner knows, and OpenID Connect Core 10.1 lets one who has no keys for encryption leave `use` out.
    """
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise InvalidKey("the JWK carries private or symmetric key material")
    _check_purpose(jwk, use="enc", operations=_ENCRYPT)
    native, _ = _public_native(jwk)
    fitting = _fitting_encryption(native)
    return PublicKey(kid=_key_id(jwk), algorithms=_fitting_algorithms(jwk, fitting), native=native)


def import_encryption_jwk_set(document: Mapping[str, Any]) -> tuple[PublicKey, ...]:
    """Returns the keys of a JWK Set to which messages can be encrypted, in its order; raises InvalidKey if it is none.

    What is for signatures, or not understood, is passed over, as in import_jwk_set.
    """
    return _import_set(document, import_encryption_jwk)


def import_jwk_set(document: Mapping[str, Any]) -> tuple[PublicKey, ...]:
    """Returns the usable verification keys of a JWK Set, in its order; raises InvalidKey if it is no JWK Set.

    RFC 7517 section 5: "Implementations SHOULD ignore JWKs within a JWK Set that use "kty" values that are not
    understood by them, that are missing required members, or for which values are out of the supported ranges."
    """
    return _import_set(document, import_public_jwk)


def check_own_jwk_set(document: Mapping[str, Any]) -> None:
    """Raises InvalidKey unless the set may be registered as somebody's own public keys.

    Stricter than reading what is published elsewhere: private and symmetric keys, weak ones, and a `kid` that two keys
    share are mistakes that their owner can still mend. Types and curves that are not understood may be there.
    """
    entries = document.get("keys")
    if not isinstance(entries, list) or not 0 < len(entries) <= MAX_KEYS_PER_SET:
        raise InvalidKey(f"the JWK Set has no list `keys` of 1 to {MAX_KEYS_PER_SET} keys")
    key_ids = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("kty"), str):
            raise InvalidKey("the JWK Set holds something that is no JWK")
        if not _PRIVATE_MEMBERS.isdisjoint(entry) or entry["kty"] == "oct":
            raise InvalidKey("the JWK carries private or symmetric key material")
        if entry["kty"] == "RSA" or entry.get("crv") in ("P-256", "Ed25519"):
            _public_native(entry)
        key_ids.append(_key_id(entry))
    named = [kid for kid in key_ids if kid is not None]
    if len(set(named)) != len(named):
        # RFC 7517 4.5: "different keys within the JWK Set SHOULD use distinct "kid" values"
        raise InvalidKey("two keys of the JWK Set have the same kid")


def _import_set(
    document: Mapping[str, Any], import_one: Callable[[Mapping[str, Any]], PublicKey]
) -> tuple[PublicKey, ...]:
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > MAX_KEYS_PER_SET:
        raise InvalidKey(f"the JWK Set has no list `keys` of at most {MAX_KEYS_PER_SET} keys")
    keys = []
    for entry in entries:
        try:
            keys.append(import_one(entry if isinstance(entry, dict) else {}))
        except InvalidKey:
            continue
    return tuple(keys)


def import_private_jwk(jwk: Mapping[str, Any], *, is_our_own: bool) -> PrivateKey:
    """Returns the key of a private JWK that names its `alg`, to sign or to decrypt with; raises InvalidKey.

    `is_our_own=True` says that these very bytes were generated and sealed by us: the 40 to 60 ms of RSA consistency and
    primality tests are skipped then. Never pass True for a key that came from elsewhere: a composite "prime" would
    leak the key through its signatures.
    """
    alg = jwk.get("alg")
    is_for_encryption = alg in ENCRYPTION_ALGORITHMS
    if not isinstance(alg, str) or not (is_for_encryption or alg in SIGNING_ALGORITHMS):
        raise InvalidKey("the private JWK names no algorithm that is supported")
    if is_for_encryption:
        _check_purpose(jwk, use="enc", operations=_DECRYPT)
    else:
        _check_purpose(jwk, use="sig", operations=_SIGN)
    kid = _key_id(jwk) or thumbprint(jwk)
    public_native, fitting = _public_native(jwk)
    if is_for_encryption:
        fitting = _fitting_encryption(public_native)
    native = _private_native(jwk, public_native, is_our_own=is_our_own)
    public = PublicKey(kid=kid, algorithms=_fitting_algorithms(jwk, fitting), native=public_native)
    return PrivateKey(kid=kid, alg=alg, public=public, native=native)


def generate_private_jwk(alg: str) -> dict[str, str]:
    """Returns a fresh private JWK for one algorithm, with `kid` (its thumbprint), `use` and `alg`.

    P-256 for ES256 and the ECDH-ES family; RSA of 2048 bits for RS256, PS256 and the RSA-OAEP family, of which no two
    share a key (they would share a thumbprint).
    """
    members: dict[str, str]
    if alg == "ES256" or alg in EC_ENCRYPTION_ALGORITHMS:
        ec_numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
        point = ec_numbers.public_numbers
        coordinates = {"x": point.x, "y": point.y, "d": ec_numbers.private_value}
        members = {"kty": "EC", "crv": "P-256"}
        members |= {name: encode_base64url(number.to_bytes(32, "big")) for name, number in coordinates.items()}
    elif alg in ("RS256", "PS256") or alg in RSA_ENCRYPTION_ALGORITHMS:
        numbers = rsa.generate_private_key(public_exponent=65537, key_size=MIN_RSA_BITS).private_numbers()
        factors = {"n": numbers.public_numbers.n, "e": numbers.public_numbers.e, "d": numbers.d}
        factors |= {"p": numbers.p, "q": numbers.q, "dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
        members = {"kty": "RSA"}
        members |= {name: _encode_integer(number) for name, number in factors.items()}
    else:
        raise InvalidKey("no key can be generated for this algorithm")
    use = "enc" if alg in ENCRYPTION_ALGORITHMS else "sig"
    return {**members, "kid": thumbprint(members), "use": use, "alg": alg}


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Returns the RFC 7638 SHA-256 thumbprint of a public or private JWK; raises InvalidKey on a missing member."""
    required = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n"), "OKP": ("crv", "kty", "x")}
    names = required.get(_text(jwk, "kty"))
    if names is None:
        raise InvalidKey("the JWK is of a type that is not supported")
    # RFC 7638 section 3: required members only, in lexicographic order, without whitespace.
    canonical = json.dumps({name: _text(jwk, name) for name in names}, separators=(",", ":"))
    return encode_base64url(hashlib.sha256(canonical.encode()).digest())


def public_members(jwk: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what may be published of a JWK: its public numbers, `kid` (the thumbprint unless given), `use`, `alg`.

    The members are picked by name, so that a private one cannot slip through by being unknown.
    """
    names = {"EC": ("kty", "crv", "x", "y"), "RSA": ("kty", "n", "e"), "OKP": ("kty", "crv", "x")}
    picked = names.get(_text(jwk, "kty"))
    if picked is None:
        raise InvalidKey("the JWK is of a type that is not supported")
    published: dict[str, Any] = {name: _text(jwk, name) for name in picked}
    published["kid"] = _key_id(jwk) or thumbprint(jwk)
    published["use"] = "enc" if jwk.get("alg") in ENCRYPTION_ALGORITHMS else "sig"
    if "alg" in jwk:
        published["alg"] = _text(jwk, "alg")
    return published


def _public_native(jwk: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Returns the library's key and the algorithms that its type fits."""
    kty = jwk.get("kty")
    try:
        if kty == "EC":
            if jwk.get("crv") != "P-256":
                raise InvalidKey("the EC key is not on the curve P-256")
            point = ec.EllipticCurvePublicNumbers(_coordinate(jwk, "x"), _coordinate(jwk, "y"), ec.SECP256R1())
            return point.public_key(), ("ES256",)
        if kty == "RSA":
            return _rsa_public_numbers(jwk).public_key(), ("RS256", "PS256")
        if kty == "OKP":
            if jwk.get("crv") != "Ed25519":
                raise InvalidKey("the OKP key is not an Ed25519 key")
            return ed25519.Ed25519PublicKey.from_public_bytes(_octets(jwk, "x")), ("EdDSA", "Ed25519")
    except InvalidKey:
        raise
    except ValueError:
        raise InvalidKey("the JWK's numbers are not a key") from None
    raise InvalidKey("the JWK is of a type that is not supported")


def _private_native(jwk: Mapping[str, Any], public_native: Any, *, is_our_own: bool) -> Any:
    try:
        if isinstance(public_native, ec.EllipticCurvePublicKey):
            ec_numbers = ec.EllipticCurvePrivateNumbers(_coordinate(jwk, "d"), public_native.public_numbers())
            return ec_numbers.private_key()
        if isinstance(public_native, rsa.RSAPublicKey):
            d, p, q, dp, dq, qi = (_integer(jwk, name) for name in ("d", "p", "q", "dp", "dq", "qi"))
            numbers = rsa.RSAPrivateNumbers(
                p=p, q=q, d=d, dmp1=dp, dmq1=dq, iqmp=qi, public_numbers=public_native.public_numbers()
            )
            return numbers.private_key(unsafe_skip_rsa_key_validation=is_our_own)
    except InvalidKey:
        raise
    except ValueError:
        raise InvalidKey("the JWK's private numbers do not belong to its public ones") from None
    raise InvalidKey("the JWK is of a type that does not sign or decrypt here")


def _rsa_public_numbers(jwk: Mapping[str, Any]) -> rsa.RSAPublicNumbers:
    n, e = _integer(jwk, "n"), _integer(jwk, "e")
    # RFC 7518 3.3: "A key of size 2048 bits or larger MUST be used with these algorithms."
    if not MIN_RSA_BITS <= n.bit_length() <= MAX_RSA_BITS:
        raise InvalidKey(f"the RSA key does not have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")
    if not (e & 1 and 65537 <= e < 1 << 33):
        raise InvalidKey("the RSA public exponent is not an odd number from 65537 to 2**33")
    return rsa.RSAPublicNumbers(e, n)


def _fitting_algorithms(jwk: Mapping[str, Any], fitting: tuple[str, ...]) -> frozenset[str]:
    if "alg" not in jwk:
        return frozenset(fitting)
    if jwk["alg"] not in fitting:
        raise InvalidKey("the JWK's alg does not fit its type")
    if jwk["alg"] in ("EdDSA", "Ed25519"):
        return frozenset(fitting)  # two names of one algorithm (RFC 9864)
    return frozenset({jwk["alg"]})


def _fitting_encryption(public_native: Any) -> tuple[str, ...]:
    if isinstance(public_native, rsa.RSAPublicKey):
        return RSA_ENCRYPTION_ALGORITHMS
    if isinstance(public_native, ec.EllipticCurvePublicKey):
        return EC_ENCRYPTION_ALGORITHMS
    raise InvalidKey("the JWK is of a type that does not encrypt here")


def _check_purpose(jwk: Mapping[str, Any], *, use: str, operations: frozenset[str]) -> None:
    if jwk.get("use", use) != use:
        raise InvalidKey(f"the JWK's use is not {use}")
    named = jwk.get("key_ops")
    if "key_ops" not in jwk:
        return
    if not isinstance(named, list) or not any(isinstance(name, str) and name in operations for name in named):
        raise InvalidKey(f"the JWK's key_ops do not name {min(operations)}")


def _key_id(jwk: Mapping[str, Any]) -> str | None:
    kid = jwk.get("kid")
    if kid is None:
        return None
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KEY_ID_LENGTH:
        raise InvalidKey("the JWK's kid is not a text of reasonable length")
    return kid


def _text(jwk: Mapping[str, Any], name: str) -> str:
    member = jwk.get(name)
    if not isinstance(member, str):
        raise InvalidKey(f"the JWK has no {name}")
    return member


def _octets(jwk: Mapping[str, Any], name: str) -> bytes:
    member = _text(jwk, name)
    if not member.isascii():
        raise InvalidKey(f"the JWK's {name} is not base64url")
    try:
        return decode_base64url(member.encode("ascii"))
    except Base64urlError:
        raise InvalidKey(f"the JWK's {name} is not canonical base64url") from None


def _integer(jwk: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_octets(jwk, name), "big")


def _coordinate(jwk: Mapping[str, Any], name: str) -> int:
    octets = _octets(jwk, name)
    # RFC 7518 6.2.1.2: "The length of this octet string MUST be the full size of a coordinate for the curve".
    if len(octets) != 32:
        raise InvalidKey(f"the JWK's {name} does not have 32 octets")
    return int.from_bytes(octets, "big")


def _encode_integer(number: int) -> str:
    return encode_base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))
