"""Which sessions came from another provider: so that they end with a logout there, and can offer one."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, insert, select

from app.storage.tables import sessions, upstream_sessions, users


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSessionRow:
    """Where a session came from; `sealed_id_token` holds what a logout there needs."""

    session_id: int
    provider_id: int
    subject_digest: bytes
    sid: str | None
    sealed_id_token: bytes | None = field(repr=False)
    seal_key_id: str | None


def replace_upstream_session(connection: Connection, row: UpstreamSessionRow) -> None:
    """The session comes from there, whatever was known of it before."""
    connection.execute(delete(upstream_sessions).where(upstream_sessions.c.session_id == row.session_id))
    connection.execute(insert(upstream_sessions), {name: getattr(row, name) for name in row.__slots__})


def find_upstream_sessions(connection: Connection, session_ids: Sequence[int]) -> tuple[UpstreamSessionRow, ...]:
    """Where sessions came from, those of them that came from somewhere."""
    query = select(upstream_sessions).where(upstream_sessions.c.session_id.in_(session_ids))
    rows = connection.execute(query.order_by(upstream_sessions.c.session_id)).mappings()
    return tuple(UpstreamSessionRow(**row) for row in rows)


def lock_live_upstream_sessions(
    connection: Connection, *, provider_id: int, subject_digest: bytes | None, sid: str | None, now: int
) -> tuple[tuple[int, str], ...]:
    """(session, its person's subject here) of what a provider means by a `sid`, a subject or both; held until the
    transaction ends.
    """
    query = (
        select(sessions.c.id, users.c.sub)
        .join(upstream_sessions, upstream_sessions.c.session_id == sessions.c.id)
        .join(users, users.c.id == sessions.c.user_id)
        .where(
            upstream_sessions.c.provider_id == provider_id,
            sessions.c.revoked_at.is_(None),
            sessions.c.expires_at > now,
        )
    )
    if subject_digest is not None:
        query = query.where(upstream_sessions.c.subject_digest == subject_digest)
    if sid is not None:
        query = query.where(upstream_sessions.c.sid == sid)
    rows = connection.execute(query.order_by(sessions.c.id).with_for_update(of=sessions))
    return tuple((row.id, row.sub) for row in rows)
