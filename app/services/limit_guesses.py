"""Limits on whatever can be guessed or asked for too often: passwords, codes, mails to an address.

A guess is counted first and forgiven when it turns out to be right, in the database and in one statement, so that
parallel guesses on every node together cannot exceed the limit. What is counted leaks away slowly; beyond the limit
each guess begins a wait, and the waits grow up to 15 minutes and no further: nobody is locked out for good.

    counted = count_guesses(connection, deployment.seals, [Guess(SECOND_FACTORS_OF_PERSON, sub)], now=now)
    if isinstance(counted, TooManyAttempts): let the transaction commit, *then* raise it (a page of 429 comes of it)
    …
    forgive_guesses(connection, counted, now=now)      # it was right
    uncount_guesses(connection, counted, now=now)      # nothing was looked at: the server was busy
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from app.services.seals import Seals
from app.storage.database import Connection
from app.storage.throttle import (
    Bucket,
    count_guess,
    find_longest_block,
    forget_about,
    forget_attempts,
    forgive_guess,
)

WAITS_MS = tuple(minutes * 60_000 for minutes in (1, 2, 4, 8, 15))


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessLimit:
    """How many guesses are free, and after how many seconds each of them is given back.

    `starts_anew`: whether a right guess wipes out the wrong ones before it. Not for what many people share (a network):
    an attacker's own good login must not wash their guesses away.
    """

    name: str
    free: int
    given_back_after_s: int
    starts_anew: bool = True

    def tightened(self) -> "GuessLimit":
        """The same counter with a quarter of the free guesses."""
        return replace(self, free=max(2, self.free // 4))

    @property
    def bucket(self) -> Bucket:
        """As it is stored."""
        return Bucket(free=self.free, leak_ms=self.given_back_after_s * 1000, waits_ms=WAITS_MS)


# Of the codes of a second factor: per person, and on a device of theirs apart from what others do.
SECOND_FACTORS_OF_PERSON = GuessLimit(name="second_factor", free=10, given_back_after_s=600)
SECOND_FACTORS_ON_KNOWN_DEVICE = GuessLimit(name="second_factor_device", free=10, given_back_after_s=600)


@dataclass(frozen=True, slots=True)
class Guess:
    """One guess under one limit: `who` makes it or is hurt by it (a subject, a name, `network_of(address)`).

    `about`: whose account is guessed at, by a subject or a name's key, where `unlock` has to find the counter by it.
    """

    limit: GuessLimit
    who: str = field(repr=False)
    about: str | None = field(default=None, repr=False)

    def key(self, seals: Seals) -> bytes:
        """By HMAC: a name that was typed is sometimes a password, and is nowhere kept."""
        return seals.digest(f"throttle-{self.limit.name}", self.who)[0]


class TooManyAttempts(Exception):
    """Come back in `retry_after_s` seconds; `what` is the name of the limit that was reached."""

    def __init__(self, retry_after_s: int, *, what: str) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s
        self.what = what


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedGuess:
    """One counter after it was counted up. `blocked_until`: the wait that this began for the next one, 0 for none."""

    key: bytes = field(repr=False)
    limit: GuessLimit
    failures: int
    blocked_until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedGuesses:
    """What was counted, under each limit."""

    counts: tuple[CountedGuess, ...]

    def find(self, limit: GuessLimit) -> CountedGuess | None:
        """The count under one limit, tightened or not."""
        return next((count for count in self.counts if count.limit.name == limit.name), None)


def count_guesses(
    connection: Connection, seals: Seals, guesses: Sequence[Guess], *, now: int
) -> CountedGuesses | TooManyAttempts:
    """Count one attempt under each limit; where one of them is reached, under none.

    The refusal comes back as a value, because the transaction must be committed either way. Order: from what many
    share to what is one's own, the same everywhere, so that two attempts never wait for each other.
    """
    counts: list[CountedGuess] = []
    for guess in guesses:
        key = guess.key(seals)
        about = None if guess.about is None else about_key(seals, guess.about)
        count = count_guess(connection, key, guess.limit.bucket, now=now, about=about)
        if not count.is_admitted:
            # Who is refused here has not guessed: the others behind the same address keep their attempts.
            uncount_guesses(connection, CountedGuesses(counts=tuple(counts)), now=now)
            return TooManyAttempts(max(1, (count.blocked_until - now + 999) // 1000), what=guess.limit.name)
        counts.append(
            CountedGuess(key=key, limit=guess.limit, failures=count.failures, blocked_until=count.blocked_until)
        )
    return CountedGuesses(counts=tuple(counts))


def forgive_guesses(connection: Connection, counted: CountedGuesses, *, now: int) -> None:
    """It was right: one's own counters start anew, and those that many share lose this one attempt."""
    for count in counted.counts:
        if count.limit.starts_anew:
            forget_attempts(connection, count.key)
        else:
            forgive_guess(connection, count.key, count.limit.bucket, blocked_until=count.blocked_until, now=now)


def uncount_guesses(connection: Connection, counted: CountedGuesses, *, now: int) -> None:
    """Nothing was looked at, so nothing was guessed: a server that is busy must not lock people out."""
    for count in counted.counts:
        forgive_guess(connection, count.key, count.limit.bucket, blocked_until=count.blocked_until, now=now)


def forget_guesses_about(connection: Connection, seals: Seals, *about: str) -> int:
    """Forget all that was counted about an account, by its subject and its name's key; how many counters."""
    return sum(forget_about(connection, about_key(seals, each)) for each in about)


def find_wait_s(connection: Connection, seals: Seals, *about: str, now: int) -> int | None:
    """For how long guesses about an account have to wait somewhere, in seconds; None where none has to."""
    until = find_longest_block(connection, [about_key(seals, each) for each in about], now=now)
    return None if until is None else max(1, (until - now + 999) // 1000)


def about_key(seals: Seals, about: str) -> bytes:
    """Whose account is guessed at, as the counters name it."""
    return seals.digest("throttle-about", about)[0]
