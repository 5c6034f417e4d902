"""Devices on which somebody has logged in: no failure of others keeps their owner out there.

Several people may share a browser, and each has a secret of their own in its one cookie, side by side: whoever signs in
gets another one, so that a planted one is worthless, and those of the others stay as they are. A secret vouches for
the person who got it and for nobody else.
"""

from app.services.deployment import Deployment
from app.services.mint_secret import is_well_formed, mint_secret
from app.storage import known_devices as storage
from app.storage.database import Connection

MAX_PEOPLE_ON_DEVICE = 10
_LIFETIME_MS = 180 * 86_400_000
_SEPARATOR = "."


def find_known_devices(
    deployment: Deployment, connection: Connection, device_cookie: str | None, *, now: int
) -> dict[int, str]:
    """For whom a browser's cookie vouches: the secret of each, by the person's id, who came last first."""
    digests = {digest: secret for secret in _split(device_cookie) for digest in deployment.seals.digests("kd", secret)}
    found = storage.find_known_devices(connection, tuple(digests), now=now)
    return {found[digest]: secret for digest, secret in digests.items() if digest in found}


def find_known_device_of(
    deployment: Deployment, connection: Connection, device_cookie: str | None, user_id: int, *, now: int
) -> str | None:
    """The secret by which this is a device of one person; None where they have never logged in on it."""
    return find_known_devices(deployment, connection, device_cookie, now=now).get(user_id)


def renew_known_device(
    deployment: Deployment, connection: Connection, device_cookie: str | None, user_id: int, *, now: int
) -> str:
    """Somebody has logged in: what the cookie is to hold from now on.

    Beyond ten people the one who has not logged in here for the longest time is forgotten.
    """
    others = [
        secret
        for owner, secret in find_known_devices(deployment, connection, device_cookie, now=now).items()
        if owner != user_id
    ][: MAX_PEOPLE_ON_DEVICE - 1]
    over = [secret for secret in _split(device_cookie) if secret not in others]
    storage.delete_known_device(connection, _digests(deployment, over))
    new = mint_secret("kd")
    digest, digest_key_id = deployment.seals.digest("kd", new)
    storage.insert_known_device(
        connection,
        digest=digest,
        digest_key_id=digest_key_id,
        user_id=user_id,
        now=now,
        expires_at=now + _LIFETIME_MS,
    )
    return _SEPARATOR.join((new, *others))


def forget_known_devices(
    deployment: Deployment, connection: Connection, user_id: int, *, but_of: str | None = None
) -> int:
    """Every device of a person is a stranger's again, that one excepted on which they act; how many.

    `but_of`: the cookie of the browser in which they act.
    """
    return storage.delete_known_devices(connection, user_id, but=_digests(deployment, _split(but_of)))


def _split(device_cookie: str | None) -> list[str]:
    """The secrets in a cookie, none for anything malformed, and no more than we ever put there."""
    parts = (device_cookie or "").split(_SEPARATOR, MAX_PEOPLE_ON_DEVICE)[:MAX_PEOPLE_ON_DEVICE]
    return [part for part in parts if is_well_formed("kd", part)]


def _digests(deployment: Deployment, secrets: list[str]) -> tuple[bytes, ...]:
    return tuple(digest for secret in secrets for digest in deployment.seals.digests("kd", secret))
