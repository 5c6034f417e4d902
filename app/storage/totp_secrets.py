"""The secrets of authenticator apps, sealed: one per person. It counts once it was confirmed by a code."""

from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, insert, select, update

from app.storage.tables import totp_secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class TotpSecretRow:
    """One secret. `last_used_step`: the time step of the latest code that was taken; none before it counts again."""

    user_id: int
    sealed_secret: bytes = field(repr=False)
    seal_key_id: str
    created_at: int
    confirmed_at: int | None
    last_used_step: int | None


def find_totp_secret(connection: Connection, user_id: int) -> TotpSecretRow | None:
    """The secret of a person, one that is not confirmed yet too."""
    row = connection.execute(select(totp_secrets).where(totp_secrets.c.user_id == user_id)).mappings().first()
    return None if row is None else TotpSecretRow(**row)


def replace_unconfirmed_secret(
    connection: Connection, user_id: int, *, sealed_secret: bytes, seal_key_id: str, now: int
) -> None:
    """A secret to be confirmed, in the place of another that never was. The caller holds the person's row, and knows
    that none is confirmed.
    """
    unconfirmed = (totp_secrets.c.user_id == user_id) & totp_secrets.c.confirmed_at.is_(None)
    connection.execute(delete(totp_secrets).where(unconfirmed))
    values = {"user_id": user_id, "sealed_secret": sealed_secret, "seal_key_id": seal_key_id, "created_at": now}
    connection.execute(insert(totp_secrets).values(**values))


def confirm_secret(
    connection: Connection, user_id: int, *, sealed_secret: bytes, seal_key_id: str, step: int, now: int
) -> bool:
    """From now on it counts, the step of the code that confirmed it excepted; whether this call was the one."""
    values = {
        "sealed_secret": sealed_secret,
        "seal_key_id": seal_key_id,
        "confirmed_at": now,
        "last_used_step": step,
    }
    query = update(totp_secrets).where(totp_secrets.c.user_id == user_id, totp_secrets.c.confirmed_at.is_(None))
    return connection.execute(query.values(**values)).rowcount == 1


def use_step(connection: Connection, user_id: int, step: int) -> bool:
    """Use the code of a time step; whether this call was the first, and no later step's was used before.

    One statement, so that of however many who bring one code at the same moment exactly one is the first.
    """
    is_unused = totp_secrets.c.last_used_step.is_(None) | (totp_secrets.c.last_used_step < step)
    query = update(totp_secrets).where(
        totp_secrets.c.user_id == user_id, totp_secrets.c.confirmed_at.is_not(None), is_unused
    )
    return connection.execute(query.values(last_used_step=step)).rowcount == 1


def delete_totp_secret(connection: Connection, user_id: int) -> bool:
    """Forget a person's authenticator app; whether they had confirmed one."""
    is_confirmed = totp_secrets.c.confirmed_at.is_not(None)
    deleted = connection.execute(
        delete(totp_secrets).where(totp_secrets.c.user_id == user_id).returning(is_confirmed)
    ).scalars()
    return any(list(deleted))
