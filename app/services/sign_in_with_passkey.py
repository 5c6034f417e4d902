"""Signing in by a passkey (WebAuthn 7.2): alone, without a name, or beside a first factor.

With user verification a passkey is two factors in one that no other site can ask for: level `phr`. Without, it shows
only that somebody has the device: beside a password that makes `mfa`, alone no more than `pwd`, and that only where the
operator allows it. Whatever does not hold (a key that nobody has, somebody else's, a wrong signature) is answered
alike. Wrong passwords never keep a passkey out, and neither do the failures of others in one's network: what is bounded
is how often a network makes us verify, and beyond that a key that exists is still looked at, counted by itself. There
only a right answer is told from a wrong one: whatever fails has to wait, as junk does, so that nobody learns by the
answer which keys exist. What remains for who has used up a network's tries is the time that one signature takes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from webauthn import generate_authentication_options, options_to_json
from webauthn.helpers.structs import UserVerificationRequirement

from app.services.begin_session import Arrival, LoggedIn, begin_session
from app.services.deployment import Deployment
from app.services.known_devices import find_known_device_of
from app.services.limit_guesses import (
    CountedGuesses,
    Guess,
    GuessLimit,
    TooManyAttempts,
    count_guesses,
    forgive_guesses,
)
from app.services.log_in import SecondFactorDue
from app.services.notify_person import notify_person
from app.services.passkey_challenges import (
    LIFETIME_MS,
    ChallengeRefused,
    Purpose,
    check_challenge,
    mint_challenge,
    use_challenge,
)
from app.services.passkeys import describe_passkey
from app.services.record_event import Event
from app.services.second_factors import complete_login, is_still_due
from app.services.transactions import FirstFactor
from app.services.verify_passkey import PasskeyInvalid, VerifiedAssertion, verify_assertion
from app.services.whereabouts import network_of
from app.specs.webauthn_credentials import MalformedCredential, UnverifiedAssertion, parse_assertion
from app.storage.database import Connection
from app.storage.factors import has_totp
from app.storage.passkeys import PasskeyRow, find_passkey, find_user_handle, list_passkeys, note_passkey_use
from app.storage.sessions import SessionRow
from app.storage.transactions import set_first_factor
from app.storage.users import UserRow, find_user, lock_user

# Nobody guesses a signature: these bound the work that one place can make. A device on which the owner of the key has
# logged in has a count of its own, so that nobody beside it can use it up.
PASSKEYS_FROM_NETWORK: Final = GuessLimit(name="passkey", free=100, given_back_after_s=10, starts_anew=False)
PASSKEYS_BEYOND_NETWORK: Final = GuessLimit(name="passkey_credential", free=20, given_back_after_s=60)
PASSKEYS_ON_KNOWN_DEVICE: Final = GuessLimit(name="passkey_device", free=50, given_back_after_s=10)
_POSSESSION: Final = frozenset({"hwk", "swk", "user", "mfa"})
_Outcome = TypeVar("_Outcome")


class PasskeyRefused(Exception):
    """It lets nobody in: never said why. `is_over`: the page had been open for too long."""

    def __init__(self, *, is_over: bool = False) -> None:
        super().__init__()
        self.is_over = is_over


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyAttempt:
    """What a page's passkey form sent, and from where."""

    credential: str = field(repr=False)
    arrival: Arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proof:
    answer: UnverifiedAssertion
    verified: VerifiedAssertion
    passkey: PasskeyRow

    @property
    def methods(self) -> tuple[str, ...]:
        # RFC 8176 2: "hwk" is a key that cannot leave its hardware; one that can be backed up does.
        kind = "swk" if self.passkey.is_backup_eligible else "hwk"
        return (kind, "user", "mfa") if self.verified.is_user_verified else (kind, "user")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admitted:
    """What was counted. `beyond`: the wait of everybody in this network, past which only a right answer gets."""

    counted: CountedGuesses
    beyond: TooManyAttempts | None = None


