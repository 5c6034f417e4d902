"""A second factor by a code: of an authenticator app, or a recovery code in its place.

Counted before it is looked at, five to a sign-in and some more to a person; then checked, spent and rewarded with a
session in one transaction, so that of however many who bring one code at the same moment exactly one gets in. A wrong
code, a used one and somebody else's are answered alike.
"""

from dataclasses import dataclass

from app.services.advance_authorization import due_level_of
from app.services.advance_visit import due_prompt
from app.services.authentication_context import LEVELS
from app.services.begin_session import Arrival, LoggedIn
from app.services.choose_account import bound_session
from app.services.deployment import Deployment
from app.services.enrol_totp import open_confirmed_secret
from app.services.known_devices import find_known_device_of
from app.services.limit_guesses import (
    SECOND_FACTORS_OF_PERSON,
    SECOND_FACTORS_ON_KNOWN_DEVICE,
    Guess,
    TooManyAttempts,
    count_guesses,
    forgive_guesses,
)
from app.services.notify_person import notify_person
from app.services.record_event import Event
from app.services.recovery_codes import parse_recovery_code, spend_recovery_code
from app.services.seals import SealError
from app.services.second_factors import FIRST_FACTOR_COUNTS_FOR_MS, FirstFactorOver, complete_login, is_still_due
from app.services.transactions import FirstFactor, Transaction, Visit
from app.services.validate_authorization_request import RedirectedError
from app.specs.protocol_error import AccessDenied, InvalidRequest
from app.specs.rfc6238_totp import find_step, parse_code
from app.storage.database import Connection
from app.storage.sessions import SessionRow
from app.storage.single_use import redeem_once
from app.storage.totp_secrets import find_totp_secret, use_step
from app.storage.transactions import clear_first_factor, count_second_factor_attempt
from app.storage.users import UserRow, find_user

