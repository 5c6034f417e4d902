"""The doctor on what the key-encryption key opens: data keys, signing keys, digests."""

from collections.abc import Iterator, Sequence

from app.services.findings import Finding, error, ok, warning
from app.services.rotate_keys import RotationPolicy
from app.services.seals import Kek, SealError, Seals
from app.services.signing_keys import ALGORITHMS, NoSigningKey, open_signing_keys
from app.settings import Settings
from app.storage.database import Connection
from app.storage.examine import count_old_digests
from app.storage.sealed_keys import list_sealed_keys
from app.storage.signing_keys import DECRYPTION_ALGORITHMS, SigningKeyRow, list_signing_keys

_DAY_MS = 86_400_000


def examine_seals(settings: Settings, connection: Connection, kek: Kek, *, now: int) -> Iterator[Finding]:
    """Whether everything that is sealed opens, and how old it is."""
    rows = list_signing_keys(connection)
    try:
        seals = Seals(kek, list_sealed_keys(connection))
        open_signing_keys(seals, rows)
    except (SealError, NoSigningKey, ValueError) as problem:
        yield error("sealed keys", f"the database's keys do not open with the key-encryption key: {problem}")
        return
    policy = RotationPolicy.from_seconds(
        signing_key_lifetime_s=settings.signing_key_lifetime_s, jwks_max_age_s=settings.jwks_max_age_s
    )
    for alg in ALGORITHMS:
        yield _examine_signing_key(rows, policy, alg, now=now)
    for alg in DECRYPTION_ALGORITHMS:
        yield _examine_decryption_key(rows, alg)
    old = count_old_digests(connection, seals.digest_key_id)
    if old:
        counts = ", ".join(f"{count} in {table}" for table, count in old.items())
        yield warning("digests", f"not yet under the newest key, until they are used: {counts}")
    else:
        yield ok("digests", "all are under the newest key")


def _examine_signing_key(rows: Sequence[SigningKeyRow], policy: RotationPolicy, alg: str, *, now: int) -> Finding:
    check = f"signing key {alg}"
    active = [row for row in rows if row.alg == alg and row.state == "active"]
    if len(active) != 1 or active[0].active_at is None:
        return error(check, f"there are {len(active)} active keys instead of one")
    if not any(row.alg == alg and row.state == "standby" for row in rows):
        return warning(check, "there is no standby for an emergency: a running server makes one within seconds")
    age_ms = now - active[0].active_at
    if now >= policy.must_not_sign_after(active[0].active_at):
        return error(
            check, f"it is {age_ms // _DAY_MS} days old and must not sign: is no server running that rotates it?"
        )
    if age_ms >= policy.key_lifetime_ms:
        return warning(check, f"it is {age_ms // _DAY_MS} days old: its rotation is due, or under way")
    return ok(check, f"{active[0].kid} is {age_ms // _DAY_MS} days old, and a standby is published")


def _examine_decryption_key(rows: Sequence[SigningKeyRow], alg: str) -> Finding:
    check = f"encryption key {alg}"
    active = [row for row in rows if row.alg == alg and row.state == "active"]
    if len(active) != 1:
        return warning(check, f"there are {len(active)} instead of one: a running server makes it within seconds")
    return ok(check, f"{active[0].kid} is published")
