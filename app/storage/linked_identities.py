"""Who somebody is at other providers: (issuer, subject) there, a person here; never by an e-mail address."""

import hashlib
import json
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from app.storage.conflicts import refusing_duplicates
from app.storage.tables import identity_providers, linked_identities


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRow:
    """One link, with what its provider is called, and whether people sign in by that."""

    id: int
    provider_id: int
    provider_name: str
    display_name: str
    lets_in: bool
    subject_digest: bytes
    user_id: int
    label: str
    created_at: int
    last_used_at: int | None


_LINKS = select(
    linked_identities.c.id,
    linked_identities.c.provider_id,
    identity_providers.c.name.label("provider_name"),
    identity_providers.c.document,
    identity_providers.c.disabled_at,
    linked_identities.c.subject_digest,
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
    return None if row is None else _read(row)


def list_links(connection: Connection, user_id: int) -> tuple[LinkRow, ...]:
    """Every link of a person, the oldest first."""
    query = _LINKS.where(linked_identities.c.user_id == user_id).order_by(linked_identities.c.id)
    return tuple(_read(row) for row in connection.execute(query).mappings())


def list_subjects(connection: Connection, user_id: int) -> dict[int, str]:
    """Who a person is at the other providers, by the id of the link."""
    query = select(linked_identities.c.id, linked_identities.c.subject).where(linked_identities.c.user_id == user_id)
    return {row[0]: row[1] for row in connection.execute(query)}


def count_ways_in(connection: Connection, user_id: int) -> int:
    """How many links let a person in: not those of providers that are disabled, or only good for linking."""
    return sum(1 for row in list_links(connection, user_id) if row.lets_in)


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


def _read(row: RowMapping) -> LinkRow:
    members = dict(row)
    document, disabled_at = json.loads(members.pop("document")), members.pop("disabled_at")
    return LinkRow(
        **members,
        display_name=document["display_name"],
        lets_in=disabled_at is None and document["usable_for"] == "login",
    )
