"""RFC 9449 - Demonstrating Proof of Possession (DPoP): tokens that are good only beside a fresh proof of a key.

Proofs verified, nonces without a memory, the binding of a token to a key (RFC 7800's `cnf`). The record of proofs that
were seen is the caller's: `DpopProof.replay_key` is what it must accept once, for REPLAY_WINDOW_S.
"""

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .protocol_error import Difference, InvalidDpopProof, InvalidToken
from .rfc3986_uri import parse_uri
from .rfc4648_base64url import Base64urlError, decode_base64url, encode_base64url
from .rfc6750_bearer import AuthorizationScheme
from .rfc7515_jose import (
    VERIFICATION_ALGORITHMS,
    InvalidJws,
    InvalidKey,
    check_header,
    import_public_jwk,
    parse_unverified_header,
    thumbprint,
    verify_jws,
)
from .strict_json import StrictJsonError, parse_json_object

TYP: Final = "dpop+jwt"
# Section 7.1: the value of a challenge's `algs`; also `dpop_signing_alg_values_supported` (section 5.1).
PROOF_ALGORITHMS: Final = VERIFICATION_ALGORITHMS
CHALLENGE_ALGS: Final = " ".join(PROOF_ALGORITHMS)

MAX_PROOF_BYTES: Final = 8192
MAX_JTI_CHARACTERS: Final = 256
# A proof is as old as its way took, and as young as a clock may be ahead. Whoever remembers proofs remembers each for
# the whole window: after it the proof is refused by its `iat`.
MAX_AGE_S: Final = 60
MAX_AHEAD_S: Final = 10
REPLAY_WINDOW_S: Final = MAX_AGE_S + MAX_AHEAD_S
# A nonce is good in the period in which it was made and in the next: between two and four minutes.
NONCE_PERIOD_S: Final = 120

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PERCENT_ENCODED: Final = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@dataclass(frozen=True, slots=True, kw_only=True)
class DpopProof:
    """A proof whose signature, method, address and time were right. `jkt` is the thumbprint of its key (RFC 7638)."""

    jkt: str
    jti: str
    htu: str
    iat_s: int
    nonce: str | None

    @property
    def replay_key(self) -> bytes:
        """32 bytes that are the same for the same proof only (section 11.1). `htu` is in its normal form."""
        digest = hashlib.sha256()
        for part in (self.jkt, self.jti, self.htu):
            raw_part = part.encode()
            digest.update(len(raw_part).to_bytes(4, "big") + raw_part)
        return digest.digest()


# ----- Proofs (section 4.3) -----


def verify_proof(
    unverified_proof: str | None,
    *,
    method: str,
    url: str,
    now_s: float,
    access_token: str | None = None,
    algorithms: Collection[str] = PROOF_ALGORITHMS,
    max_age_s: float = MAX_AGE_S,
    max_ahead_s: float = MAX_AHEAD_S,
) -> DpopProof:
    """Returns the proof of one request; raises InvalidDpopProof that says what is wrong with it.

    `unverified_proof` is the DPoP header's value, several of them joined by commas, None where there is none. `url` is
    the request's, as its sender sees it; both it and `htu` are compared without query and fragment in their normal form
    (RFC 3986 6.2). With `access_token` the proof must be for this very token (`ath`).
    Does **not** see replays (`DpopProof.replay_key`), judge the nonce (`is_nonce_valid`), or compare the key with the
    one that a token is bound to (`check_binding`).
    """
    if not unverified_proof:
        raise InvalidDpopProof("a DPoP proof is needed")
    if "," in unverified_proof:
        # "There is not more than one DPoP HTTP request header field."
        raise InvalidDpopProof("there is more than one DPoP header")
    jkt, claims = _verify_signature(unverified_proof, algorithms)
    if claims.get("htm") != method:
        raise InvalidDpopProof("the DPoP proof is for another method (htm)")
    htu = _check_htu(claims.get("htu"), url)
    iat_s = _check_time(claims.get("iat"), now_s, max_age_s=max_age_s, max_ahead_s=max_ahead_s)
    jti, nonce = claims.get("jti"), claims.get("nonce")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_CHARACTERS:
        raise InvalidDpopProof(f"the DPoP proof's jti is not a text of 1 to {MAX_JTI_CHARACTERS} characters")
    if nonce is not None and not isinstance(nonce, str):
        raise InvalidDpopProof("the DPoP proof's nonce is not a text")
    if access_token is not None:
        _check_ath(claims.get("ath"), access_token)
    return DpopProof(jkt=jkt, jti=jti, htu=htu, iat_s=iat_s, nonce=nonce)


