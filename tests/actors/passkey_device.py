"""A software authenticator for passkeys, and the browser around it: it lies where it is told to.

Real keys and real signatures; what it writes is put together here, byte by byte, and not by the library that reads it.
"""

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

USER_PRESENT, USER_VERIFIED, BACKUP_ELIGIBLE, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40


@dataclass
class Key:
    """A passkey in the authenticator. `handle`: whose it is, in the server's words."""

    credential_id: bytes
    private: ec.EllipticCurvePrivateKey = field(repr=False)
    handle: bytes
    count: int = 0

    @property
    def cose(self) -> dict[int, Any]:
        """The public half, as RFC 9053 writes it."""
        numbers = self.private.public_key().public_numbers()
        return {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}


@dataclass
class PasskeyDevice:
    """`counts`: whether it counts its signatures; `is_synced`: whether its keys live on several devices."""

    origin: str
    rp_id: str
    counts: bool = False
    is_synced: bool = False
    verifies_user: bool = True
    aaguid: bytes = bytes(16)
    keys: list[Key] = field(default_factory=list)

    def create(
        self,
        options: dict[str, Any],
        *,
        credential_id: bytes | None = None,
        cose: dict[Any, Any] | None = None,
        attestation: bytes | None = None,
        fmt: str = "none",
        statement: dict[str, Any] | None = None,
        **lies: Any,
    ) -> str:
        """The answer of `navigator.credentials.create()`, as JSON; the key is kept."""
        key = Key(
            credential_id=secrets.token_bytes(32) if credential_id is None else credential_id,
            private=ec.generate_private_key(ec.SECP256R1()),
            handle=decode(options["user"]["id"]),
        )
        self.keys.append(key)
        attested = self.aaguid + len(key.credential_id).to_bytes(2, "big") + key.credential_id
        attested += cbor2.dumps(key.cose if cose is None else cose)
        data = self._data(key, lies, flags=ATTESTED) + attested
        document = {"fmt": fmt, "attStmt": statement or {}, "authData": data}
        response = {
            "clientDataJSON": encode(self._client_data("webauthn.create", options, lies)),
            "attestationObject": encode(cbor2.dumps(document) if attestation is None else attestation),
            "transports": ["internal", "something-new"],
        }
        return self._answer(key, response)

    def get(self, options: dict[str, Any], *, key: Key | None = None, **lies: Any) -> str:
        """The answer of `navigator.credentials.get()`, as JSON, by the newest key unless told which."""
        key = key or self.keys[-1]
        if self.counts:
            key.count += 1
        data = self._data(key, lies)
        client_data = self._client_data("webauthn.get", options, lies)
        signed = data + hashlib.sha256(client_data).digest()
        response = {
            "clientDataJSON": encode(client_data),
            "authenticatorData": encode(data),
            "signature": encode(key.private.sign(signed, ec.ECDSA(SHA256()))),
            "userHandle": encode(lies.get("handle", key.handle)),
        }
        for name in lies.get("without", ()):
            del response[name]
        response |= lies.get("response", {})
        return self._answer(key, response)

    def _data(self, key: Key, lies: dict[str, Any], *, flags: int = 0) -> bytes:
        rp_id_hash = hashlib.sha256(str(lies.get("rp_id", self.rp_id)).encode()).digest()
        flags |= USER_PRESENT if lies.get("user_present", True) else 0
        flags |= USER_VERIFIED if lies.get("user_verified", self.verifies_user) else 0
        flags |= BACKUP_ELIGIBLE | BACKED_UP if lies.get("is_synced", self.is_synced) else 0
        return rp_id_hash + bytes([flags]) + int(lies.get("count", key.count)).to_bytes(4, "big")

    def _client_data(self, kind: str, options: dict[str, Any], lies: dict[str, Any]) -> bytes:
        members = {
            "type": lies.get("type", kind),
            "challenge": lies.get("challenge", options["challenge"]),
            "origin": lies.get("origin", self.origin),
            "crossOrigin": lies.get("cross_origin", False),
        }
        return json.dumps(members).encode()

    def _answer(self, key: Key, response: dict[str, Any]) -> str:
        identifier = encode(key.credential_id)
        return json.dumps({"id": identifier, "rawId": identifier, "type": "public-key", "response": response})


def encode(raw: bytes) -> str:
    """As WebAuthn's JSON has bytes: base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """What `encode` encoded."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
