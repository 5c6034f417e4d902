"""Login by password, and the sessions that it makes.

Known, unknown, disabled and passwordless accounts cost the same and are answered the same: the hash always runs, and
only its caller's audit trail knows why it was a no.
"""

import secrets
import unicodedata
from dataclasses import dataclass
from typing import Literal

from app.services.browser_state import new_browser_state
from app.services.deployment import Deployment
from app.services.hash_password import PasswordPoolBusy
from app.services.mint_secret import is_well_formed, mint_secret
from app.services.record_event import Event
from app.services.throttle_logins import (
    Attempt,
    TooManyAttempts,
    count_login_attempt,
    forgive_login_attempt,
    uncount_login_attempt,
)
from app.storage.database import Connection
from app.storage.sessions import (
    AuthenticationEventRow,
    SessionRow,
    delete_known_device,
    find_browser,
    find_known_device,
    find_live_sessions,
    find_session_of_user,
    insert_authentication_event,
    insert_browser,
    insert_known_device,
    insert_session,
    renew_browser,
    touch_session,
)
from app.storage.transactions import bind_transaction
from app.storage.users import UserRow, find_user, find_user_by_name, set_password_hash

KNOWN_DEVICE_LIFETIME_MS = 180 * 86_400_000
BROWSER_LIFETIME_MS = 400 * 86_400_000
MAX_PASSWORD_CHARACTERS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginAttempt:
    """What the login page sent, and from where. The secrets are those of the browser's cookies."""

    username: str
    password: str
    address: str
    user_agent: str
    browser_secret: str | None
    known_device_secret: str | None
    transaction_id: str

    def __repr__(self) -> str:
        return "LoginAttempt(...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """The new secrets for the browser's cookies: renewed at each login, so that a planted one is worthless."""

    browser_secret: str
    known_device_secret: str
    browser_state: str
    session_id: int

    def __repr__(self) -> str:
        return f"LoggedIn(session_id={self.session_id})"


class LoginFailed(Exception):
    """Name or password are wrong, or the account cannot log in: never said which."""


def username_key(username: str) -> str:
    """What two spellings of one name have in common."""
    return unicodedata.normalize("NFKC", username).casefold().strip()


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


def log_in(deployment: Deployment, attempt: LoginAttempt) -> LoggedIn:
    """Check a password and renew the browser's session.

    Raises `LoginFailed`, `TooManyAttempts`, or `PasswordPoolBusy` (come back soon). One hash at most; nothing is
    hashed for a throttled attempt.
    """
    key = username_key(attempt.username)
    now = deployment.clock()
    known_user_id = find_known_device_user(deployment, attempt.known_device_secret)

    def count(connection: Connection) -> tuple[UserRow | None, Attempt | TooManyAttempts]:
        user = find_user_by_name(connection, key)
        is_known = user is not None and user.id == known_user_id
        counted = count_login_attempt(
            connection,
            deployment.seals,
            username_key=key,
            address=attempt.address,
            known_device=attempt.known_device_secret if is_known else None,
            now=now,
        )
        return user, counted

    user, counted = deployment.database.transact(count)
    if isinstance(counted, TooManyAttempts):
        _refuse(deployment, attempt, user, reason=f"throttled:{counted.what}")
        raise counted
    password_hash = user.password_hash if user is not None else None
    try:
        is_right = deployment.passwords.verify(password_hash, attempt.password[: MAX_PASSWORD_CHARACTERS + 1])
    except PasswordPoolBusy:
        deployment.database.transact(lambda connection: uncount_login_attempt(connection, counted))
        raise
    if user is None or not is_right or user.disabled_at is not None:
        _refuse(deployment, attempt, user, reason=_why(user, is_right=is_right))
        raise LoginFailed
    fresh_hash = None
    if password_hash is not None and deployment.passwords.needs_rehash(password_hash):
        fresh_hash = deployment.passwords.hash(attempt.password)
    return _begin_session(deployment, attempt, user, counted, fresh_hash=fresh_hash)


def _begin_session(
    deployment: Deployment, attempt: LoginAttempt, user: UserRow, counted: Attempt, *, fresh_hash: str | None
) -> LoggedIn:
    now = deployment.clock()
    browser_secret, device_secret, browser_state = mint_secret("br"), mint_secret("kd"), new_browser_state()
    expires_at = now + deployment.settings.session_absolute_lifetime_s * 1000

    def begin(connection: Connection) -> LoggedIn:
        # Read again under the lock: an account disabled while its password was being hashed stays out.
        current = find_user(connection, user.id)
        if current is None or current.disabled_at is not None or current.password_hash != user.password_hash:
            raise LoginFailed
        forgive_login_attempt(connection, counted)
        if fresh_hash is not None:
            set_password_hash(connection, user.id, fresh_hash)
        browser_id = _renew_browser(
            connection, deployment, attempt.browser_secret, browser_secret, browser_state=browser_state, now=now
        )
        session_id = find_session_of_user(connection, browser_id=browser_id, user_id=user.id, now=now)
        if session_id is None:
            session_id = insert_session(
                connection, browser_id=browser_id, user_id=user.id, now=now, expires_at=expires_at
            )
        else:
            touch_session(connection, session_id, now=now, expires_at=expires_at)
        insert_authentication_event(connection, session_id, AuthenticationEventRow(method="pwd", level="pwd", at=now))
        _renew_known_device(connection, deployment, attempt.known_device_secret, device_secret, user.id, now=now)
        bind_transaction(connection, attempt.transaction_id, session_id)
        deployment.recorder.record(
            connection,
            Event(
                type="login.succeeded",
                actor="user",
                sub=user.sub,
                body={"method": "pwd", "session": session_id},
                personal={"address": attempt.address, "user_agent": attempt.user_agent},
            ),
        )
        return LoggedIn(
            browser_secret=browser_secret,
            known_device_secret=device_secret,
            browser_state=browser_state,
            session_id=session_id,
        )

    return deployment.database.transact(begin)


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


def find_known_device_user(deployment: Deployment, secret: str | None) -> int | None:
    """Whose device it is, by the cookie that it brings; None where that names nobody's."""
    if secret is None or not is_well_formed("kd", secret):
        return None
    with deployment.database.reading() as connection:
        return find_known_device(connection, deployment.seals.digests("kd", secret), now=deployment.clock())


def _why(user: UserRow | None, *, is_right: bool) -> Literal["unknown", "disabled", "password"]:
    if user is None:
        return "unknown"
    return "password" if not is_right else "disabled"


def _refuse(deployment: Deployment, attempt: LoginAttempt, user: UserRow | None, *, reason: str) -> None:
    deployment.recorder.refuse(
        Event(
            type="login.refused",
            actor="anonymous",
            sub=user.sub if user is not None else None,
            body={"reason": reason},
            personal={
                "address": attempt.address,
                "user_agent": attempt.user_agent,
                # What was typed as a name is sometimes a password; only a name that exists is kept.
                "username": user.username if user is not None else "",
            },
        )
    )


def new_sid() -> str:
    """The identifier by which one client knows one session: random, so that clients cannot compare notes."""
    return secrets.token_urlsafe(16)
