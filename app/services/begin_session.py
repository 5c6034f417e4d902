"""The one way in: whatever somebody proved who they are by, their session begins, or is renewed, here.

The browser's secret is renewed each time, so that a planted one is worthless; a session holds one authentication event
per proof, from which `auth_time`, `acr` and `amr` are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.services.browser_state import new_browser_state
from app.services.deployment import Deployment
from app.services.known_devices import find_known_device_of, renew_known_device
from app.services.mint_secret import is_well_formed, mint_secret
from app.services.new_devices import LOGGED_IN, has_logged_in_before, tell_of_new_device
from app.services.record_event import Event
from app.services.whereabouts import Whereabouts
from app.storage.database import Connection
from app.storage.sessions import (
    AuthenticationEventRow,
    SessionRow,
    find_browser,
    find_live_sessions,
    find_session_of_user,
    insert_authentication_event,
    insert_browser,
    insert_session,
    renew_browser,
    set_sealed_device,
    touch_session,
)
from app.storage.transactions import bind_transaction, clear_first_factor
from app.storage.users import UserRow

BROWSER_LIFETIME_MS = 400 * 86_400_000
Device = Literal["known", "new", "unclear"]
"""Known: by its cookie. New: to somebody who has logged in before, elsewhere. Else it is their very first login."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival(Whereabouts):
    """From where somebody comes, and for which transaction. The secrets are those of the browser's cookies."""

    browser_secret: str | None = field(repr=False)
    device_cookie: str | None = field(repr=False)
    transaction_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """The new secrets for the browser's cookies."""

    browser_secret: str
    device_cookie: str
    browser_state: str
    session_id: int

    def __repr__(self) -> str:
        return f"LoggedIn(session_id={self.session_id})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _BrowserCookies:
    """What a browser is known by: `state` is for pages that watch whether somebody is signed in."""

    secret: str = field(repr=False)
    state: str


def current_sessions(deployment: Deployment, browser_secret: str | None) -> tuple[SessionRow, ...]:
    """The live sessions that a browser's cookie names, the latest login first; none for anything malformed."""
    if browser_secret is None or not is_well_formed("br", browser_secret):
        return ()
    now = deployment.clock()
    not_idle_since = now - deployment.settings.session_idle_lifetime_s * 1000
    with deployment.database.reading() as connection:
        for digest in deployment.seals.digests("br", browser_secret):
            found = find_live_sessions(connection, digest, now=now, not_idle_since=not_idle_since)
            if found:
                return found
    return ()


def begin_session(
    deployment: Deployment,
    connection: Connection,
    arrival: Arrival,
    user: UserRow,
    *,
    methods: Sequence[str],
    level: str,
    now: int,
    proven_at: int | None = None,
) -> LoggedIn:
    """Let a person in who has proven enough, in the caller's transaction; the pending transaction becomes theirs.

    `methods`: what was proven, in the words of RFC 8176. `proven_at`: when, where that was earlier and elsewhere. Does
    *not* check anything: that the account is not disabled and that no further factor is due has been seen under the
    same lock by the caller.
    """
    at = now if proven_at is None else proven_at
    login = AuthenticationEventRow(method=" ".join(methods), level=level, at=at)
    browser_id, browser = _renew_browser(deployment, connection, arrival.browser_secret, now=now)
    # Before anything is written of this login: what it finds is what was there before.
    device = _recognise(deployment, connection, arrival, user, now=now)
    session_id = _renew_session(deployment, connection, arrival, user, browser_id=browser_id, now=now)
    insert_authentication_event(connection, session_id, login)
    device_cookie = renew_known_device(deployment, connection, arrival.device_cookie, user.id, now=now)
    # Whoever else proved a first factor in this transaction has not come further than that.
    clear_first_factor(connection, arrival.transaction_id)
    bind_transaction(connection, arrival.transaction_id, session_id)
    _record(deployment, connection, arrival, user, login, session_id=session_id, device=device)
    if device == "new":
        tell_of_new_device(deployment, connection, user, **arrival.personal, now=now)
    return LoggedIn(
        browser_secret=browser.secret,
        device_cookie=device_cookie,
        browser_state=browser.state,
        session_id=session_id,
    )


def _renew_browser(
    deployment: Deployment, connection: Connection, old_secret: str | None, *, now: int
) -> tuple[int, _BrowserCookies]:
    """The browser's row, the one that its cookie names where there is one, and what it is known by from now on."""
    cookies = _BrowserCookies(secret=mint_secret("br"), state=new_browser_state())
    digest, digest_key_id = deployment.seals.digest("br", cookies.secret)
    expires_at = now + BROWSER_LIFETIME_MS
    browser_id = None
    if old_secret is not None and is_well_formed("br", old_secret):
        found = (find_browser(connection, old, now=now) for old in deployment.seals.digests("br", old_secret))
        browser_id = next((each for each in found if each is not None), None)
    if browser_id is None:
        browser_id = insert_browser(
            connection,
            digest=digest,
            digest_key_id=digest_key_id,
            browser_state=cookies.state,
            now=now,
            expires_at=expires_at,
        )
    else:
        renew_browser(
            connection,
            browser_id,
            digest=digest,
            digest_key_id=digest_key_id,
            browser_state=cookies.state,
            expires_at=expires_at,
        )
    return browser_id, cookies


def _recognise(deployment: Deployment, connection: Connection, arrival: Arrival, user: UserRow, *, now: int) -> Device:
    # By the cookie alone: an earlier session in this browser may be that of somebody who was thrown out since.
    if find_known_device_of(deployment, connection, arrival.device_cookie, user.id, now=now) is not None:
        return "known"
    return "new" if has_logged_in_before(connection, user) else "unclear"


def _renew_session(
    deployment: Deployment, connection: Connection, arrival: Arrival, user: UserRow, *, browser_id: int, now: int
) -> int:
    """The session of the person in this browser, which lives on where there is one, and from where they came to it."""
    expires_at = now + deployment.settings.session_absolute_lifetime_s * 1000
    session_id = find_session_of_user(connection, browser_id=browser_id, user_id=user.id, now=now)
    if session_id is None:
        session_id = insert_session(connection, browser_id=browser_id, user_id=user.id, now=now, expires_at=expires_at)
    else:
        touch_session(connection, session_id, now=now, expires_at=expires_at)
    sealed = deployment.recorder.seal_for_person(
        connection, user.sub, arrival.personal, table="sessions", row=str(session_id)
    )
    set_sealed_device(connection, session_id, sealed)
    return session_id


def _record(
    deployment: Deployment,
    connection: Connection,
    arrival: Arrival,
    user: UserRow,
    login: AuthenticationEventRow,
    *,
    session_id: int,
    device: Device,
) -> None:
    body = {
        "method": login.method,
        "level": login.level,
        "session": session_id,
        "known_device": device == "known",
        "new_device": device == "new",
    }
    event = Event(type=LOGGED_IN, actor="user", sub=user.sub, body=body, personal=arrival.personal)
    deployment.recorder.record(connection, event)
