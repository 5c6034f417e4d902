"""The envelope: the key-encryption key (KEK) wraps data keys, and these seal and digest what the database holds.

AES-256-GCM with random nonces; the associated data names table, row, purpose and key, so that a sealed value moved to
another place does not open. Digests are HMAC-SHA-256(key, type || 0 || secret): one secret type's digest is never
another's. Only `make_kek` makes a KEK, and only `tokenhouse init` calls it.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.storage.sealed_keys import SealedKeyRow

KEK_FILE = "key-encryption-key"
PURPOSES = ("digest", "signing_keys", "audit_events")

_HEADER = "tokenhouse-kek-v1:"
_NONCE_BYTES = 12


class SealError(Exception):
    """A sealed value did not open: another key, another place, or altered bytes."""


class KekError(Exception):
    """The key-encryption key cannot be used; the message says which file and why."""


@dataclass(frozen=True, slots=True)
class Kek:
    """The key-encryption key of this deployment."""

    key: bytes = field(repr=False)
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """A secret of ours in the hand of who presents it, and the key under which it was digested."""

    secret_type: str
    secret: str = field(repr=False)
    digest_key_id: str


def kek_path(keys_dir: Path) -> Path:
    """Where the key-encryption key of a deployment lies."""
    return keys_dir / KEK_FILE


def make_kek(keys_dir: Path) -> Kek:
    """A new KEK, written with mode 0400. Raises `KekError` if there is a file already or it cannot be written."""
    path = kek_path(keys_dir)
    key = secrets.token_bytes(32)
    try:
        keys_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        # O_EXCL: a key that is there already is somebody's only way to their data.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(_HEADER + base64.urlsafe_b64encode(key).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        # The file's name too must survive a power loss: the database is about to depend on it.
        directory = os.open(keys_dir, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    except OSError as error:
        raise KekError(f"{path}: the key-encryption key cannot be written: {error.strerror}") from error
    return Kek(key, _fingerprint(key))


def read_kek(keys_dir: Path, *, expected_fingerprint: str | None = None) -> Kek:
    """The KEK in `keys_dir`. Raises `KekError` when it is missing, unreadable, corrupt or another deployment's."""
    path = kek_path(keys_dir)
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise KekError(
            f"{path}: the key-encryption key is missing; restore it from your copy of TOKENHOUSE_KEYS_DIR"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a key file"
        raise KekError(f"{path}: the key-encryption key cannot be read: {reason}") from None
    try:
        if not text.startswith(_HEADER) or not text.endswith("\n"):
            raise ValueError
        key = base64.b64decode(text.removeprefix(_HEADER).strip(), altchars=b"-_", validate=True)
        if len(key) != 32:
            raise ValueError
    except (ValueError, binascii.Error):
        raise KekError(f"{path}: the key-encryption key is corrupt") from None
    kek = Kek(key, _fingerprint(key))
    if expected_fingerprint is not None and kek.fingerprint != expected_fingerprint:
        raise KekError(
            f"{path}: this is not the key-encryption key of this database (it has {kek.fingerprint}, "
            f"the database was made with {expected_fingerprint})"
        )
    return kek


def make_data_keys(kek: Kek, *, now: int) -> tuple[SealedKeyRow, ...]:
    """A new data key per purpose, wrapped by the KEK, for `insert_sealed_key`."""
    rows = []
    for purpose in PURPOSES:
        key_id = secrets.token_hex(8)
        rows.append(
            SealedKeyRow(
                key_id=key_id,
                purpose=purpose,
                kek_fingerprint=kek.fingerprint,
                sealed_key=_seal(kek.key, secrets.token_bytes(32), _associated("sealed_keys", key_id, purpose, "kek")),
                created_at=now,
                retired_at=None,
            )
        )
    return tuple(rows)


class Seals:
    """The opened data keys. Never shows a key; `digest` and `seal` use the newest, reading knows all."""

    def __init__(self, kek: Kek, rows: Iterable[SealedKeyRow]) -> None:
        self._keys: dict[str, bytes] = {}
        self._newest: dict[str, str] = {}
        digest_keys: list[tuple[str, bytes]] = []
        for row in rows:
            associated = _associated("sealed_keys", row.key_id, row.purpose, "kek")
            key = _unseal(kek.key, row.sealed_key, associated)
            self._keys[row.key_id] = key
            self._newest[row.purpose] = row.key_id
            if row.purpose == "digest":
                digest_keys.append((row.key_id, key))
        missing = [purpose for purpose in PURPOSES if purpose not in self._newest]
        if missing:
            raise SealError(f"the database has no data key for {', '.join(missing)}")
        # The newest first: nearly every look-up finds its row under it.
        self._digest_keys = tuple(reversed(digest_keys))

    def __repr__(self) -> str:
        return f"Seals({len(self._keys)} keys)"

    @property
    def digest_key_id(self) -> str:
        """The key under which new digests are made."""
        return self._digest_keys[0][0]

    def digest(self, secret_type: str, secret: str) -> tuple[bytes, str]:
        """The digest of `secret` under the newest key, and that key's id."""
        key_id, key = self._digest_keys[0]
        return hmac.digest(key, f"{secret_type}\0{secret}".encode(), "sha256"), key_id

    def digests(self, secret_type: str, secret: str) -> tuple[bytes, ...]:
        """The digests of `secret` under every live key, the newest first."""
        message = f"{secret_type}\0{secret}".encode()
        return tuple(hmac.digest(key, message, "sha256") for _, key in self._digest_keys)

    def derive_keys(self, use: str) -> tuple[bytes, ...]:
        """A key for `use` from every live digest key, the newest first: the same on every node, and stored nowhere."""
        return tuple(hmac.digest(key, f"derived-key\0{use}".encode(), "sha256") for _, key in self._digest_keys)

    def derive_key(self, key_id: str, use: str) -> bytes:
        """The key for `use` from one digest key. Raises `SealError` where that is not at hand."""
        for known_id, key in self._digest_keys:
            if known_id == key_id:
                return hmac.digest(key, f"derived-key\0{use}".encode(), "sha256")
        raise SealError(f"no digest key {key_id}")

    def seal(self, purpose: str, plaintext: bytes, *, table: str, row: str) -> tuple[bytes, str]:
        """`plaintext` sealed under the purpose's newest key and bound to its place, and that key's id."""
        key_id = self._newest[purpose]
        return _seal(self._keys[key_id], plaintext, _associated(table, row, purpose, key_id)), key_id

    def unseal(self, purpose: str, sealed: bytes, key_id: str, *, table: str, row: str) -> bytes:
        """What `seal` sealed. Raises `SealError`."""
        if key_id not in self._keys:
            raise SealError(f"no data key {key_id}")
        return _unseal(self._keys[key_id], sealed, _associated(table, row, purpose, key_id))

    def seal_for_bearer(self, bearer: Bearer, plaintext: bytes, *, table: str, row: str) -> bytes:
        """`plaintext` sealed so that it opens only to this server together with who presents the bearer's secret.

        Neither the database with every key of ours is enough, nor the database with the secret.
        """
        associated = _associated(table, row, f"bearer of {bearer.secret_type}", bearer.digest_key_id)
        return _seal(self._bearer_key(bearer), plaintext, associated)

    def unseal_for_bearer(self, bearer: Bearer, sealed: bytes, *, table: str, row: str) -> bytes:
        """What `seal_for_bearer` sealed. Raises `SealError`."""
        associated = _associated(table, row, f"bearer of {bearer.secret_type}", bearer.digest_key_id)
        return _unseal(self._bearer_key(bearer), sealed, associated)

    def _bearer_key(self, bearer: Bearer) -> bytes:
        server_key = dict(self._digest_keys).get(bearer.digest_key_id)
        if server_key is None:
            raise SealError(f"no digest key {bearer.digest_key_id}")
        # From the digest key, so that deployments made before this have it too; the label keeps the two uses apart.
        label = f"tokenhouse seal for bearer\0{bearer.secret_type}".encode()
        derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=label)
        return derivation.derive(server_key + bearer.secret.encode())


def seal_under(key: bytes, plaintext: bytes, *, table: str, row: str, purpose: str) -> bytes:
    """`plaintext` sealed under a key that is itself sealed, such as a person's."""
    return _seal(key, plaintext, _associated(table, row, purpose, "own"))


def unseal_under(key: bytes, sealed: bytes, *, table: str, row: str, purpose: str) -> bytes:
    """What `seal_under` sealed. Raises `SealError`."""
    return _unseal(key, sealed, _associated(table, row, purpose, "own"))


def _associated(table: str, row: str, purpose: str, key_id: str) -> bytes:
    return "\0".join((table, row, purpose, key_id)).encode()


def _seal(key: bytes, plaintext: bytes, associated: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, associated)


def _unseal(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], associated)
    except (InvalidTag, ValueError) as error:
        raise SealError("a sealed value does not open") from error


def _fingerprint(key: bytes) -> str:
    return hashlib.sha256(b"tokenhouse-kek\0" + key).hexdigest()[:16]
