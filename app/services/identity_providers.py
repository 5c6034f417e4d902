"""Other providers as the server uses them: the operator's document, and the secret by which we are known there."""

from dataclasses import dataclass, field
from typing import Final

from app.services.deployment import Deployment
from app.services.seals import Seals, seal_under, unseal_under
from app.specs.identity_provider_document import IdentityProvider
from app.storage.database import Connection
from app.storage.identity_providers import ProviderRow
from app.storage.identity_providers import find_provider as find_row
from app.storage.identity_providers import list_providers as list_rows

_USE: Final = "identity-providers"
_TABLE: Final = "identity_providers"
_PURPOSE: Final = "client_secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider. `identity` is what, with a subject there, says who somebody is."""

    id: int
    document: IdentityProvider
    is_disabled: bool
    client_secret: str | None = field(repr=False)

    @property
    def name(self) -> str:
        """The segment of its callback's path."""
        return self.document.name

    @property
    def identity(self) -> str:
        """See `IdentityProvider.identity`."""
        return self.document.identity

    @property
    def lets_in(self) -> bool:
        """Whether people sign in by it."""
        return not self.is_disabled and self.document.usable_for == "login"


def find_provider(deployment: Deployment, name: str) -> Provider | None:
    """The provider of a name, a disabled one too."""
    with deployment.database.reading() as connection:
        return find_provider_in(deployment, connection, name)


def find_provider_in(deployment: Deployment, connection: Connection, name: str) -> Provider | None:
    """As `find_provider`, in the caller's transaction."""
    row = find_row(connection, name)
    return None if row is None else read_provider(deployment.seals, row)


def list_providers(deployment: Deployment) -> tuple[Provider, ...]:
    """Every provider that is not disabled, the oldest first."""
    with deployment.database.reading() as connection:
        rows = list_rows(connection)
    return tuple(read_provider(deployment.seals, row) for row in rows if row.disabled_at is None)


def read_provider(seals: Seals, row: ProviderRow) -> Provider:
    """The provider of a row. Raises `SealError` where its secret does not open."""
    secret = None
    if row.sealed_client_secret is not None and row.seal_key_id is not None:
        key = seals.derive_key(row.seal_key_id, _USE)
        secret = unseal_under(key, row.sealed_client_secret, table=_TABLE, row=row.name, purpose=_PURPOSE).decode()
    return Provider(
        id=row.id,
        # It was checked when it came, and every version reads what the ones before it wrote.
        document=IdentityProvider.model_validate(row.document),
        is_disabled=row.disabled_at is not None,
        client_secret=secret,
    )


def seal_client_secret(seals: Seals, secret: str, *, name: str) -> tuple[bytes, str]:
    """The secret for its row, and the id of the key from which the sealing key comes."""
    key_id = seals.digest_key_id
    key = seals.derive_key(key_id, _USE)
    return seal_under(key, secret.encode(), table=_TABLE, row=name, purpose=_PURPOSE), key_id
