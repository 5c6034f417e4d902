"""The one way in: whatever somebody proved who they are by, their session begins, or is renewed, here.

The browser's secret is renewed each time, so that a planted one is worthless; a session holds one authentication event
per proof, from which `auth_time`, `acr` and `amr` are read.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.services.browser_state import new_browser_state
from app.services.deployment import Deployment
from app.services.mint_secret import is_well_formed, mint_secret
from app.services.new_devices import LOGGED_IN, has_logged_in_before, tell_of_new_device
from app.services.record_event import Event
from app.services.whereabouts import Whereabouts
from app.storage.database import Connection
from app.storage.sessions import (
    AuthenticationEventRow,
    SessionRow,
    delete_known_device,
    find_browser,
    find_known_device,
    find_live_sessions,
    find_session_of_user,
    has_been_in_browser,
    insert_authentication_event,
    insert_browser,
    insert_known_device,
    insert_session,
    renew_browser,
    set_sealed_device,
    touch_session,
)
from app.storage.transactions import bind_transaction, clear_first_factor
from app.storage.users import UserRow

KNOWN_DEVICE_LIFETIME_MS = 180 * 86_400_000
BROWSER_LIFETIME_MS = 400 * 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival(Whereabouts):
    """From where somebody comes, and for which transaction. The secrets are those of the browser's cookies."""

    browser_secret: str | None = field(repr=False)
    known_device_secret: str | None = field(repr=False)
    transaction_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """The new secrets for the browser's cookies."""

    browser_secret: str
    known_device_secret: str
    browser_state: str
    session_id: int

    def __repr__(self) -> str:
        return f"LoggedIn(session_id={self.session_id})"


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
    is_known = find_known_device_of(deployment, connection, arrival.known_device_secret, now=now) == user.id
    browser_secret, device_secret, browser_state = mint_secret("br"), mint_secret("kd"), new_browser_state()
    expires_at = now + deployment.settings.session_absolute_lifetime_s * 1000
    browser_id = _renew_browser(
        connection, deployment, arrival.browser_secret, browser_secret, browser_state=browser_state, now=now
    )
    is_new = (
        not is_known
        and not has_been_in_browser(connection, browser_id=browser_id, user_id=user.id)
        and has_logged_in_before(connection, user)
    )
    session_id = find_session_of_user(connection, browser_id=browser_id, user_id=user.id, now=now)
    if session_id is None:
        session_id = insert_session(connection, browser_id=browser_id, user_id=user.id, now=now, expires_at=expires_at)
    else:
        touch_session(connection, session_id, now=now, expires_at=expires_at)
    sealed = deployment.recorder.seal_for_person(
        connection, user.sub, arrival.personal, table="sessions", row=str(session_id)
    )
    set_sealed_device(connection, session_id, sealed)
    event = AuthenticationEventRow(method=" ".join(methods), level=level, at=now if proven_at is None else proven_at)
    insert_authentication_event(connection, session_id, event)
    _renew_known_device(connection, deployment, arrival.known_device_secret, device_secret, user.id, now=now)
    # Whoever else proved a first factor in this transaction has not come further than that.
    clear_first_factor(connection, arrival.transaction_id)
    bind_transaction(connection, arrival.transaction_id, session_id)
    deployment.recorder.record(
        connection,
        Event(
            type=LOGGED_IN,
            actor="user",
            sub=user.sub,
            body={
                "method": event.method,
                "level": level,
                "session": session_id,
                "known_device": is_known,
                "new_device": is_new,
            },
            personal=arrival.personal,
        ),
    )
    if is_new:
        tell_of_new_device(deployment, connection, user, **arrival.personal, now=now)
    return LoggedIn(
        browser_secret=browser_secret,
        known_device_secret=device_secret,
        browser_state=browser_state,
        session_id=session_id,
    )


def find_known_device_user(deployment: Deployment, secret: str | None) -> int | None:
    """Whose device it is, by the cookie that it brings; None where that names nobody's."""
    if secret is None:
        return None
    with deployment.database.reading() as connection:
        return find_known_device_of(deployment, connection, secret, now=deployment.clock())


def find_known_device_of(deployment: Deployment, connection: Connection, secret: str | None, *, now: int) -> int | None:
    """As `find_known_device_user`, in the caller's transaction."""
    if secret is None or not is_well_formed("kd", secret):
        return None
    return find_known_device(connection, deployment.seals.digests("kd", secret), now=now)


def new_sid() -> str:
    """The identifier by which one client knows one session: random, so that clients cannot compare notes."""
    return secrets.token_urlsafe(16)


def _renew_browser(
    connection: Connection,
    deployment: Deployment,
    old_secret: str | None,
    new_secret: str,
    *,
    browser_state: str,
    now: int,
) -> int:
    digest, digest_key_id = deployment.seals.digest("br", new_secret)
    expires_at = now + BROWSER_LIFETIME_MS
    browser_id = None
    if old_secret is not None and is_well_formed("br", old_secret):
        found = (find_browser(connection, old, now=now) for old in deployment.seals.digests("br", old_secret))
        browser_id = next((each for each in found if each is not None), None)
    if browser_id is None:
        return insert_browser(
            connection,
            digest=digest,
            digest_key_id=digest_key_id,
            browser_state=browser_state,
            now=now,
            expires_at=expires_at,
        )
    renew_browser(
        connection,
        browser_id,
        digest=digest,
        digest_key_id=digest_key_id,
        browser_state=browser_state,
        expires_at=expires_at,
    )
    return browser_id


def _renew_known_device(
    connection: Connection,
    deployment: Deployment,
    old_secret: str | None,
    new_secret: str,
    user_id: int,
    *,
    now: int,
) -> None:
    if old_secret is not None and is_well_formed("kd", old_secret):
        delete_known_device(connection, deployment.seals.digests("kd", old_secret))
    digest, digest_key_id = deployment.seals.digest("kd", new_secret)
    insert_known_device(
        connection,
        digest=digest,
        digest_key_id=digest_key_id,
        user_id=user_id,
        now=now,
        expires_at=now + KNOWN_DEVICE_LIFETIME_MS,
    )
