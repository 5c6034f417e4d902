"""Devices on which people have logged in: a row for each person on each of them."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from app.storage.tables import known_devices


def insert_known_device(
    connection: Connection, *, digest: bytes, digest_key_id: str, user_id: int, now: int, expires_at: int
) -> None:
    """A device on which a person has logged in."""
    connection.execute(
        insert(known_devices).values(
            digest=digest, digest_key_id=digest_key_id, user_id=user_id, created_at=now, expires_at=expires_at
        )
    )


def find_known_devices(connection: Connection, digests: Sequence[bytes], *, now: int) -> dict[bytes, int]:
    """Whose the devices are, by digest; those that nobody has, or that have run out, are missing."""
    if not digests:
        return {}
    query = select(known_devices.c.digest, known_devices.c.user_id)
    query = query.where(known_devices.c.digest.in_(digests), known_devices.c.expires_at > now)
    return {bytes(row.digest): row.user_id for row in connection.execute(query)}


def has_known_device(connection: Connection, user_id: int) -> bool:
    """Whether a person has logged in on any device that is remembered, in time or not."""
    query = select(known_devices.c.user_id).where(known_devices.c.user_id == user_id).limit(1)
    return connection.execute(query).first() is not None


def list_known_devices(connection: Connection, user_id: int) -> tuple[tuple[int, int], ...]:
    """When each device of a person became known, and until when it is; the oldest first."""
    query = (
        select(known_devices.c.created_at, known_devices.c.expires_at)
        .where(known_devices.c.user_id == user_id)
        .order_by(known_devices.c.created_at)
    )
    return tuple((row[0], row[1]) for row in connection.execute(query))


def delete_known_device(connection: Connection, digests: Sequence[bytes]) -> None:
    """Forget a device, for instance because it was given a new secret."""
    connection.execute(delete(known_devices).where(known_devices.c.digest.in_(digests)))


def delete_known_devices(connection: Connection, user_id: int, *, but: Sequence[bytes] = ()) -> int:
    """Forget every device of a person, those excepted that `but` names by their digests; how many."""
    query = delete(known_devices).where(known_devices.c.user_id == user_id, known_devices.c.digest.not_in(but))
    return connection.execute(query).rowcount