def _verify_signature(unverified_proof: str, algorithms: Collection[str]) -> tuple[str, Mapping[str, Any]]:
    if len(unverified_proof) > MAX_PROOF_BYTES:
        raise InvalidDpopProof("the DPoP proof is too long")
    try:
        header = parse_unverified_header(unverified_proof)
        check_header(header, algorithms=algorithms, typ=TYP, caller_reads={"jwk"})
        jwk = header.members.get("jwk")
        if not isinstance(jwk, dict):
            raise InvalidDpopProof("the DPoP proof's header has no jwk")
        # "The jwk JOSE Header Parameter does not contain a private key."
        key = import_public_jwk(jwk)
        raw_claims = verify_jws(
            unverified_proof, key, algorithms=algorithms, typ=TYP, max_bytes=MAX_PROOF_BYTES, caller_reads={"jwk"}
        )
        return thumbprint(jwk), parse_json_object(raw_claims, max_bytes=MAX_PROOF_BYTES)
    except InvalidKey as error:
        raise InvalidDpopProof(f"the DPoP proof's key is not accepted: {error}") from error
    except InvalidJws as error:
        reason = str(error).replace("the token's", "its").replace("the token", "it")
        raise InvalidDpopProof(f"the DPoP proof is not accepted: {reason}") from error
    except StrictJsonError as error:
        raise InvalidDpopProof("the DPoP proof's claims are not JSON that can be read in one way only") from error


def _check_htu(htu: object, url: str) -> str:
    if not isinstance(htu, str):
        raise InvalidDpopProof("the DPoP proof has no htu")
    try:
        normal_htu = normalise_htu(htu)
    except ValueError:
        raise InvalidDpopProof("the DPoP proof's htu is not a URL") from None
    try:
        is_equal = normal_htu == normalise_htu(url)
    except ValueError:  # the request's own address: nobody can have signed it
        is_equal = False
    if not is_equal:
        difference = Difference(what="htu", expected=url, received=htu)
        raise InvalidDpopProof("the DPoP proof is for another address (htu)", differences=[difference])
    return normal_htu


def _check_time(iat: object, now_s: float, *, max_age_s: float, max_ahead_s: float) -> int:
    if not (type(iat) is int or type(iat) is float):
        raise InvalidDpopProof("the DPoP proof's iat is missing or not a time")
    if iat < now_s - max_age_s:
        difference = Difference(what="iat", expected=f"{now_s:.0f}", received=f"{iat:.0f}")
        raise InvalidDpopProof("the DPoP proof is too old", differences=[difference])
    if iat > now_s + max_ahead_s:
        difference = Difference(what="iat", expected=f"{now_s:.0f}", received=f"{iat:.0f}")
        raise InvalidDpopProof("the DPoP proof is from the future", differences=[difference])
    return int(iat)


def _check_ath(ath: object, access_token: str) -> None:
    # Section 4.2: "the result of a base64url encoding [...] the SHA-256 hash of the ASCII encoding of the associated
    # access token's value". Both are brought to bytes, because compare_digest takes no other text than ASCII.
    expected = encode_base64url(hashlib.sha256(access_token.encode()).digest())
    if not isinstance(ath, str) or not hmac.compare_digest(ath.encode(), expected.encode()):
        raise InvalidDpopProof("the DPoP proof is not for this access token (ath)")


def normalise_htu(url: str) -> str:
    """Returns an http(s) URL without query and fragment in the form in which two are compared; raises ValueError.

    Section 4.3: "servers SHOULD employ syntax-based normalization (Section 6.2.2 of [RFC3986]) and scheme-based
    normalization (Section 6.2.3 of [RFC3986]) before comparing the htu claim."
    """
    uri = parse_uri(url.partition("#")[0].partition("?")[0])
    scheme = uri.scheme.lower()
    if scheme not in _DEFAULT_PORTS or not uri.host or uri.userinfo is not None:
        raise ValueError("is not an http or https URL with a host and without a user")
    port = "" if uri.port is None or uri.port == _DEFAULT_PORTS[scheme] else f":{uri.port}"
    path = _remove_dot_segments(_PERCENT_ENCODED.sub(_decode_unreserved, uri.path))
    return f"{scheme}://{uri.host.lower()}{port}{path or '/'}"


