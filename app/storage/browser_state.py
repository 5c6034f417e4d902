"""What scripts of clients may compare, by way of the check-session iframe: one random value per browser."""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from app.storage.tables import browsers, sessions


def find_browser_state(connection: Connection, digest: bytes, *, now: int) -> str | None:
    """The state of the browser that a cookie names."""
    query = select(browsers.c.browser_state).where(browsers.c.digest == digest, browsers.c.expires_at > now)
    return connection.execute(query).scalar()


def set_browser_state(connection: Connection, browser_id: int, browser_state: str) -> None:
    """Replace the state of a browser."""
    connection.execute(update(browsers).where(browsers.c.id == browser_id).values(browser_state=browser_state))


def set_browser_state_of_sessions(connection: Connection, session_ids: Sequence[int], browser_state: str) -> None:
    """Replace the state of every browser in which one of the sessions is or was."""
    of_sessions = select(sessions.c.browser_id).where(sessions.c.id.in_(session_ids))
    connection.execute(update(browsers).where(browsers.c.id.in_(of_sessions)).values(browser_state=browser_state))
