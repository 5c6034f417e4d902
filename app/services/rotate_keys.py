"""Rotation of the server's keys, one rotator at a time under a lock in the database.

A planned rotation publishes a pending key, and makes it active once every verifier has had two JWKS lifetimes to see
it. The standby is for emergencies: it is always published, so that verifiers already know the key that signs after
`revoke`. A key for encryption needs neither: it is of use as soon as it is published, and who still has the old key set
encrypts to the old key, which is kept for that. Rotations are decided from the rows alone, so a rotator that died
halfway is simply continued by the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.services.seals import Seals
from app.services.signing_keys import ALGORITHMS, make_signing_key
from app.storage import changes
from app.storage import signing_keys as keys_table
from app.storage.database import Connection
from app.storage.signing_keys import DECRYPTION_ALGORITHMS, SigningKeyRow

# The longest life of anything signed (design.md 3: 60 minutes) and the skew that verifiers allow.
LONGEST_TOKEN_LIFETIME_MS = 3_600_000
_SKEW_MS = 60_000
# For how long clients go on encrypting to a key that they have fetched, beyond the JWKS lifetime: many keep it a day.
_OLD_KEY_SET_KEPT_FOR_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPolicy:
    """When keys change, in milliseconds."""

    key_lifetime_ms: int
    publication_ms: int

    @classmethod
    def from_seconds(cls, *, signing_key_lifetime_s: int, jwks_max_age_s: int) -> "RotationPolicy":
        """A key is published at least twice the JWKS max-age before its first use."""
        return cls(key_lifetime_ms=signing_key_lifetime_s * 1000, publication_ms=2 * jwks_max_age_s * 1000)

    def must_not_sign_after(self, active_at: int) -> int:
        """When a key has outlived even the time that a rotation takes: then the standby signs, at once."""
        return active_at + self.key_lifetime_ms + 2 * self.publication_ms + 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """One step of a key's life, for the audit trail."""

    kid: str
    alg: str
    state: str


class UnknownKey(Exception):
    """There is no such key, or it has been removed already."""


def make_first_keys(connection: Connection, seals: Seals, *, now: int) -> None:
    """An active key per algorithm, and a standby for those that sign, for a new deployment."""
    for alg in (*ALGORITHMS, *DECRYPTION_ALGORITHMS):
        keys_table.insert_signing_key(connection, make_signing_key(seals, alg=alg, state="active", now=now))
    for alg in ALGORITHMS:
        keys_table.insert_signing_key(connection, make_signing_key(seals, alg=alg, state="standby", now=now))
    changes.bump(connection, "keys")


def rotate_due(connection: Connection, seals: Seals, policy: RotationPolicy, *, now: int) -> tuple[KeyChange, ...]:
    """Do what is due and return what was done: start, finish and clean up rotations. Often nothing."""
    keys_table.lock_rotator(connection)
    rows = keys_table.list_signing_keys(connection)
    done: list[KeyChange] = []
    for alg in ALGORITHMS:
        active, pending, standby = (_find(rows, alg, state) for state in ("active", "pending", "standby"))
        if active is None or now >= policy.must_not_sign_after(active.active_at or 0):
            done += _promote_standby(connection, seals, rows, alg, now=now)
        elif pending is not None and now >= pending.published_at + policy.publication_ms:
            done += _replace_active(connection, active, pending, now=now)
        elif pending is None and now >= (active.active_at or 0) + policy.key_lifetime_ms:
            done.append(_publish(connection, seals, alg, "pending", now=now))
        if standby is None:
            done.append(_publish(connection, seals, alg, "standby", now=now))
    for alg in DECRYPTION_ALGORITHMS:
        active = _find(rows, alg, "active")
        if active is None or now >= (active.active_at or 0) + policy.key_lifetime_ms:
            done += _promote_standby(connection, seals, rows, alg, now=now)
    for row in rows:
        if row.state == "retired" and now >= (row.retired_at or 0) + _kept_for_ms(row.alg, policy):
            keys_table.remove(connection, row.kid, now=now)
            done.append(KeyChange(kid=row.kid, alg=row.alg, state="removed"))
    if done:
        changes.bump(connection, "keys")
    return tuple(done)


