"""Clients that are a document on the web: what was fetched last, and until when it counts.

The row is a copy of what somebody else publishes, so it leaves when it is old and nothing hangs on it; what an operator
disabled or removed stays, or a fetch would bring it back.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, ForeignKeyConstraint, Table, delete, exists, func, insert, select, update

from app.storage import changes
from app.storage.clients import ClientRow, find_client
from app.storage.tables import client_metadata_documents, clients, consents, grants, metadata

ORIGIN = "metadata_document"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """The client as it is stored, and the copy that it was made from; `copy` is None where another origin has it."""

    client: ClientRow
    digest: bytes | None
    fetched_at: int
    fresh_until: int


def find_document(connection: Connection, client_id: str) -> StoredDocument | None:
    """What is stored of a client_id, disabled and removed ones too."""
    row = find_client(connection, client_id)
    if row is None:
        return None
    documents = client_metadata_documents
    query = select(documents.c.document_digest, documents.c.fetched_at, documents.c.fresh_until)
    copy = connection.execute(query.where(documents.c.client_pk == row.id)).first()
    if copy is None:
        return StoredDocument(client=row, digest=None, fetched_at=0, fresh_until=0)
    return StoredDocument(client=row, digest=copy[0], fetched_at=copy[1], fresh_until=copy[2])


def insert_document(
    connection: Connection, client_pk: int, *, digest: bytes, fetched_at: int, fresh_until: int
) -> None:
    """The first copy."""
    connection.execute(
        insert(client_metadata_documents).values(
            client_pk=client_pk, document_digest=digest, fetched_at=fetched_at, fresh_until=fresh_until
        )
    )


def renew_document(connection: Connection, client_pk: int, *, digest: bytes, fetched_at: int, fresh_until: int) -> None:
    """A newer copy."""
    connection.execute(
        update(client_metadata_documents)
        .where(client_metadata_documents.c.client_pk == client_pk)
        .values(document_digest=digest, fetched_at=fetched_at, fresh_until=fresh_until)
    )


def set_metadata(connection: Connection, client_pk: int, metadata_: Mapping[str, Any]) -> None:
    """What the newer copy says of the client."""
    text = json.dumps(metadata_, sort_keys=True, separators=(",", ":"))
    connection.execute(update(clients).where(clients.c.id == client_pk).values(metadata=text))


def set_policy(connection: Connection, client_pk: int, policy: Mapping[str, Any]) -> None:
    """What the operator decided about such clients since; what people said to the client before is asked again."""
    text = json.dumps(policy, sort_keys=True, separators=(",", ":"))
    newer = {"policy": text, "policy_version": clients.c.policy_version + 1}
    connection.execute(update(clients).where(clients.c.id == client_pk).values(newer))


def count_documents(connection: Connection) -> int:
    """How many clients are documents; those that were removed are not counted."""
    query = select(func.count()).where(clients.c.origin == ORIGIN, clients.c.removed_at.is_(None))
    count: int = connection.execute(query).scalar_one()
    return count


def delete_unused_documents(connection: Connection, *, fresh_before: int | None = None, at_most: int) -> int:
    """Drop clients to which nothing belongs, the oldest copies first, and tell running servers; how many left.

    `fresh_before`: only those whose copy had ceased to be fresh by then; None for all.
    """
    documents = client_metadata_documents
    unused = (
        select(documents.c.client_pk)
        .join(clients, clients.c.id == documents.c.client_pk)
        .where(clients.c.origin == ORIGIN, clients.c.disabled_at.is_(None), clients.c.removed_at.is_(None))
        .where(*(~exists().where(column == documents.c.client_pk) for column in _referring_columns()))
    )
    if fresh_before is not None:
        unused = unused.where(documents.c.fresh_until < fresh_before)
    oldest = unused.order_by(documents.c.fetched_at, documents.c.client_pk).limit(at_most)
    found = connection.execute(oldest).scalars().all()
    if not found:
        return 0
    # Before the clients' own rows: all who change clients lock in this order.
    changes.bump(connection, "clients")
    lock = select(clients.c.id).where(clients.c.id.in_(found)).with_for_update(skip_locked=True)
    locked = connection.execute(lock).scalars().all()
    # Once more, with the rows in hand: somebody may have come to use one meanwhile.
    left = connection.execute(unused.where(clients.c.id.in_(locked))).scalars().all()
    connection.execute(delete(documents).where(documents.c.client_pk.in_(left)))
    connection.execute(delete(clients).where(clients.c.id.in_(left)))
    return len(left)


def _referring_columns() -> list[Any]:
    """Every column that names a client, those first in which a client that is used is found at once."""
    tables: list[Table] = [consents, grants, *(t for t in metadata.sorted_tables if t not in (consents, grants))]
    return [
        constraint.columns.values()[0]
        for table in tables
        if table is not client_metadata_documents
        for constraint in sorted(
            (each for each in table.constraints if isinstance(each, ForeignKeyConstraint)), key=lambda each: str(each)
        )
        if constraint.referred_table is clients
    ]
