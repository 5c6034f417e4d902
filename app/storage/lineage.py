"""Who holds what through whom: the grant behind a token that is exchanged, held while its child is written.

FOR SHARE on the token's own row, beside the grant's: revoking one token changes that row first and looks for what was
exchanged for it in a later statement, so it waits for a child that is being written, and finds it.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select

from app.storage.narrowing import read_snapshot
from app.storage.prepared import Prepared
from app.storage.tables import access_tokens, grants, opaque_tokens, users


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectGrant:
    """The grant that an access token hangs on. `depth`: how often what it came from was exchanged.

    `origin_client_pk`: the machine at the beginning, where there is no person.
    """

    grant_id: str
    user_id: int | None
    user_sub: str | None
    session_id: int | None
    client_pk: int
    origin_client_pk: int | None
    snapshot: dict[str, Any]
    depth: int


def _lock_token(table: Any) -> Prepared:
    return Prepared(
        select(table.c.jti)
        .where(table.c.jti == bindparam("jti"), table.c.revoked_at.is_(None), table.c.expires_at > bindparam("now"))
        .with_for_update(read=True)
    )


_FIND_GRANT = Prepared(
    select(
        grants.c.user_id,
        grants.c.session_id,
        grants.c.client_pk,
        grants.c.origin_client_pk,
        grants.c.snapshot,
        grants.c.depth,
        users.c.sub,
        grants.c.narrowing,
    )
    .select_from(grants.outerjoin(users, users.c.id == grants.c.user_id))
    .where(grants.c.grant_id == bindparam("grant_id"))
)
# An access token of a grant is a JWT or opaque; either has one row.
_LOCK_TOKEN = tuple(_lock_token(table) for table in (access_tokens, opaque_tokens))


def find_subject_grant(connection: Connection, grant_id: str) -> SubjectGrant | None:
    """The grant, alive or not."""
    row = _FIND_GRANT.first(connection, {"grant_id": grant_id})
    if row is None:
        return None
    return SubjectGrant(
        grant_id=grant_id,
        user_id=row[0],
        user_sub=row[6],
        session_id=row[1],
        client_pk=row[2],
        origin_client_pk=row[3],
        snapshot=read_snapshot(row[4], row[7]),
        depth=row[5] or 0,
    )


def find_ancestor_snapshots(connection: Connection, grant_id: str) -> tuple[dict[str, Any], ...]:
    """The snapshots of the grants that this one was exchanged from, the nearest first; without its own."""
    snapshots: list[dict[str, Any]] = []
    parent = connection.execute(select(grants.c.parent_grant_id).where(grants.c.grant_id == grant_id)).scalar()
    while parent is not None:
        query = select(grants.c.snapshot, grants.c.narrowing, grants.c.parent_grant_id)
        snapshot, narrowing, parent = connection.execute(query.where(grants.c.grant_id == parent)).one()
        snapshots.append(read_snapshot(snapshot, narrowing))
    return tuple(snapshots)


def lock_live_token(connection: Connection, jti: bytes, *, now: int) -> bool:
    """Hold an access token until the transaction ends; whether it is alive. What it hangs on is held before it."""
    parameters = {"jti": jti, "now": now}
    return any(lock.first(connection, parameters) is not None for lock in _LOCK_TOKEN)