class _Refused(Exception):
    def __init__(self, reason: str, *, sub: str | None = None, detail: str = "", is_over: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.sub, self.detail, self.is_over = reason, sub, detail, is_over


# ----- What a page asks the browser for -----


def sign_in_options(deployment: Deployment, transaction_id: str) -> str:
    """The options for `navigator.credentials.get()` (WebAuthn 5.5), as JSON, for whoever comes: no key is named."""
    return _options(deployment, "sign_in", transaction_id, needs=deployment.settings.passkey_user_verification)


def second_factor_options(
    deployment: Deployment, transaction_id: str, basis: FirstFactor | SessionRow, *, level: str
) -> str | None:
    """The same for somebody whose first factor was right, with their keys named; None where they have none.

    `level`: what has to be reached.
    """
    with deployment.database.reading() as connection:
        known = list_passkeys(connection, basis.user_id)
    if not known:
        return None
    needs = "required" if _needs_verification(basis, level) else "preferred"
    return _options(deployment, "second_factor", transaction_id, needs=needs, known=known)


def _options(
    deployment: Deployment, purpose: Purpose, transaction_id: str, *, needs: str, known: tuple[PasskeyRow, ...] = ()
) -> str:
    options = generate_authentication_options(
        rp_id=deployment.rp_id,
        challenge=mint_challenge(deployment.seals, purpose, bound_to=transaction_id, now=deployment.clock()),
        timeout=LIFETIME_MS,
        allow_credentials=[describe_passkey(passkey) for passkey in known],
        user_verification=UserVerificationRequirement(needs),
    )
    return options_to_json(options)


# ----- What comes back -----


def sign_in_with_passkey(deployment: Deployment, attempt: PasskeyAttempt) -> LoggedIn | SecondFactorDue:
    """Let in whoever a passkey belongs to; or remember that it was right, where more is due for them.

    Raises `PasskeyRefused` or `TooManyAttempts`.
    """
    needs_verification = deployment.settings.passkey_user_verification == "required"

    def let_in(connection: Connection, user: UserRow, proof: _Proof) -> LoggedIn | SecondFactorDue:
        now = deployment.clock()
        if not proof.verified.is_user_verified and has_totp(connection, user.id):
            methods = " ".join(proof.methods)
            set_first_factor(connection, attempt.arrival.transaction_id, user_id=user.id, methods=methods, now=now)
            return SecondFactorDue()
        level = "phr" if proof.verified.is_user_verified else "pwd"
        return begin_session(deployment, connection, attempt.arrival, user, methods=proof.methods, level=level, now=now)

    return _work(deployment, attempt, "sign_in", needs_verification=needs_verification, owner=None, then=let_in)


def prove_passkey(
    deployment: Deployment, attempt: PasskeyAttempt, basis: FirstFactor | SessionRow, *, level: str
) -> LoggedIn:
    """Let in whoever brings a passkey of theirs beside a first factor, or make their session stronger.

    Raises `PasskeyRefused`, `TooManyAttempts`, or `FirstFactorOver`.
    """

    def let_in(connection: Connection, _user: UserRow, proof: _Proof) -> LoggedIn:
        if not is_still_due(connection, attempt.arrival.transaction_id, basis):
            raise _Refused("not_due")
        return complete_login(
            deployment,
            connection,
            attempt.arrival,
            basis,
            methods=proof.methods,
            level="phr" if proof.verified.is_user_verified else "mfa",
            now=deployment.clock(),
        )

    needs_verification = _needs_verification(basis, level)
    return _work(
        deployment,
        attempt,
        "second_factor",
        needs_verification=needs_verification,
        owner=basis.user_id,
        then=let_in,
    )


def _needs_verification(basis: FirstFactor | SessionRow, level: str) -> bool:
    """Whether a device alone would add nothing: where the login so far was no more than that either."""
    earlier = basis.methods if isinstance(basis, FirstFactor) else basis.events[0].method.split()
    return level == "phr" or set(earlier) <= _POSSESSION


def _work(
    deployment: Deployment,
    attempt: PasskeyAttempt,
    purpose: Purpose,
    *,
    needs_verification: bool,
    owner: int | None,
    then: Callable[[Connection, UserRow, _Proof], _Outcome],
) -> _Outcome:
    answer = _read(attempt)
    admitted = _admit(deployment, attempt.arrival, answer)
    try:
        if isinstance(answer, _Refused):
            raise answer
        proof = _verify(deployment, attempt, answer, purpose, needs_verification=needs_verification, owner=owner)

        def work(connection: Connection) -> _Outcome | _Refused:
            user = _use(deployment, connection, attempt, proof)
            if isinstance(user, _Refused):
                # What it leaves behind is to stay.
                return user
            forgive_guesses(connection, admitted.counted, now=deployment.clock())
            return then(connection, user, proof)

        outcome = deployment.database.transact(work)
        if isinstance(outcome, _Refused):
            raise outcome
    except _Refused as refused:
        _tell(deployment, attempt, purpose, refused)
        if admitted.beyond is not None:
            raise admitted.beyond from refused
        raise PasskeyRefused(is_over=refused.is_over) from refused
    return outcome


def _read(attempt: PasskeyAttempt) -> UnverifiedAssertion | _Refused:
    try:
        return parse_assertion(attempt.credential)
    except MalformedCredential as cause:
        return _Refused("malformed", detail=str(cause))


def _admit(deployment: Deployment, arrival: Arrival, answer: UnverifiedAssertion | _Refused) -> _Admitted:
    """Count the attempt where it belongs. Raises `TooManyAttempts`."""
    now, seals = deployment.clock(), deployment.seals

    def count(connection: Connection) -> _Admitted | TooManyAttempts:
        passkey = None if isinstance(answer, _Refused) else find_passkey(connection, answer.credential_id)
        device = None
        if passkey is not None:
            device = find_known_device_of(deployment, connection, arrival.device_cookie, passkey.user_id, now=now)
        if device is not None:
            counted = count_guesses(connection, seals, [Guess(PASSKEYS_ON_KNOWN_DEVICE, device)], now=now)
            return counted if isinstance(counted, TooManyAttempts) else _Admitted(counted=counted)
        network = Guess(PASSKEYS_FROM_NETWORK, network_of(arrival.address))
        counted = count_guesses(connection, seals, [network], now=now)
        if isinstance(counted, CountedGuesses):
            return _Admitted(counted=counted)
        if passkey is None:
            return counted
        alone = Guess(PASSKEYS_BEYOND_NETWORK, passkey.credential_id.hex())
        by_itself = count_guesses(connection, seals, [alone], now=now)
        # Whichever of the two limits it was, the answer is the network's.
        return counted if isinstance(by_itself, TooManyAttempts) else _Admitted(counted=by_itself, beyond=counted)

    admitted = deployment.database.transact(count)
    if isinstance(admitted, TooManyAttempts):
        raise admitted
    return admitted


def _verify(
    deployment: Deployment,
    attempt: PasskeyAttempt,
    answer: UnverifiedAssertion,
    purpose: Purpose,
    *,
    needs_verification: bool,
    owner: int | None,
) -> _Proof:
    """Everything that can be seen without a lock."""
    seals, now = deployment.seals, deployment.clock()
    try:
        check_challenge(seals, answer.challenge, purpose, bound_to=attempt.arrival.transaction_id, now=now)
    except ChallengeRefused as cause:
        raise _Refused(str(cause), is_over=cause.is_over) from cause
    with deployment.database.reading() as connection:
        passkey = find_passkey(connection, answer.credential_id)
        user = None if passkey is None else find_user(connection, passkey.user_id)
        handle = None if user is None else find_user_handle(connection, user.id)
    if passkey is None or user is None or owner not in (None, user.id):
        raise _Refused("unknown")
    # WebAuthn 7.2: where nobody has said who they are the authenticator must say it; otherwise it may.
    if answer.user_handle != handle and not (owner is not None and answer.user_handle is None):
        raise _Refused("user_handle", sub=user.sub)
    try:
        verified = verify_assertion(
            answer,
            passkey,
            rp_id=deployment.rp_id,
            origin=deployment.settings.origin,
            needs_user_verification=needs_verification,
        )
    except PasskeyInvalid as cause:
        raise _Refused("invalid", sub=user.sub, detail=str(cause)) from cause
    return _Proof(answer=answer, verified=verified, passkey=passkey)


def _use(deployment: Deployment, connection: Connection, attempt: PasskeyAttempt, proof: _Proof) -> UserRow | _Refused:
    """What only the transaction can decide. A key that was copied comes back as a value, with its owner told."""
    now = deployment.clock()
    passkey, verified = find_passkey(connection, proof.answer.credential_id), proof.verified
    # Read again: what was removed or disabled meanwhile lets nobody in.
    found = None if passkey is None else find_user(connection, passkey.user_id)
    user = None if found is None else lock_user(connection, found.sub)
    if passkey is None or user is None or passkey.id != proof.passkey.id:
        raise _Refused("unknown")
    if user.disabled_at is not None:
        raise _Refused("disabled", sub=user.sub)
    try:
        use_challenge(connection, proof.answer.challenge)
    except ChallengeRefused as cause:
        raise _Refused(str(cause), sub=user.sub) from cause
    if note_passkey_use(
        connection, passkey.id, sign_count=verified.sign_count, is_backed_up=verified.is_backed_up, now=now
    ):
        return user
    body = {"passkey": passkey.id, "sign_count": verified.sign_count, "last_sign_count": passkey.sign_count}
    personal = {**attempt.arrival.personal, "name": passkey.name}
    event = Event(type="passkey.cloned", actor="server", sub=user.sub, body=body, personal=personal)
    deployment.recorder.record(connection, event)
    values = {"name": passkey.name, "address": attempt.arrival.address}
    notify_person(deployment, connection, user, "passkey_cloned", values, now)
    return _Refused("cloned", sub=user.sub)


def _tell(deployment: Deployment, attempt: PasskeyAttempt, purpose: Purpose, refused: _Refused) -> None:
    personal = {**attempt.arrival.personal, **({"detail": refused.detail} if refused.detail else {})}
    deployment.recorder.refuse(
        Event(
            type="login.refused" if purpose == "sign_in" else "second_factor.refused",
            actor="anonymous",
            sub=refused.sub,
            body={"reason": f"passkey:{refused.reason}"},
            personal=personal,
        )
    )
