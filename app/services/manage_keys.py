"""The server's keys, as the operator sees and changes them."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.services.deployment import Deployment
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.services.rotate_keys import KeyChange, UnknownKey, begin_rotation, revoke_key, rotate_now
from app.storage.database import Connection
from app.storage.signing_keys import DECRYPTION_ALGORITHMS, SigningKeyRow
from app.storage.signing_keys import list_signing_keys as list_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySummary:
    """A key, without either half. Times in milliseconds."""

    kid: str
    alg: str
    state: str
    published_at: int
    active_at: int | None
    retired_at: int | None


def list_keys(deployment: Deployment) -> tuple[KeySummary, ...]:
    """Every key that is published, the oldest first: removed ones are not, nor those that only decrypt old requests."""
    with deployment.database.reading() as connection:
        rows = list_rows(connection)
    return tuple(
        _summarise(row)
        for row in rows
        if row.state != "removed" and not (row.alg in DECRYPTION_ALGORITHMS and row.state == "retired")
    )


def rotate_keys(deployment: Deployment) -> tuple[KeyChange, ...]:
    """Publish the next keys; a running server lets them sign once every verifier has had the time to see them."""

    def work(connection: Connection) -> tuple[KeyChange, ...]:
        done = begin_rotation(connection, deployment.seals, now=deployment.clock())
        _record(deployment, connection, done)
        return done

    return deployment.database.transact(work)


def rotate_keys_now(deployment: Deployment) -> tuple[KeyChange, ...]:
    """Let the standbys, which verifiers know already, sign from now on."""

    def work(connection: Connection) -> tuple[KeyChange, ...]:
        done = rotate_now(connection, deployment.seals, now=deployment.clock())
        _record(deployment, connection, done)
        return done

    return deployment.database.transact(work)


def revoke_signing_key(deployment: Deployment, kid: str) -> tuple[KeyChange, ...]:
    """Take a key out at once. Raises `Refusal`."""

    def work(connection: Connection) -> tuple[KeyChange, ...]:
        try:
            done = revoke_key(connection, deployment.seals, kid, now=deployment.clock())
        except UnknownKey:
            raise Refusal("unknown_key", f"there is no published key {kid!r}") from None
        deployment.recorder.record(connection, Event(type="key.revoked", actor="operator", body={"kid": kid}))
        _record(deployment, connection, done)
        return done

    return deployment.database.transact(work)


def _record(deployment: Deployment, connection: Connection, done: Iterable[KeyChange]) -> None:
    for change in done:
        body = {"kid": change.kid, "alg": change.alg}
        deployment.recorder.record(connection, Event(type=f"key.{change.state}", actor="operator", body=body))


def _summarise(row: SigningKeyRow) -> KeySummary:
    return KeySummary(
        kid=row.kid,
        alg=row.alg,
        state=row.state,
        published_at=row.published_at,
        active_at=row.active_at,
        retired_at=row.retired_at,
    )
