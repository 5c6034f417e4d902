"""Login by password.

Known, unknown, disabled and passwordless accounts cost the same and are answered the same: the hash always runs, and
only its caller's audit trail knows why it was a no.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from app.services.account_names import email_key, username_key
from app.services.begin_session import Arrival, LoggedIn, begin_session
from app.services.deployment import Deployment
from app.services.hash_password import PasswordPoolBusy
from app.services.known_devices import find_known_devices
from app.services.limit_guesses import CountedGuesses, TooManyAttempts, uncount_guesses
from app.services.password_bounds import MAX_PASSWORD_CHARACTERS
from app.services.record_event import Event
from app.services.second_factors import find_factors
from app.services.tell_of_guessing import tell_of_guessing
from app.services.throttle_logins import LOGINS_ON_KNOWN_DEVICE, count_login, forgive_login
from app.storage.database import Connection
from app.storage.transactions import set_first_factor
from app.storage.users import UserRow, find_user_by_name, find_users_by_email, lock_user, set_password_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginAttempt:
    """What the login page sent, and from where."""

    username: str
    password: str
    arrival: Arrival

    @property
    def transaction_id(self) -> str:
        """What the login is for."""
        return self.arrival.transaction_id

    def __repr__(self) -> str:
        return "LoginAttempt(...)"


@dataclass(frozen=True, slots=True)
class SecondFactorDue:
    """The password was right and is not enough: the transaction remembers whose it was, and no session has begun."""


class LoginFailed(Exception):
    """Name or password are wrong, or the account cannot log in: never said which."""


def log_in(deployment: Deployment, attempt: LoginAttempt) -> LoggedIn | SecondFactorDue:
    """Check a password, and begin a session where that is enough for this person.

    Raises `LoginFailed`, `TooManyAttempts`, or `PasswordPoolBusy` (come back soon). One hash at most; nothing is
    hashed for a throttled attempt.
    """
    key = username_key(attempt.username)
    now = deployment.clock()

    def count(connection: Connection) -> tuple[UserRow | None, CountedGuesses | TooManyAttempts]:
        user = _find_person(connection, attempt.username)
        vouched_for = find_known_devices(deployment, connection, attempt.arrival.device_cookie, now=now)
        device = None if user is None else vouched_for.get(user.id)
        counted = count_login(
            connection,
            deployment.seals,
            username_key=_counted_name(user, key),
            address=attempt.arrival.address,
            known_device=device,
            is_alarmed=device is None and deployment.login_watch.is_alarmed(connection, now=now),
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
        deployment.database.transact(lambda connection: uncount_guesses(connection, counted, now=deployment.clock()))
        raise
    is_let_in = user is not None and is_right and user.disabled_at is None
    on_known_device = counted.find(LOGINS_ON_KNOWN_DEVICE) is not None
    deployment.login_watch.note(on_known_device=on_known_device, was_right=is_let_in)
    if user is None or not is_let_in:
        _refuse(deployment, attempt, user, reason=_why(user, is_right=is_right))
        tell_of_guessing(deployment, user, counted, username_key=_counted_name(user, key), arrival=attempt.arrival)
        raise LoginFailed
    fresh_hash = None
    if password_hash is not None and deployment.passwords.needs_rehash(password_hash):
        # Another day, if everybody comes just now: the password was right.
        with suppress(PasswordPoolBusy):
            fresh_hash = deployment.passwords.hash(attempt.password)
    return _finish(deployment, attempt, user, counted, fresh_hash=fresh_hash)


def _find_person(connection: Connection, typed: str) -> UserRow | None:
    """Who is meant: by username, or by the address that is verified for one account alone. Asks for both each time."""
    by_name = find_user_by_name(connection, username_key(typed))
    by_email = find_users_by_email(connection, email_key(typed.strip()))
    return by_name or next((user for user in by_email if user.claims.get("email_verified") is True), None)


def _counted_name(user: UserRow | None, typed_key: str) -> str:
    """Under which name an attempt counts: an account's name and its address are not twice the attempts."""
    return typed_key if user is None else username_key(user.username)


def _finish(
    deployment: Deployment, attempt: LoginAttempt, user: UserRow, counted: CountedGuesses, *, fresh_hash: str | None
) -> LoggedIn | SecondFactorDue:
    now = deployment.clock()

    def work(connection: Connection) -> LoggedIn | SecondFactorDue:
        # Read again under the lock: an account disabled while its password was being hashed stays out.
        current = lock_user(connection, user.sub)
        if current is None or current.disabled_at is not None or current.password_hash != user.password_hash:
            raise LoginFailed
        forgive_login(connection, deployment.seals, counted, address=attempt.arrival.address, now=now)
        if fresh_hash is not None:
            set_password_hash(connection, user.id, fresh_hash)
        if find_factors(connection, user.id).levels:
            set_first_factor(connection, attempt.transaction_id, user_id=user.id, methods="pwd", now=now)
            return SecondFactorDue()
        return begin_session(deployment, connection, attempt.arrival, current, methods=("pwd",), level="pwd", now=now)

    return deployment.database.transact(work)


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
                **attempt.arrival.personal,
                # What was typed as a name is sometimes a password; only a name that exists is kept.
                "username": user.username if user is not None else "",
            },
        )
    )
