"""Devices on which somebody has logged in before."""

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


def find_known_device(connection: Connection, digests: tuple[bytes, ...], *, now: int) -> int | None:
    """The id of the person who has logged in on the device, or None."""
    query = select(known_devices.c.user_id).where(known_devices.c.digest.in_(digests), known_devices.c.expires_at > now)
    return connection.execute(query).scalar()


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


def delete_known_device(connection: Connection, digests: tuple[bytes, ...]) -> None:
    """Forget a device, for instance because it was given a new secret."""
    connection.execute(delete(known_devices).where(known_devices.c.digest.in_(digests)))


def delete_known_devices(connection: Connection, user_id: int) -> int:
    """Forget every device of a person; how many."""
    return connection.execute(delete(known_devices).where(known_devices.c.user_id == user_id)).rowcount
