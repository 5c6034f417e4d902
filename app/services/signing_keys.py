"""The server's keys in memory: parsed once, replaced as a whole when the database says that they changed.

Those that sign, and those to which clients encrypt what they ask. Both live in one table and rotate by one code.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.services.seals import Seals
from app.specs.rfc7517_jwk import (
    PrivateKey,
    PublicKey,
    generate_private_jwk,
    import_private_jwk,
    import_public_jwk,
    public_members,
)
from app.storage.signing_keys import DECRYPTION_ALGORITHMS, PUBLISHED_STATES, KeyState, SigningKeyRow

# One of each always: access tokens are signed by the resource's algorithm, ID tokens by the client's.
ALGORITHMS = ("ES256", "RS256")

_TABLE = "signing_keys"


class NoSigningKey(Exception):
    """No active key for the algorithm: our own fault, a 503."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveKey:
    """A key that signs, and until when it may."""

    key: PrivateKey
    active_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeys:
    """One consistent view of the keys. Immutable: a change makes a new one.

    `published` verify. `decryption` holds retired keys too, after those in use.
    """

    active: Mapping[str, ActiveKey]
    published: Mapping[str, PublicKey]
    decryption: tuple[PrivateKey, ...]
    jwks: bytes
    etag: str

    def get_active(self, alg: str) -> ActiveKey:
        """The key that signs with `alg`. Raises `NoSigningKey`. Does not judge its age."""
        try:
            return self.active[alg]
        except KeyError:
            raise NoSigningKey(f"there is no active {alg} key") from None

    def find_decryption_keys(self, *, kid: str | None, alg: str) -> tuple[PrivateKey, ...]:
        """The keys that may open what is encrypted by `alg` to `kid`; to any of them where none is named."""
        return tuple(key for key in self.decryption if key.alg == alg and kid in (None, key.kid))


def make_signing_key(seals: Seals, *, alg: str, state: KeyState, now: int) -> SigningKeyRow:
    """A new key, its private half sealed, for `insert_signing_key`."""
    private_jwk = generate_private_jwk(alg)
    while private_jwk["kid"].startswith("-"):
        # `keys revoke KID` would take such a thumbprint for an option.
        private_jwk = generate_private_jwk(alg)
    kid = private_jwk["kid"]
    sealed, seal_key_id = seals.seal("signing_keys", json.dumps(private_jwk).encode(), table=_TABLE, row=kid)
    return SigningKeyRow(
        kid=kid,
        alg=alg,
        state=state,
        public_jwk=public_members(private_jwk),
        sealed_private_jwk=sealed,
        seal_key_id=seal_key_id,
        published_at=now,
        active_at=now if state == "active" else None,
    )


def open_signing_keys(
    seals: Seals, rows: Iterable[SigningKeyRow], *, known: "SigningKeys | None" = None
) -> SigningKeys:
    """The keys of `rows`, opened. What `known` has parsed already is taken from there.

    Raises `SealError` when an active key does not open.
    """
    rows = tuple(rows)
    known_keys = [] if known is None else [*(entry.key for entry in known.active.values()), *known.decryption]
    parsed = {key.kid: key for key in known_keys}

    def open_private(row: SigningKeyRow) -> PrivateKey:
        return parsed.get(row.kid) or _open_private_key(seals, row)

    signing = [row for row in rows if row.alg in ALGORITHMS]
    to_decrypt = [row for row in rows if row.alg in DECRYPTION_ALGORITHMS and row.state in ("active", "retired")]
    published = [row for row in signing if row.state in PUBLISHED_STATES]
    # A retired key for encryption is not published: nobody new shall encrypt to it.
    documents = [row.public_jwk for row in (*published, *(row for row in to_decrypt if row.state == "active"))]
    jwks = json.dumps({"keys": documents}, separators=(",", ":"), sort_keys=True).encode()
    return SigningKeys(
        active={
            row.alg: ActiveKey(key=open_private(row), active_at=row.active_at)
            for row in signing
            if row.state == "active" and row.sealed_private_jwk is not None and row.active_at is not None
        },
        published={row.kid: import_public_jwk(row.public_jwk) for row in published},
        decryption=tuple(
            open_private(row)
            for row in sorted(to_decrypt, key=lambda row: row.state)
            if row.sealed_private_jwk is not None
        ),
        jwks=jwks,
        etag=f'"{hashlib.sha256(jwks).hexdigest()[:32]}"',
    )


def _open_private_key(seals: Seals, row: SigningKeyRow) -> PrivateKey:
    if row.sealed_private_jwk is None:
        raise NoSigningKey(f"key {row.kid} has no private half")
    opened = seals.unseal("signing_keys", row.sealed_private_jwk, row.seal_key_id, table=_TABLE, row=row.kid)
    return import_private_jwk(json.loads(opened), is_our_own=True)
