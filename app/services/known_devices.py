"""Devices on which somebody has logged in: known by a cookie that only a login gives, and that each renews."""

from app.services.deployment import Deployment
from app.services.mint_secret import is_well_formed, mint_secret
from app.storage.database import Connection
from app.storage.known_devices import delete_known_device, find_known_device, insert_known_device

KNOWN_DEVICE_LIFETIME_MS = 180 * 86_400_000


def find_known_device_user(deployment: Deployment, secret: str | None) -> int | None:
    """Whose device it is, by the cookie that it brings; None where that names nobody's."""
    if secret is None:
        return None
    with deployment.database.reading() as connection:
        return find_known_device_of(deployment, connection, secret, now=deployment.clock())


def find_known_device_of(deployment: Deployment, connection: Connection, secret: str | None, *, now: int) -> int | None:
    """As `find_known_device_user`, in the caller's transaction."""
    if secret is None or not is_well_formed("kd", secret):
        return None
    return find_known_device(connection, deployment.seals.digests("kd", secret), now=now)


def renew_known_device(
    deployment: Deployment, connection: Connection, old_secret: str | None, *, user_id: int, now: int
) -> str:
    """Make a device somebody's, in the caller's transaction; its new secret. The old one names nobody's any more."""
    if old_secret is not None and is_well_formed("kd", old_secret):
        delete_known_device(connection, deployment.seals.digests("kd", old_secret))
    secret = mint_secret("kd")
    digest, digest_key_id = deployment.seals.digest("kd", secret)
    expires_at = now + KNOWN_DEVICE_LIFETIME_MS
    insert_known_device(
        connection, digest=digest, digest_key_id=digest_key_id, user_id=user_id, now=now, expires_at=expires_at
    )
    return secret
