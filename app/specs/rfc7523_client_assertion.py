"""RFC 7523 - JWT Profile for Client Authentication: `private_key_jwt`, `client_secret_jwt` (OpenID Connect Core 9).

What an assertion says is judged here, and the MAC of one that a secret made; a signature is verified with the client's
keys elsewhere, over the very same text. Not implemented, on purpose: JWTs as authorization grants (section 2.1), other
MACs than HS256, and audiences other than what the caller lists. The record of assertions that were seen is the
caller's: `ClientAssertion.replay_key` is what it must accept once, until `ClientAssertion.expires_at_s` has passed.
"""

import hashlib
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from .protocol_error import Difference, InvalidClient
from .rfc4648_base64url import Base64urlError, decode_base64url
from .rfc7515_jose import InvalidJws, UnverifiedHeader, parse_unverified_header
from .strict_json import StrictJsonError, parse_json_object

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SIGNATURE_ALGORITHMS: Final = ("RS256", "PS256", "ES256")
MAC_ALGORITHM: Final = "HS256"
MAX_ASSERTION_BYTES: Final = 16_384
MAX_JTI_CHARACTERS: Final = 256
MAX_LIFETIME_S: Final = 300
# Clocks differ. FAPI 2.0 5.3.2.1: to accept "an iat or nbf timestamp between 0 and 10 seconds in the future".
MAX_AHEAD_S: Final = 10

# draft-ietf-oauth-rfc7523bis: new assertions say what they are; those of before say JWT, or nothing.
_MEDIA_TYPES: Final = frozenset({None, "application/jwt", "application/client-authentication+jwt"})
_FAILED: Final = "client authentication failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedAssertion:
    """An assertion that can be read. Find the client by it; believe nothing of it before its signature holds."""

    client_id: str
    header: UnverifiedHeader
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes

    @property
    def method(self) -> str:
        """The `token_endpoint_auth_method` that makes such assertions."""
        return "client_secret_jwt" if self.header.alg == MAC_ALGORITHM else "private_key_jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAssertion:
    """What identifies an assertion whose claims were right. `expires_at_s` may have a fraction."""

    client_id: str
    jti: str
    expires_at_s: float

    @property
    def replay_key(self) -> bytes:
        """32 bytes that are the same for the same client and `jti` only, whichever endpoint it is for."""
        digest = hashlib.sha256(b"client_assertion\0")
        for part in (self.client_id, self.jti):
            raw_part = part.encode("utf-8", "surrogatepass")
            digest.update(len(raw_part).to_bytes(4, "big") + raw_part)
        return digest.digest()


# Limits, authentication and the record of a refusal each want to know whom a request names: it is read once for them.
@lru_cache(maxsize=64)
def parse_unverified_assertion(assertion: str) -> UnverifiedAssertion:
    """Returns what an assertion claims to be; raises InvalidClient for what could not be one.

    Section 3: `iss` and `sub` are both the client's identifier. Does **not** verify anything.
    """
    if len(assertion) > MAX_ASSERTION_BYTES:
        raise InvalidClient(_FAILED, detail="the assertion is too long")
    try:
        header = parse_unverified_header(assertion)
        header_segment, _, rest = assertion.partition(".")
        payload, _, signature = rest.partition(".")
        if "." in signature or not rest.isascii():
            raise InvalidClient(_FAILED, detail="the assertion is not a JWS in compact form")
        claims = parse_json_object(decode_base64url(payload.encode()), max_bytes=MAX_ASSERTION_BYTES)
        raw_signature = decode_base64url(signature.encode())
    except InvalidJws as error:
        raise InvalidClient(_FAILED, detail=f"the assertion is not accepted: {error}") from error
    except (Base64urlError, StrictJsonError) as error:
        raise InvalidClient(_FAILED, detail=f"the assertion cannot be read: {error}") from error
    if header.media_type not in _MEDIA_TYPES:
        # Another kind of JWT of the same client, such as a request object, must not log it in (RFC 8725 3.12).
        raise InvalidClient(_FAILED, detail=f"the assertion's typ is {header.typ!r:.100}")
    if header.own_keys:
        raise InvalidClient(_FAILED, detail=f"the assertion brings its own key ({min(header.own_keys)})")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject or claims.get("iss") != subject:
        issuer = Difference(what="iss", expected=f"{subject!s:.300}", received=f"{claims.get('iss')!s:.300}")
        raise InvalidClient(_FAILED, detail="iss and sub must both be the client_id", differences=[issuer])
    return UnverifiedAssertion(
        client_id=subject,
        header=header,
        claims=MappingProxyType(claims),
        signed=f"{header_segment}.{payload}".encode(),
        signature=raw_signature,
    )


