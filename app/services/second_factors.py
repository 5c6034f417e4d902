"""What a person has beside a password, and how strong a login they can reach with it."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.services.begin_session import Arrival, LoggedIn, begin_session
from app.services.deployment import Deployment
from app.services.transactions import FirstFactor
from app.services.upstream_sessions import remember_origin_of_first_factor
from app.storage.database import Connection
from app.storage.factors import count_passkeys, count_unused_recovery_codes, has_totp
from app.storage.sessions import SessionRow, find_session_of_user
from app.storage.transactions import find_transaction
from app.storage.users import find_user, lock_user

FIRST_FACTOR_COUNTS_FOR_MS = 10 * 60_000


class FirstFactorOver(Exception):
    """Whoever proved the first factor has to begin again: it was too long ago, or the account is no longer open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """The second factors of one person. Recovery codes stand in for them and are no factor alone."""

    has_totp: bool
    passkeys: int
    recovery_codes: int

    @property
    def levels(self) -> frozenset[str]:
        """The levels that these reach; none where there is no second factor."""
        if self.passkeys:
            return frozenset({"mfa", "phr"})
        return frozenset({"mfa"}) if self.has_totp else frozenset()


def find_factors(connection: Connection, user_id: int) -> Factors:
    """What the person has confirmed and not removed."""
    return Factors(
        has_totp=has_totp(connection, user_id),
        passkeys=count_passkeys(connection, user_id),
        recovery_codes=count_unused_recovery_codes(connection, user_id),
    )


def find_person_with_factors(deployment: Deployment, user_id: int) -> tuple[str | None, Factors]:
    """A person's username and what they have; no name for who is disabled or gone."""
    with deployment.database.reading() as connection:
        user = find_user(connection, user_id)
        username = None if user is None or user.disabled_at is not None else user.username
        return username, find_factors(connection, user_id)


def is_still_due(connection: Connection, transaction_id: str, basis: FirstFactor | SessionRow) -> bool:
    """Whether a sign-in is still where its caller read it.

    To be asked after something was counted for it, which holds the row: another request may have ended it meanwhile.
    """
    row = find_transaction(connection, transaction_id)
    if row is None or row.used_at is not None:
        return False
    if isinstance(basis, FirstFactor):
        return (row.first_factor_user_id, row.first_factor_at) == (basis.user_id, basis.at)
    return True


def complete_login(
    deployment: Deployment,
    connection: Connection,
    arrival: Arrival,
    basis: FirstFactor | SessionRow,
    *,
    methods: Sequence[str],
    level: str,
    now: int,
) -> LoggedIn:
    """Let in whoever has proven a second factor (`methods`, by RFC 8176) beside the first, or made a session stronger.

    Raises `FirstFactorOver`. Whether the proof of the second factor holds has been seen by the caller, in the same
    transaction.
    """
    if isinstance(basis, FirstFactor):
        earlier = basis.methods
        if now - basis.at > FIRST_FACTOR_COUNTS_FOR_MS:
            raise FirstFactorOver
    else:
        earlier = tuple(basis.events[0].method.split())
        live = find_session_of_user(connection, browser_id=basis.browser_id, user_id=basis.user_id, now=now)
        if live != basis.session_id:
            raise FirstFactorOver
    found = find_user(connection, basis.user_id)
    # Held, so that whoever disables the account meanwhile finds the session that begins here.
    user = None if found is None else lock_user(connection, found.sub)
    if user is None or user.disabled_at is not None:
        raise FirstFactorOver
    if isinstance(basis, FirstFactor) and "pwd" in basis.methods and (user.password_set_at or 0) > basis.at:
        # The password that was right is not theirs any more.
        raise FirstFactorOver
    together = tuple(dict.fromkeys((*earlier, *methods, "mfa")))
    logged_in = begin_session(deployment, connection, arrival, user, methods=together, level=level, now=now)
    if isinstance(basis, FirstFactor):
        remember_origin_of_first_factor(
            deployment, connection, arrival.transaction_id, basis, session_id=logged_in.session_id
        )
    return logged_in
