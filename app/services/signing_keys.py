"""The signing keys in memory: parsed once, replaced as a whole when the database says that they changed."""

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
from app.storage.signing_keys import PUBLISHED_STATES, KeyState, SigningKeyRow

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
    """One consistent view of the keys. Immutable: a change makes a new one."""

    active: Mapping[str, ActiveKey]
    published: Mapping[str, PublicKey]
    jwks: bytes
    etag: str

    def get_active(self, alg: str) -> ActiveKey:
        """The key that signs with `alg`. Raises `NoSigningKey`. Does not judge its age."""
        try:
            return self.active[alg]
        except KeyError:
            raise NoSigningKey(f"there is no active {alg} key") from None


def make_signing_key(seals: Seals, *, alg: str, state: KeyState, now: int) -> SigningKeyRow:
    """A new key, its private half sealed, for `insert_signing_key`."""
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
    active: dict[str, ActiveKey] = {}
    published: dict[str, PublicKey] = {}
    documents = []
    parsed = {} if known is None else {entry.key.kid: entry.key for entry in known.active.values()}
    for row in rows:
        if row.state not in PUBLISHED_STATES:
            continue
        documents.append(row.public_jwk)
        published[row.kid] = import_public_jwk(row.public_jwk)
        if row.state == "active" and row.sealed_private_jwk is not None and row.active_at is not None:
            key = parsed.get(row.kid) or _open_private_key(seals, row)
            active[row.alg] = ActiveKey(key=key, active_at=row.active_at)
    jwks = json.dumps({"keys": documents}, separators=(",", ":"), sort_keys=True).encode()
    etag = f'"{hashlib.sha256(jwks).hexdigest()[:32]}"'
    return SigningKeys(active=active, published=published, jwks=jwks, etag=etag)


def _open_private_key(seals: Seals, row: SigningKeyRow) -> PrivateKey:
    if row.sealed_private_jwk is None:
        raise NoSigningKey(f"key {row.kid} has no private half")
    opened = seals.unseal("signing_keys", row.sealed_private_jwk, row.seal_key_id, table=_TABLE, row=row.kid)
    return import_private_jwk(json.loads(opened), is_our_own=True)
