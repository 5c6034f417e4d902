"""Who somebody is at other providers: (issuer, subject) there, a person here; never by an e-mail address."""

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from app.storage.conflicts import refusing_duplicates
from app.storage.tables import identity_providers, linked_identities


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRow:
    """One link. `provider_name` and `provider_is_disabled` are the provider's."""

    id: int
    provider_id: int
    provider_name: str
    provider_is_disabled: bool
    user_id: int
    label: str
    created_at: int
    last_used_at: int | None


_LINKS = select(
    linked_identities.c.id,
    linked_identities.c.provider_id,
    identity_providers.c.name.label("provider_name"),
    identity_providers.c.disabled_at.is_not(None).label("provider_is_disabled"),
    linked_identities.c.user_id,
    linked_identities.c.label,
    linked_identities.c.created_at,
    linked_identities.c.last_used_at,
).join(identity_providers, identity_providers.c.id == linked_identities.c.provider_id)


def digest_subject(issuer: str, subject: str) -> bytes:
    """What stands for (issuer, subject): subjects may be long, and mean nothing without their issuer."""
    return hashlib.sha256(f"{len(issuer)}\0{issuer}\0{subject}".encode("utf-8", "surrogatepass")).digest()


def insert_link(
    connection: Connection, *, provider_id: int, issuer: str, subject: str, user_id: int, label: str, now: int
) -> int:
    """A new link. Raises `AlreadyTaken` where somebody has it."""
    statement = insert(linked_identities).values(
        provider_id=provider_id,
        subject_digest=digest_subject(issuer, subject),
        subject=subject,
        user_id=user_id,
        label=label,
        created_at=now,
    )
    with refusing_duplicates():
        link_id: int = connection.execute(statement.returning(linked_identities.c.id)).scalar_one()
    return link_id


def find_link(connection: Connection, *, provider_id: int, issuer: str, subject: str) -> LinkRow | None:
    """Who somebody at a provider is here; None for nobody."""
    query = _LINKS.where(
        linked_identities.c.provider_id == provider_id,
        linked_identities.c.subject_digest == digest_subject(issuer, subject),
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else LinkRow(**row)


def list_links(connection: Connection, user_id: int) -> tuple[LinkRow, ...]:
    """Every link of a person, the oldest first."""
    query = _LINKS.where(linked_identities.c.user_id == user_id).order_by(linked_identities.c.id)
    return tuple(LinkRow(**row) for row in connection.execute(query).mappings())


def touch_link(connection: Connection, link_id: int, *, label: str, now: int) -> None:
    """Somebody came by it, and is called so there now."""
    statement = update(linked_identities).where(linked_identities.c.id == link_id)
    connection.execute(statement.values(label=label, last_used_at=now))


def delete_link(connection: Connection, link_id: int, *, user_id: int) -> bool:
    """Whether it was there, and this person's."""
    statement = delete(linked_identities).where(
        linked_identities.c.id == link_id, linked_identities.c.user_id == user_id
    )
    return connection.execute(statement).rowcount == 1
