"""What a client registered to have encrypted: its ID tokens, its userinfo; to a key that it published."""

from dataclasses import dataclass
from typing import Final

from app.services.client_registry import Client
from app.services.deployment import Deployment
from app.specs.protocol_error import InvalidRequest
from app.specs.rfc7516_jwe import encrypt_jwe
from app.specs.rfc7517_jwk import PublicKey

DEFAULT_ENC: Final = "A128CBC-HS256"
"""OpenID Connect Registration 2: the content encryption where only the key management is registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A client's key and the algorithms that it registered."""

    key: PublicKey
    alg: str
    enc: str

    def seal(self, content: bytes, *, is_jwt: bool) -> str:
        """The encrypted content. RFC 7519 5.2: `cty` says that a signed token is within."""
        return encrypt_jwe(content, self.key, alg=self.alg, enc=self.enc, cty="JWT" if is_jwt else None)


def find_id_token_envelope(deployment: Deployment, client: Client) -> Envelope | None:
    """What the client's ID tokens go into; None where they go open. Raises `InvalidRequest` without a key that fits.

    May fetch the keys, so not to be called within a transaction. Raises `TemporarilyUnavailable` where that must wait.
    """
    metadata = client.metadata
    return _find(deployment, client, metadata.id_token_encrypted_response_alg, metadata.id_token_encrypted_response_enc)


def find_userinfo_envelope(deployment: Deployment, client: Client) -> Envelope | None:
    """As `find_id_token_envelope`, for userinfo."""
    metadata = client.metadata
    return _find(deployment, client, metadata.userinfo_encrypted_response_alg, metadata.userinfo_encrypted_response_enc)


def _find(deployment: Deployment, client: Client, alg: str | None, enc: str | None) -> Envelope | None:
    if alg is None:
        return None
    key = deployment.client_keys.find_encryption_key(client, alg=alg)
    if key is None:
        # Never open instead: who registered for encryption relies on it.
        raise InvalidRequest("the client publishes no key to encrypt to", detail=f"none of its keys is for {alg}")
    return Envelope(key=key, alg=alg, enc=enc or DEFAULT_ENC)
