"""A sender's key: makes DPoP proofs, good ones and, where a test changes a member, bad ones."""

import hashlib
import hmac
import json
import secrets
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey

from app.specs.rfc4648_base64url import encode_base64url
from app.specs.rfc7515_jose import thumbprint


class DpopKey:
    """A P-256 key that its holder alone has."""

    def __init__(self) -> None:
        self.private_key = ec.generate_private_key(ec.SECP256R1())
        self.private_jwk: dict[str, Any] = dict(ECKey.import_key(_to_pem(self.private_key)).as_dict(private=True))
        self.public_jwk = {name: value for name, value in self.private_jwk.items() if name != "d"}
        self.jkt = thumbprint(self.public_jwk)

    def prove(
        self,
        method: str,
        url: str,
        *,
        now_ms: int,
        access_token: str | None = None,
        header: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """A fresh proof. `header` and `changes` replace members; a value of `...` takes one out."""
        members = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.public_jwk, **(header or {})}
        claims = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url,
            "iat": now_ms // 1000,
            "ath": ... if access_token is None else hash_of(access_token),
            **changes,
        }
        kept_header, kept_claims = (
            {name: value for name, value in part.items() if value is not ...} for part in (members, claims)
        )
        return self._sign(kept_header, json.dumps(kept_claims).encode())

    def _sign(self, header: dict[str, Any], claims: bytes) -> str:
        signed = f"{encode_base64url(json.dumps(header).encode())}.{encode_base64url(claims)}"
        # Bare cryptography: a library of JOSE would refuse to make what forgers make.
        if header["alg"] == "none":
            return signed + "."
        if header["alg"] == "HS256":
            return f"{signed}.{encode_base64url(hmac.digest(b'k' * 32, signed.encode(), 'sha256'))}"
        r, s = decode_dss_signature(self.private_key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{encode_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def hash_of(access_token: str) -> str:
    """RFC 9449 4.2, `ath`."""
    return encode_base64url(hashlib.sha256(access_token.encode()).digest())