def _decode_unreserved(encoded: re.Match[str]) -> str:
    character = chr(int(encoded[1], 16))
    return character if character in _UNRESERVED else encoded[0].upper()


def _remove_dot_segments(path: str) -> str:
    """RFC 3986 5.2.4, for a path that begins with a slash or is empty."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in (".", ".."):
        kept.append("")
    return "".join(f"/{segment}" for segment in kept)


# ----- Nonces (sections 8 and 9) -----


def make_nonce(key: bytes, *, now_s: float) -> str:
    """Returns the nonce of this period: every node that has the key makes the same one, and remembers nothing.

    It bounds how long ahead somebody can make proofs with a key that he holds only for a moment; it is no secret.
    """
    return _nonce_of_period(key, int(now_s // NONCE_PERIOD_S))


def is_nonce_valid(key: bytes, nonce: str, *, now_s: float) -> bool:
    """Returns whether the nonce was made in this period or the last, or by a node whose clock is a little ahead."""
    newest, oldest = int((now_s + MAX_AHEAD_S) // NONCE_PERIOD_S), int(now_s // NONCE_PERIOD_S) - 1
    presented = nonce.encode()
    return any(
        hmac.compare_digest(presented, _nonce_of_period(key, period).encode()) for period in range(oldest, newest + 1)
    )


def _nonce_of_period(key: bytes, period: int) -> str:
    return encode_base64url(hmac.digest(key, b"dpop-nonce\0" + period.to_bytes(8, "big"), "sha256")[:18])


# ----- The binding of a token (section 6) -----


def is_jkt(text: str) -> bool:
    """Returns whether the text is a SHA-256 thumbprint in base64url, as `dpop_jkt` (section 10) and `jkt` are."""
    try:
        return text.isascii() and len(decode_base64url(text.encode())) == 32
    except Base64urlError:
        return False


def confirmation_claim(jkt: str) -> dict[str, str]:
    """Returns the value of the claim `cnf` (section 6.1) of a token that is bound to the key of this thumbprint."""
    return {"jkt": jkt}


def parse_confirmation_claim(claims: Mapping[str, Any]) -> str | None:
    """Returns the thumbprint of the key that a token is bound to, None where it is bound to none; raises InvalidToken.

    A confirmation of any other kind (RFC 8705's `x5t#S256`, RFC 7800's `jwk`) is refused, also beside `jkt`: what is
    not enforced must not be passed over.
    """
    if "cnf" not in claims:
        return None
    confirmation = claims["cnf"]
    jkt = confirmation.get("jkt") if isinstance(confirmation, dict) else None
    if not isinstance(jkt, str) or len(confirmation) != 1:
        raise InvalidToken("the token is bound in a way that is not enforced here (cnf)")
    if not is_jkt(jkt):
        raise InvalidToken("the token's cnf has no thumbprint in jkt")
    return jkt


def check_scheme(scheme: AuthorizationScheme, *, bound_jkt: str | None) -> None:
    """Raises InvalidToken unless a bound token came under `DPoP` and an unbound one under `Bearer` (section 7.1, 7.2).

    Section 7.2: protected resources "MUST reject the [DPoP-bound] token if presented as a bearer token".
    """
    if bound_jkt is not None and scheme != "DPoP":
        raise InvalidToken("the token is bound to a key and must come with a DPoP proof, not as a bearer token")
    if bound_jkt is None and scheme == "DPoP":
        raise InvalidToken("the token is not bound to a key and must come as a bearer token")


def check_binding(proof: DpopProof, *, bound_jkt: str) -> None:
    """Raises InvalidToken unless the token is bound to the key that made the proof (section 4.3, point 12)."""
    if not hmac.compare_digest(proof.jkt, bound_jkt):
        raise InvalidToken("the token is bound to another key than the DPoP proof's")