def is_mac_valid(assertion: UnverifiedAssertion, client_secret: str) -> bool:
    """Returns whether the secret made the assertion's HS256 (OpenID Connect Core 10.1: "the octets of the UTF-8
    representation of the client_secret"). Compares in constant time.
    """
    if assertion.header.alg != MAC_ALGORITHM:
        return False
    return hmac.compare_digest(hmac.digest(client_secret.encode(), assertion.signed, "sha256"), assertion.signature)


def check_claims(
    claims: Mapping[str, Any], *, audiences: Collection[str], may_be_listed: bool, now_s: float
) -> ClientAssertion:
    """Returns what identifies the assertion; raises InvalidClient unless it is for us and for now (section 3).

    `may_be_listed`: whether `aud` may also be an array, of nobody but `audiences`. Does **not** verify the signature,
    look whether the client exists, or see replays.
    """
    _check_audience(claims.get("aud"), audiences, may_be_listed=may_be_listed)
    expires_at_s = _get_time(claims, "exp", now_s)
    if expires_at_s <= now_s:
        raise _untimely("the assertion has expired", "exp", expires_at_s, now_s)
    if expires_at_s > now_s + MAX_LIFETIME_S + MAX_AHEAD_S:
        raise _untimely("the assertion lives for too long", "exp", expires_at_s, now_s)
    for name in ("iat", "nbf"):
        if name in claims and _get_time(claims, name, now_s) > now_s + MAX_AHEAD_S:
            raise _untimely("the assertion is from the future", name, claims[name], now_s)
    if "iat" in claims and claims["iat"] < now_s - MAX_LIFETIME_S - MAX_AHEAD_S:
        raise _untimely("the assertion is too old", "iat", claims["iat"], now_s)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_CHARACTERS:
        raise InvalidClient(_FAILED, detail=f"jti is not a text of 1 to {MAX_JTI_CHARACTERS} characters")
    return ClientAssertion(client_id=claims["sub"], jti=jti, expires_at_s=expires_at_s)


def _check_audience(aud: object, audiences: Collection[str], *, may_be_listed: bool) -> None:
    # Nobody else: whoever signs for several servers gives each of them what opens the others (eprint 2025/629).
    named = aud if may_be_listed and isinstance(aud, list) and aud else [aud]
    if all(isinstance(one, str) and one in audiences for one in named):
        return
    difference = Difference(what="aud", expected="\n".join(audiences), received=f"{aud!s:.500}")
    raise InvalidClient(_FAILED, detail="the assertion is for another audience", differences=[difference])


def _get_time(claims: Mapping[str, Any], name: str, now_s: float) -> float:
    """A NumericDate (RFC 7519 section 2), which may have a fraction."""
    wire = claims.get(name)
    if not (type(wire) is int or type(wire) is float):
        difference = Difference(what=name, expected=f"{now_s:.0f}", received=f"{wire!s:.100}")
        raise InvalidClient(_FAILED, detail=f"{name} is missing or not a time", differences=[difference])
    return wire


def _untimely(detail: str, name: str, wire: float, wanted_s: float) -> InvalidClient:
    difference = Difference(what=name, expected=f"{wanted_s:.0f}", received=f"{wire:.0f}")
    return InvalidClient(_FAILED, detail=detail, differences=[difference])
