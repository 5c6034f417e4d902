"""A client's own signing key: what it registers of it, and what it signs with it, as forgers do too."""

import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from app.specs.rfc7515_jose import encode_base64url, generate_private_jwk, import_private_jwk, public_members

_SHA256 = hashes.SHA256()
_PADDINGS = {
    "RS256": padding.PKCS1v15(),
    "PS256": padding.PSS(mgf=padding.MGF1(_SHA256), salt_length=32),
}


class SigningKey:
    """One key pair for one algorithm. `kid` None: it is registered, and signs, without one."""

    def __init__(self, alg: str = "ES256", *, kid: str | None = "") -> None:
        self.alg = alg
        self.private_jwk = generate_private_jwk(alg)
        self.kid = self.private_jwk["kid"] if kid == "" else kid
        self._native = import_private_jwk(self.private_jwk, is_our_own=True).native

    @property
    def public_jwk(self) -> dict[str, Any]:
        """What the client registers."""
        members = public_members(self.private_jwk) | {"kid": self.kid}
        return {name: member for name, member in members.items() if member is not None}

    def sign(self, claims: dict[str, Any] | bytes, *, header: dict[str, Any] | None = None) -> str:
        """A compact JWS. `header` replaces members; a value of `...` takes one out."""
        payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
        members = {"alg": self.alg, "kid": self.kid, "typ": "JWT", **(header or {})}
        kept = {name: member for name, member in members.items() if member is not ... and member is not None}
        signed = f"{encode_base64url(json.dumps(kept).encode())}.{encode_base64url(payload)}"
        return f"{signed}.{encode_base64url(self._sign(signed.encode()))}"

    def _sign(self, octets: bytes) -> bytes:
        if isinstance(self._native, rsa.RSAPrivateKey):
            return self._native.sign(octets, _PADDINGS[self.alg], _SHA256)
        r, s = decode_dss_signature(self._native.sign(octets, ec.ECDSA(_SHA256)))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def jwk_set(*keys: SigningKey) -> dict[str, Any]:
    """What a client publishes."""
    return {"keys": [key.public_jwk for key in keys]}
