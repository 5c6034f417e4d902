"""What an authenticator signed, verified by the library `webauthn` (WebAuthn 7.1 and 7.2): the only place that uses it.

Whether the challenge is ours, whose key it is and whether its count of signatures goes on is decided by the callers.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from webauthn import verify_authentication_response, verify_registration_response
from webauthn.helpers import (
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    parse_cbor,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import CredentialDeviceType

from app.specs.rfc4648_base64url import decode_base64url
from app.specs.webauthn_credentials import UnverifiedAssertion, UnverifiedAttestation, check_attested
from app.storage.passkeys import PasskeyRow

ALGORITHMS: Final = (
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
)
_RSA_BITS: Final = range(2048, 4097)
_MAX_RSA_EXPONENT: Final = 2**32


class PasskeyInvalid(Exception):
    """What was sent does not hold; the message is for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAttestation:
    """A new key, as its authenticator describes it. The AAGUID is the authenticator's own word."""

    credential_id: bytes = field(repr=False)
    public_key: bytes = field(repr=False)
    sign_count: int
    aaguid: str
    is_backup_eligible: bool
    is_backed_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAssertion:
    """A use of a key that its owner was there for. `is_user_verified`: by a PIN, a finger, a face."""

    sign_count: int
    is_user_verified: bool
    is_backed_up: bool


def verify_attestation(
    answer: UnverifiedAttestation, *, rp_id: str, origin: str, needs_user_verification: bool
) -> VerifiedAttestation:
    """Raises `PasskeyInvalid`. The challenge is taken as the answer names it: the caller has checked it.

    No authenticator is asked to attest to what it is, so none that tries is believed: beside `none` only what a browser
    leaves in place under it, a signature by the new key itself, is taken.
    """
    response: dict[str, Any] = answer.document["response"]
    try:
        attested: Any = parse_cbor(decode_base64url(response["attestationObject"].encode()))
        check_attested(attested["authData"])
        if attested["fmt"] not in ("none", "packed") or "x5c" in attested["attStmt"]:
            raise PasskeyInvalid(f"an attestation that was not asked for: {str(attested['fmt'])[:40]}")
        verified = verify_registration_response(
            credential=answer.document,
            expected_challenge=answer.challenge,
            expected_rp_id=rp_id,
            expected_origin=origin,
            require_user_verification=needs_user_verification,
            supported_pub_key_algs=list(ALGORITHMS),
        )
        _check_key(verified.credential_public_key)
    except PasskeyInvalid:
        raise
    except Exception as cause:
        # Broad, because the library lets through whatever its parsers raise on others' bytes.
        raise PasskeyInvalid(f"{type(cause).__name__}: {cause}"[:300]) from cause
    if verified.credential_id != answer.credential_id:
        raise PasskeyInvalid("the credential id is not the one that was attested")
    return VerifiedAttestation(
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        aaguid=verified.aaguid,
        is_backup_eligible=verified.credential_device_type == CredentialDeviceType.MULTI_DEVICE,
        is_backed_up=verified.credential_backed_up,
    )


def verify_assertion(
    answer: UnverifiedAssertion, passkey: PasskeyRow, *, rp_id: str, origin: str, needs_user_verification: bool
) -> VerifiedAssertion:
    """Raises `PasskeyInvalid`. The challenge is taken as the answer names it, and the count of signatures as it comes:
    the caller has checked the one and will compare the other.
    """
    try:
        verified = verify_authentication_response(
            credential=answer.document,
            expected_challenge=answer.challenge,
            expected_rp_id=rp_id,
            expected_origin=origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=0,
            require_user_verification=needs_user_verification,
        )
    except Exception as cause:  # As above.
        raise PasskeyInvalid(f"{type(cause).__name__}: {cause}"[:300]) from cause
    is_backup_eligible = verified.credential_device_type == CredentialDeviceType.MULTI_DEVICE
    if is_backup_eligible != passkey.is_backup_eligible:
        # WebAuthn 7.2: what was decided when the key was made does not change.
        raise PasskeyInvalid("whether the key can be backed up is not what it was")
    return VerifiedAssertion(
        sign_count=verified.new_sign_count,
        is_user_verified=verified.user_verified,
        is_backed_up=verified.credential_backed_up,
    )


def _check_key(encoded: bytes) -> None:
    """Nothing is signed with it under attestation `none`: that it is a key, and no slow one, is seen now or never."""
    key = decoded_public_key_to_cryptography(decode_credential_public_key(encoded))
    match key:
        case EllipticCurvePublicKey():
            is_fit = isinstance(key.curve, SECP256R1)
        case Ed25519PublicKey():
            is_fit = True
        case RSAPublicKey():
            is_fit = key.key_size in _RSA_BITS and key.public_numbers().e < _MAX_RSA_EXPONENT
        case _:
            is_fit = False
    if not is_fit:
        raise PasskeyInvalid("a key of a kind or a size that was not asked for")
