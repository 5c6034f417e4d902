"""What people decided: one row per (person, client, resource, scope), allowed or declined."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from app.storage.prepared import Prepared
from app.storage.tables import consents

Decision = Literal["allowed", "declined"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRow:
    """A remembered decision. `details_digest`: of the authorization details that were asked for with it.

    `client_identity_digest`: who the client was, where that is what a document on the web says. `client_shown`: what
    the person saw of it, in JSON. `decided_at` is written by `remember_consents`.
    """

    resource: str
    scope: str
    decision: Decision
    policy_version: int
    expires_at: int | None
    details_digest: bytes | None = None
    client_identity_digest: bytes | None = None
    client_shown: str | None = None
    decided_at: int = 0


_FIND = Prepared(
    select(
        consents.c.resource,
        consents.c.scope,
        consents.c.decision,
        consents.c.policy_version,
        consents.c.expires_at,
        consents.c.details_digest,
        consents.c.client_identity_digest,
        consents.c.client_shown,
        consents.c.decided_at,
    ).where(
        consents.c.user_id == bindparam("user_id"),
        consents.c.client_pk == bindparam("client_pk"),
        (consents.c.expires_at.is_(None)) | (consents.c.expires_at > bindparam("now")),
    )
)


def find_consents(connection: Connection, *, user_id: int, client_pk: int, now: int) -> tuple[ConsentRow, ...]:
    """The decisions that still hold."""
    rows = _FIND.run(connection, {"user_id": user_id, "client_pk": client_pk, "now": now})
    return tuple(
        ConsentRow(
            resource=row[0],
            scope=row[1],
            decision=row[2],
            policy_version=row[3],
            expires_at=row[4],
            details_digest=row[5],
            client_identity_digest=row[6],
            client_shown=row[7],
            decided_at=row[8],
        )
        for row in rows
    )


def remember_consents(
    connection: Connection, rows: Iterable[ConsentRow], *, user_id: int, client_pk: int, now: int
) -> None:
    """Write decisions over older ones."""
    upsert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    statement = upsert(consents)
    statement = statement.on_conflict_do_update(
        index_elements=["user_id", "client_pk", "resource", "scope"],
        set_={
            name: statement.excluded[name]
            for name in (
                "decision",
                "details_digest",
                "client_identity_digest",
                "client_shown",
                "policy_version",
                "decided_at",
                "expires_at",
            )
        },
    )
    values = [
        {
            "user_id": user_id,
            "client_pk": client_pk,
            "resource": row.resource,
            "scope": row.scope,
            "decision": row.decision,
            "details_digest": row.details_digest,
            "client_identity_digest": row.client_identity_digest,
            "client_shown": row.client_shown,
            "policy_version": row.policy_version,
            "decided_at": now,
            "expires_at": row.expires_at,
        }
        for row in rows
    ]
    if values:
        connection.execute(statement, values)