ATTEMPTS_PER_CHALLENGE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Who owes a second factor, and the level that it must reach."""

    basis: FirstFactor | SessionRow
    level: str

    @property
    def takes_codes(self) -> bool:
        """Whether a code is strong enough: only a passkey makes a login resist phishing."""
        return LEVELS.index(self.level) <= LEVELS.index("mfa")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """They are in. `recovery_codes_left`: where a recovery code was spent for it."""

    logged_in: LoggedIn
    recovery_codes_left: int | None = None


class WrongCode(Exception):
    """It is no code of theirs, or not any more: never said which."""


class AttemptsOver(Exception):
    """Too many wrong codes: they have to begin again with the first factor."""


def find_due(deployment: Deployment, pending: Transaction | Visit, sessions: tuple[SessionRow, ...]) -> Due | None:
    """The second factor that is due in a sign-in; None where none is, or where something else comes first.

    Raises `AttemptsOver` where a session's person has to log in anew after too many wrong codes, `FirstFactorOver`
    where the first factor was proven too long ago.
    """
    if pending.first_factor is not None:
        if deployment.clock() - pending.first_factor.at > FIRST_FACTOR_COUNTS_FOR_MS:
            raise FirstFactorOver
        return Due(basis=pending.first_factor, level="mfa")
    due = _find_step_up(deployment, pending, sessions)
    if due is not None and pending.second_factor_attempts >= ATTEMPTS_PER_CHALLENGE:
        raise AttemptsOver
    return due


def _find_step_up(deployment: Deployment, pending: Transaction | Visit, sessions: tuple[SessionRow, ...]) -> Due | None:
    if isinstance(pending, Transaction):
        found = due_level_of(deployment, pending, sessions)
        return None if found is None else Due(basis=found[0], level=found[1])
    session = bound_session(sessions, pending) if pending.session_id is not None else next(iter(sessions), None)
    if session is None or due_prompt(deployment, pending.page, session, began_at=pending.began_at) != "second_factor":
        return None
    return Due(basis=session, level=pending.page.level)


def prove_code(deployment: Deployment, arrival: Arrival, due: Due, code: str) -> Proven:
    """Let in whoever brings a right code.

    Raises `WrongCode`, `AttemptsOver`, `FirstFactorOver`, or `TooManyAttempts` (come back later).
    """
    now = deployment.clock()

    def work(connection: Connection) -> Proven | Exception:
        user = find_user(connection, due.basis.user_id)
        if user is None or not due.takes_codes:
            return FirstFactorOver()
        guess = _guess_of(deployment, connection, arrival, user, now=now)
        counted = count_guesses(connection, deployment.seals, [guess], now=now)
        if isinstance(counted, TooManyAttempts):
            return counted
        if count_second_factor_attempt(connection, arrival.transaction_id) > ATTEMPTS_PER_CHALLENGE:
            return _end_challenge(deployment, connection, arrival, due, user)
        if not is_still_due(connection, arrival.transaction_id, due.basis):
            return FirstFactorOver()
        left = None
        if not _use_app_code(deployment, connection, user, code, now=now):
            recovery_code = parse_recovery_code(code)
            if recovery_code is not None:
                left = spend_recovery_code(deployment, connection, user, recovery_code, whereabouts=arrival, now=now)
            if left is None:
                return WrongCode()
        forgive_guesses(connection, counted, now=now)
        logged_in = complete_login(deployment, connection, arrival, due.basis, methods=("otp",), level="mfa", now=now)
        return Proven(logged_in=logged_in, recovery_codes_left=left)

    # What was counted stays counted: a refusal is a value until the transaction is over.
    outcome = deployment.database.transact(work)
    if isinstance(outcome, Proven):
        return outcome
    _refuse(deployment, arrival, due, outcome)
    raise outcome


def start_over(deployment: Deployment, pending: Transaction | Visit) -> None:
    """It is somebody else, or the first factor no longer counts: the sign-in begins again.

    What was tried to make a session stronger stays counted: only a login sets that back.
    """
    if pending.first_factor is None:
        return
    deployment.database.transact(lambda connection: clear_first_factor(connection, pending.transaction_id))


def decline(deployment: Deployment, transaction: Transaction, due: Due) -> RedirectedError:
    """The person does not log in as strongly as the client asks: the answer for it, to be raised."""
    now = deployment.clock()

    def end(connection: Connection) -> None:
        user = find_user(connection, due.basis.user_id)
        if not redeem_once(connection, "authorization_transactions", transaction.transaction_id, now=now):
            raise InvalidRequest("this sign-in has been finished already")
        event = Event(
            type="second_factor.declined",
            actor="user",
            sub=None if user is None else user.sub,
            client_id=transaction.request.client_id,
            body={"level": due.level},
        )
        deployment.recorder.record(connection, event)

    deployment.database.transact(end)
    return RedirectedError(AccessDenied("the person did not prove who they are as asked"), transaction.request.target)


def _guess_of(deployment: Deployment, connection: Connection, arrival: Arrival, user: UserRow, *, now: int) -> Guess:
    """On a device of theirs people have tries of their own: whoever knows a password cannot lock its owner out."""
    device = find_known_device_of(deployment, connection, arrival.device_cookie, user.id, now=now)
    if device is not None:
        return Guess(SECOND_FACTORS_ON_KNOWN_DEVICE, device, about=user.sub)
    return Guess(SECOND_FACTORS_OF_PERSON, user.sub, about=user.sub)


def _end_challenge(
    deployment: Deployment, connection: Connection, arrival: Arrival, due: Due, user: UserRow
) -> AttemptsOver:
    if isinstance(due.basis, FirstFactor):
        clear_first_factor(connection, arrival.transaction_id)
    now = deployment.clock()
    if find_known_device_of(deployment, connection, arrival.device_cookie, user.id, now=now) is None:
        # Whoever it is knows the first factor: their owner should hear of it, unless it is they themselves.
        values = {"address": arrival.address}
        notify_person(deployment, connection, user, "second_factor_failed", values, now)
    return AttemptsOver()


def _use_app_code(deployment: Deployment, connection: Connection, user: UserRow, code: str, *, now: int) -> bool:
    digits = parse_code(code)
    if digits is None:
        return False
    try:
        secret = open_confirmed_secret(deployment.seals, find_totp_secret(connection, user.id))
    except SealError:
        # Another's secret was put in its place, say. It lets nobody in, and a recovery code still does.
        return False
    if secret is None:
        return False
    step = find_step(secret, digits, now_s=now / 1000)
    return step is not None and use_step(connection, user.id, step)


def _refuse(deployment: Deployment, arrival: Arrival, due: Due, outcome: Exception) -> None:
    with deployment.database.reading() as connection:
        user = find_user(connection, due.basis.user_id)
    reason = f"throttled:{outcome.what}" if isinstance(outcome, TooManyAttempts) else _REASONS[type(outcome)]
    deployment.recorder.refuse(
        Event(
            type="second_factor.refused",
            actor="anonymous",
            sub=None if user is None else user.sub,
            body={"reason": reason},
            personal=arrival.personal,
        )
    )


_REASONS: dict[type[Exception], str] = {WrongCode: "code", AttemptsOver: "attempts", FirstFactorOver: "over"}
