"""A person's sessions as they, or an operator, see them, wherever they are signed in."""

from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, and_, func, select

from app.storage.tables import authentication_events, sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSessionRow:
    """One living session. `methods`: of its latest login, in the words of RFC 8176 with spaces between."""

    session_id: int
    created_at: int
    last_used_at: int
    expires_at: int
    methods: str
    sealed_device: bytes | None = field(repr=False)


def list_own_sessions(
    connection: Connection, user_id: int, *, now: int, not_idle_since: int, at_most: int | None
) -> tuple[OwnSessionRow, ...]:
    """The sessions that have neither ended nor been left idle, the one used last first; all for `at_most` None."""
    latest = (
        select(authentication_events.c.method)
        .where(authentication_events.c.session_id == sessions.c.id)
        .order_by(authentication_events.c.at.desc(), authentication_events.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(
            sessions.c.id.label("session_id"),
            sessions.c.created_at,
            sessions.c.last_used_at,
            sessions.c.expires_at,
            func.coalesce(latest, "").label("methods"),
            sessions.c.sealed_device,
        )
        .where(_is_signed_in(user_id, now, not_idle_since))
        .order_by(sessions.c.last_used_at.desc(), sessions.c.id.desc())
        .limit(at_most)
    )
    return tuple(OwnSessionRow(**row) for row in connection.execute(query).mappings())


def count_other_sessions(connection: Connection, user_id: int, *, here: int, now: int, not_idle_since: int) -> int:
    """How many of the sessions that are listed are not the one with the id `here`."""
    query = select(func.count()).where(_is_signed_in(user_id, now, not_idle_since), sessions.c.id != here)
    return int(connection.execute(query).scalar_one())


def _is_signed_in(user_id: int, now: int, not_idle_since: int) -> ColumnElement[bool]:
    return and_(
        sessions.c.user_id == user_id,
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > now,
        sessions.c.last_used_at > not_idle_since,
    )
