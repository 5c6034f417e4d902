"""WebAuthn Level 3 - what a browser brings from an authenticator, read strictly before it is verified.

Section 5.1 (the JSON of a credential), 5.8.1 (the client data) and 6.1 (the authenticator data). Signatures, the
origin, the relying party's hash and the flags are not checked here: `verify_*` in the services does, by the library.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from app.specs.ctap2_cbor import CborError, check_ctap2_cbor, end_of_ctap2_item
from app.specs.rfc4648_base64url import Base64urlError, decode_base64url
from app.specs.strict_json import StrictJsonError, parse_json_object

# An answer has a kilobyte or two; a long RSA key and the longest id make it six.
MAX_CREDENTIAL_CHARACTERS: Final = 16_384
MAX_CREDENTIAL_ID_BYTES: Final = 1023
MAX_TRANSPORTS: Final = 8

_RP_ID_HASH_BYTES, _FLAGS_AT, _HEADER_BYTES, _AAGUID_BYTES = 32, 32, 37, 16
_ATTESTED, _EXTENSIONS = 0x40, 0x80
KNOWN_TRANSPORTS: Final = frozenset({"usb", "nfc", "ble", "smart-card", "hybrid", "internal", "cable"})


class MalformedCredential(ValueError):
    """What was sent is no credential's answer. The message never repeats it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedAnswer:
    """An answer as it came: its whole `document`, and the members that say which challenge and which key it is for."""

    document: dict[str, Any] = field(repr=False)
    credential_id: bytes = field(repr=False)
    challenge: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedAssertion(UnverifiedAnswer):
    """The answer of `navigator.credentials.get()`. `user_handle`: whom the authenticator says the key is for."""

    user_handle: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedAttestation(UnverifiedAnswer):
    """The answer of `navigator.credentials.create()`. `transports`: those that we know among the named ones."""

    transports: tuple[str, ...]


def parse_assertion(raw: str) -> UnverifiedAssertion:
    """Raises `MalformedCredential` for everything but an answer of the form that WebAuthn 5.1 gives it."""
    document, response = _parse(raw)
    authenticator = _member(response, "authenticatorData")
    _member(response, "signature")
    if len(authenticator) < _HEADER_BYTES or authenticator[_FLAGS_AT] & _ATTESTED:
        raise MalformedCredential("the authenticator data are not those of an assertion")
    _check_extensions(authenticator, _HEADER_BYTES)
    handle = response.get("userHandle")
    return UnverifiedAssertion(
        document=document,
        credential_id=_credential_id(document),
        challenge=_challenge(_member(response, "clientDataJSON")),
        user_handle=None if handle is None else _member(response, "userHandle"),
    )


def parse_attestation(raw: str) -> UnverifiedAttestation:
    """As `parse_assertion`, for a new credential. What it attests is looked at for its form only."""
    document, response = _parse(raw)
    attestation = _member(response, "attestationObject")
    try:
        check_ctap2_cbor(attestation)
    except CborError as cause:
        raise MalformedCredential(f"the attestation object: {cause}") from cause
    transports = response.get("transports", [])
    if not isinstance(transports, list) or len(transports) > MAX_TRANSPORTS:
        raise MalformedCredential("transports is no list of a few")
    return UnverifiedAttestation(
        document=document,
        credential_id=_credential_id(document),
        challenge=_challenge(_member(response, "clientDataJSON")),
        transports=tuple(dict.fromkeys(each for each in transports if each in KNOWN_TRANSPORTS)),
    )


def check_attested(authenticator: bytes) -> None:
    """Raises `MalformedCredential` unless authenticator data of a new credential (6.5.1) hold one, and whole."""
    at = _HEADER_BYTES + _AAGUID_BYTES + 2
    if len(authenticator) < at or not authenticator[_FLAGS_AT] & _ATTESTED:
        raise MalformedCredential("the authenticator data hold no new credential")
    length = int.from_bytes(authenticator[at - 2 : at], "big")
    if not 1 <= length <= MAX_CREDENTIAL_ID_BYTES:
        raise MalformedCredential("the credential id has no allowed length")
    try:
        end = end_of_ctap2_item(authenticator, at + length)
    except CborError as cause:
        raise MalformedCredential(f"the credential's key: {cause}") from cause
    _check_extensions(authenticator, end)


def _check_extensions(authenticator: bytes, at: int) -> None:
    end = at
    if authenticator[_FLAGS_AT] & _EXTENSIONS:
        try:
            end = end_of_ctap2_item(authenticator, at)
        except CborError as cause:
            raise MalformedCredential(f"the extensions: {cause}") from cause
    if end != len(authenticator):
        raise MalformedCredential("something stands behind the authenticator data")


def _parse(raw: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        document = parse_json_object(raw, max_bytes=MAX_CREDENTIAL_CHARACTERS)
    except StrictJsonError as cause:
        raise MalformedCredential(f"the credential: {cause}") from cause
    response = document.get("response")
    if not isinstance(response, dict) or document.get("type") != "public-key":
        raise MalformedCredential("the credential is no public key's answer")
    return document, response


def _credential_id(document: dict[str, Any]) -> bytes:
    credential_id = _member(document, "rawId")
    if document.get("id") != document["rawId"] or not 1 <= len(credential_id) <= MAX_CREDENTIAL_ID_BYTES:
        raise MalformedCredential("the credential id is none")
    return credential_id


def _member(members: dict[str, Any], name: str) -> bytes:
    value = members.get(name)
    if not isinstance(value, str) or not value.isascii():
        raise MalformedCredential(f"{name} is missing or no text")
    try:
        return decode_base64url(value.encode())
    except Base64urlError as cause:
        raise MalformedCredential(f"{name} is not base64url") from cause


def _challenge(client_data: bytes) -> bytes:
    # Section 5.8.1.2 leaves room for members that nobody knows yet; nesting deeply is not among what they need.
    try:
        members = parse_json_object(client_data)
    except StrictJsonError as cause:
        raise MalformedCredential(f"the client data: {cause}") from cause
    if members.get("crossOrigin", False) is not False or "topOrigin" in members:
        # We are framed by nobody, so no page of another origin can have asked.
        raise MalformedCredential("the client data tell of a frame in another origin's page")
    if not isinstance(members.get("origin"), str) or not isinstance(members.get("type"), str):
        raise MalformedCredential("the client data name no origin or no type")
    return _member(members, "challenge")
