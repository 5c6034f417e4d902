"""Where a person is signed in, and signing out there. Whatever is not theirs looks as if it did not exist."""

import hmac
from dataclasses import dataclass

from app.services.deployment import Deployment
from app.services.end_session import end_sessions
from app.services.known_devices import forget_known_devices
from app.services.own_account import Person
from app.services.seals import SealError
from app.storage.account_sessions import OwnSessionRow, count_other_sessions, list_own_sessions
from app.storage.database import Connection
from app.storage.sessions import SessionRow, lock_live_sessions_of_user

MOST_SESSIONS_SHOWN = 200


class UnknownSession(Exception):
    """There is no such living session of this person; one of another person's looks the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSession:
    """One session. `reference` names it in a form; times in milliseconds; `address` is None where it is not known."""

    session_id: int
    reference: str
    is_here: bool
    created_at: int
    last_used_at: int
    expires_at: int
    methods: tuple[str, ...]
    address: str | None
    user_agent: str


def list_sessions(deployment: Deployment, person: SessionRow) -> tuple[OwnSession, ...]:
    """Everywhere they are signed in, the session in which they ask first."""
    found = list_devices(deployment, person, here=person.session_id)
    return tuple(sorted(found, key=lambda session: not session.is_here))


def list_devices(
    deployment: Deployment, person: Person, *, here: int | None = None, at_most: int | None = MOST_SESSIONS_SHOWN
) -> tuple[OwnSession, ...]:
    """Everywhere they are signed in, where they were last first; all of it for `at_most` None."""
    now = deployment.clock()
    not_idle_since = _not_idle_since(deployment, now)
    with deployment.database.reading() as connection:
        rows = list_own_sessions(connection, person.user_id, now=now, not_idle_since=not_idle_since, at_most=at_most)
        return tuple(_read(deployment, connection, person, row, here=here) for row in rows)


def count_others(deployment: Deployment, person: SessionRow) -> int:
    """In how many other sessions they are signed in: as many as are listed."""
    with deployment.database.reading() as connection:
        return _count_others(deployment, connection, person, now=deployment.clock())


def end_others(deployment: Deployment, person: SessionRow, *, device_cookie: str | None) -> int:
    """End every session but the one from which this is asked, those that were left idle too.

    No other browser is known as a device of theirs any more.
    Returns in how many they were signed in: as many as were listed.
    """

    def work(connection: Connection) -> int:
        now = deployment.clock()
        live = lock_live_sessions_of_user(connection, person.user_id, now=now)
        seen = _count_others(deployment, connection, person, now=now)
        others = [session_id for session_id in live if session_id != person.session_id]
        end_sessions(deployment, connection, others, sub=person.sub, actor="user", reason="elsewhere", now=now)
        forget_known_devices(deployment, connection, person.user_id, but_of=device_cookie)
        return seen

    return deployment.database.transact(work)


def end_session_of(deployment: Deployment, person: SessionRow, reference: str) -> bool:
    """End one session, and tell its applications; whether it was the one from which this is asked.

    Raises `UnknownSession`.
    """

    def work(connection: Connection) -> bool:
        now = deployment.clock()
        for session_id in lock_live_sessions_of_user(connection, person.user_id, now=now):
            expected = _reference(deployment, person, session_id)
            if hmac.compare_digest(expected.encode(), reference.encode()):
                end_sessions(
                    deployment, connection, [session_id], sub=person.sub, actor="user", reason="elsewhere", now=now
                )
                return session_id == person.session_id
        raise UnknownSession

    return deployment.database.transact(work)


def _count_others(deployment: Deployment, connection: Connection, person: SessionRow, *, now: int) -> int:
    return count_other_sessions(
        connection,
        person.user_id,
        here=person.session_id,
        now=now,
        not_idle_since=_not_idle_since(deployment, now),
    )


def _not_idle_since(deployment: Deployment, now: int) -> int:
    return now - deployment.settings.session_idle_lifetime_s * 1000


def _read(
    deployment: Deployment, connection: Connection, person: Person, row: OwnSessionRow, *, here: int | None
) -> OwnSession:
    try:
        device = deployment.recorder.open_for_person(
            connection, person.sub, row.sealed_device, table="sessions", row=str(row.session_id)
        )
    except SealError:
        # One row that does not open must not hide the others.
        device = {}
    return OwnSession(
        session_id=row.session_id,
        reference=_reference(deployment, person, row.session_id),
        is_here=row.session_id == here,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        methods=tuple(row.methods.split()),
        address=device.get("address"),
        user_agent=device.get("user_agent", ""),
    )


def _reference(deployment: Deployment, person: Person, session_id: int) -> str:
    """A name that tells nothing of how many sessions there are."""
    return deployment.seals.digest("own-session", f"{person.sub} {session_id}")[0].hex()[:32]