def begin_rotation(connection: Connection, seals: Seals, *, now: int) -> tuple[KeyChange, ...]:
    """Publish a pending key per algorithm that signs and has none; `rotate_due` makes it active in time."""
    keys_table.lock_rotator(connection)
    rows = keys_table.list_signing_keys(connection)
    done = [
        _publish(connection, seals, alg, "pending", now=now) for alg in ALGORITHMS if not _find(rows, alg, "pending")
    ]
    changes.bump(connection, "keys")
    return tuple(done)


def rotate_now(connection: Connection, seals: Seals, *, now: int) -> tuple[KeyChange, ...]:
    """Let the standby of every algorithm sign at once: verifiers know it already. Keys for encryption are replaced."""
    keys_table.lock_rotator(connection)
    rows = keys_table.list_signing_keys(connection)
    done: list[KeyChange] = []
    for alg in (*ALGORITHMS, *DECRYPTION_ALGORITHMS):
        done += _promote_standby(connection, seals, rows, alg, now=now)
    changes.bump(connection, "keys")
    return tuple(done)


def revoke_key(connection: Connection, seals: Seals, kid: str, *, now: int) -> tuple[KeyChange, ...]:
    """Take a key out at once; if it was in use, the standby or a new one is from here on. Raises `UnknownKey`."""
    keys_table.lock_rotator(connection)
    rows = keys_table.list_signing_keys(connection)
    row = next((row for row in rows if row.kid == kid and row.state != "removed"), None)
    if row is None:
        raise UnknownKey(kid)
    done: list[KeyChange] = []
    if row.state == "active":
        done += _promote_standby(connection, seals, rows, row.alg, now=now)
    elif row.state == "standby":
        done.append(_publish(connection, seals, row.alg, "standby", now=now))
    keys_table.remove(connection, kid, now=now)
    done.append(KeyChange(kid=kid, alg=row.alg, state="removed"))
    changes.bump(connection, "keys")
    return tuple(done)


def _kept_for_ms(alg: str, policy: RotationPolicy) -> int:
    """How long a retired key is of use: to verify what it signed, or to open what was encrypted to it."""
    if alg in DECRYPTION_ALGORITHMS:
        return policy.publication_ms + _OLD_KEY_SET_KEPT_FOR_MS
    return LONGEST_TOKEN_LIFETIME_MS + _SKEW_MS


def _find(rows: Sequence[SigningKeyRow], alg: str, state: str) -> SigningKeyRow | None:
    return next((row for row in rows if row.alg == alg and row.state == state), None)


def _publish(connection: Connection, seals: Seals, alg: str, state: str, *, now: int) -> KeyChange:
    row = make_signing_key(seals, alg=alg, state="pending" if state == "pending" else "standby", now=now)
    keys_table.insert_signing_key(connection, row)
    return KeyChange(kid=row.kid, alg=alg, state=state)


def _replace_active(
    connection: Connection, active: SigningKeyRow, successor: SigningKeyRow, *, now: int
) -> tuple[KeyChange, ...]:
    keys_table.retire(connection, active, now=now)
    keys_table.activate(connection, successor, now=now)
    return (
        KeyChange(kid=active.kid, alg=active.alg, state="retired"),
        KeyChange(kid=successor.kid, alg=successor.alg, state="active"),
    )


def _promote_standby(
    connection: Connection, seals: Seals, rows: Sequence[SigningKeyRow], alg: str, *, now: int
) -> list[KeyChange]:
    active, standby = _find(rows, alg, "active"), _find(rows, alg, "standby")
    done: list[KeyChange] = []
    if standby is None:
        # None for encryption, or its creation was interrupted: a fresh key signs, and verifiers fetch it on sight.
        standby = make_signing_key(seals, alg=alg, state="standby", now=now)
        keys_table.insert_signing_key(connection, standby)
    if active is not None:
        done += _replace_active(connection, active, standby, now=now)
    else:
        keys_table.activate(connection, standby, now=now)
        done.append(KeyChange(kid=standby.kid, alg=alg, state="active"))
    if alg in ALGORITHMS:
        done.append(_publish(connection, seals, alg, "standby", now=now))
    return done
