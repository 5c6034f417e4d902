"""Other providers whose logins count here, and the e-mail domains that belong to them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from app.storage.conflicts import refusing_duplicates
from app.storage.tables import identity_provider_domains, identity_providers


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRow:
    """One provider; `issuer` is what, with a subject, says who somebody is there."""

    id: int
    name: str
    kind: str
    issuer: str
    document: dict[str, Any]
    sealed_client_secret: bytes | None = field(repr=False)
    seal_key_id: str | None
    created_at: int
    disabled_at: int | None


_LIST = select(identity_providers).order_by(identity_providers.c.created_at, identity_providers.c.id)


def insert_provider(
    connection: Connection,
    *,
    name: str,
    kind: str,
    issuer: str,
    document: Mapping[str, Any],
    sealed_client_secret: bytes | None,
    seal_key_id: str | None,
    created_at: int,
) -> int:
    """The id of the new provider. Raises `AlreadyTaken` for a name that is."""
    statement = insert(identity_providers).values(
        name=name,
        kind=kind,
        issuer=issuer,
        document=json.dumps(document, sort_keys=True, separators=(",", ":")),
        sealed_client_secret=sealed_client_secret,
        seal_key_id=seal_key_id,
        created_at=created_at,
    )
    with refusing_duplicates():
        provider_id: int = connection.execute(statement.returning(identity_providers.c.id)).scalar_one()
    return provider_id


def insert_domains(connection: Connection, provider_id: int, domains: Sequence[str]) -> None:
    """The domains are this provider's. Raises `AlreadyTaken` where one is another's."""
    rows = [{"domain": domain, "provider_id": provider_id} for domain in domains]
    if rows:
        with refusing_duplicates():
            connection.execute(insert(identity_provider_domains), rows)


def list_providers(connection: Connection) -> tuple[ProviderRow, ...]:
    """Every provider, the oldest first."""
    return tuple(_read(row) for row in connection.execute(_LIST).mappings())


def find_provider(connection: Connection, name: str) -> ProviderRow | None:
    """The provider of a name, a disabled one too."""
    row = connection.execute(_LIST.where(identity_providers.c.name == name)).mappings().first()
    return None if row is None else _read(row)


def set_provider_disabled(connection: Connection, provider_id: int, disabled_at: int | None) -> None:
    """Disable (a time) or enable (None)."""
    statement = update(identity_providers).where(identity_providers.c.id == provider_id)
    connection.execute(statement.values(disabled_at=disabled_at))


def _read(row: RowMapping) -> ProviderRow:
    return ProviderRow(**{**row, "document": json.loads(row["document"])})
