"""Client secrets that have to be read back: those that make a MAC (`client_secret_jwt`). All others are digests only.

They are sealed under a key that is derived from the one which digested them and bound to their client and row: a
database alone opens none, and a sealed secret that is moved to another client opens nowhere.
"""

from typing import Final

from app.services.seals import Seals, seal_under, unseal_under
from app.storage.clients import SecretRow

READABLE_METHODS: Final = frozenset({"client_secret_jwt"})
_USE: Final = "client-secrets"
_PURPOSE: Final = "client_secret_jwt"
_TABLE: Final = "client_secrets"


def seal_secret(seals: Seals, secret: str, *, client_pk: int, digest: bytes, digest_key_id: str) -> bytes:
    """The secret for the column `sealed_secret` of its row."""
    key = seals.derive_key(digest_key_id, _USE)
    return seal_under(key, secret.encode(), table=_TABLE, row=_place(client_pk, digest), purpose=_PURPOSE)


def open_secret(seals: Seals, row: SecretRow) -> str:
    """The secret of a row. Raises `SealError` where it is not sealed, or by another deployment, or for another row."""
    key = seals.derive_key(row.digest_key_id, _USE)
    place = _place(row.client_pk, row.digest)
    return unseal_under(key, row.sealed_secret or b"", table=_TABLE, row=place, purpose=_PURPOSE).decode()


def _place(client_pk: int, digest: bytes) -> str:
    return f"{client_pk}/{digest.hex()}"
