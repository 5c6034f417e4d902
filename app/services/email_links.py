"""Links that are sent to an address: who opens one shows that they read what comes there.

A link is 256 random bits, of which a keyed digest is stored; good once, until it expires, for one purpose and one
person, and only while what it was bound to (the password, the address) is still the same. Looking at one spends
nothing: programs that look through people's mail open every link in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import orjson

from app.services.deployment import Deployment
from app.services.mint_secret import is_well_formed, mint_secret
from app.services.seals import Bearer, SealError
from app.storage.database import Connection
from app.storage.email_links import EmailLinkRow, end_email_links, find_email_link, insert_email_link
from app.storage.single_use import redeem_once
from app.storage.users import UserRow, find_user, lock_user

LinkPurpose = Literal["reset", "sign_up", "verify", "email", "invitation", "provider_invitation"]
# How long each is good for. One that opens an account is short; one that only confirms an address may wait a day.
LIFETIMES_MS: Final[Mapping[LinkPurpose, int]] = {
    "reset": 30 * 60_000,
    "sign_up": 86_400_000,
    "verify": 86_400_000,
    "email": 86_400_000,
    "invitation": 7 * 86_400_000,
    "provider_invitation": 7 * 86_400_000,
}
# Where the page of each lies, beneath the issuer. The secret is the last segment of its path.
PATHS: Final[Mapping[LinkPurpose, str]] = {
    "reset": "/reset",
    "sign_up": "/signup",
    "verify": "/verify",
    "email": "/account/email",
    "invitation": "/invitation",
    "provider_invitation": "/login/invited",
}
_TABLE: Final = "email_links"


class LinkOver(Exception):
    """The link opens nothing: never made here, made for something else, used, expired, or overtaken. Not said which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedLink:
    """A link that is good. `user` is None where it is for somebody who is not a person here yet."""

    row: EmailLinkRow
    user: UserRow | None
    body: Mapping[str, str] = field(repr=False)

    @property
    def owner(self) -> UserRow:
        """The person, of a link that has one. Raises `LinkOver`."""
        if self.user is None:
            raise LinkOver
        return self.user


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLink:
    """A link that was just made."""

    url: str = field(repr=False)
    expires_at: int

    @property
    def values(self) -> dict[str, str]:
        """What a mail shows of it."""
        return {"link": self.url, "until": str(self.expires_at)}


def make_link(
    deployment: Deployment,
    connection: Connection,
    purpose: LinkPurpose,
    user: UserRow | None,
    *,
    body: Mapping[str, str],
    now: int,
) -> NewLink:
    """A new link, in the caller's transaction; of a person's earlier ones for this purpose none is good any more.

    `body` comes back when it is opened, and lies here so that only the link opens it.
    """
    secret = mint_secret("el")
    digest, digest_key_id = deployment.seals.digest("el", secret)
    bearer = _bearer(secret, digest_key_id)
    sealed = deployment.seals.seal_for_bearer(bearer, orjson.dumps(dict(body)), table=_TABLE, row=digest.hex())
    if user is not None:
        end_email_links(connection, user.id, purpose, now=now)
    row = EmailLinkRow(
        digest=digest,
        digest_key_id=digest_key_id,
        purpose=purpose,
        user_id=None if user is None else user.id,
        bound_digest=None if user is None else _bound_digests(deployment, purpose, user)[0],
        sealed_body=sealed,
        seal_key_id=digest_key_id,
        created_at=now,
        expires_at=now + LIFETIMES_MS[purpose],
        used_at=None,
    )
    insert_email_link(connection, row)
    # From the issuer, whatever host the request that caused it was sent to.
    return NewLink(url=f"{deployment.issuer}{PATHS[purpose]}/{secret}", expires_at=row.expires_at)


def look_at_link(deployment: Deployment, purpose: LinkPurpose, secret: str) -> OpenedLink:
    """What a link would do. Spends nothing. Raises `LinkOver`."""
    with deployment.database.reading() as connection:
        return _open(deployment, connection, purpose, secret)


def redeem_link(
    deployment: Deployment, connection: Connection, purpose: LinkPurpose, secret: str, *, now: int
) -> OpenedLink:
    """Spend a link, in the caller's transaction. Raises `LinkOver`; of those that come together one gets it.

    A person's link is looked at under the lock of their row: what is changed at this very moment overtakes it, and the
    person is as they are until the transaction ends.
    """
    opened = _open(deployment, connection, purpose, secret)
    if opened.user is not None:
        lock_user(connection, opened.user.sub)
        opened = _open(deployment, connection, purpose, secret)
    if not redeem_once(connection, "email_links", opened.row.digest, now=now):
        raise LinkOver
    return opened


def _open(deployment: Deployment, connection: Connection, purpose: LinkPurpose, secret: str) -> OpenedLink:
    if not is_well_formed("el", secret):
        raise LinkOver
    found = (find_email_link(connection, digest) for digest in deployment.seals.digests("el", secret))
    row = next((each for each in found if each is not None), None)
    if row is None or row.purpose != purpose or row.used_at is not None or row.expires_at <= deployment.clock():
        raise LinkOver
    user = None
    if row.user_id is not None:
        user = find_user(connection, row.user_id)
        if user is None or user.disabled_at is not None:
            raise LinkOver
        if row.bound_digest not in _bound_digests(deployment, purpose, user):
            raise LinkOver
    bearer = _bearer(secret, row.digest_key_id)
    try:
        body = deployment.seals.unseal_for_bearer(bearer, row.sealed_body, table=_TABLE, row=row.digest.hex())
    except SealError as error:
        raise LinkOver from error
    return OpenedLink(row=row, user=user, body=orjson.loads(body))


def _bearer(secret: str, digest_key_id: str) -> Bearer:
    return Bearer(secret_type="el", secret=secret, digest_key_id=digest_key_id)  # noqa: S106 - a type


def _bound_digests(deployment: Deployment, purpose: LinkPurpose, user: UserRow) -> tuple[bytes, ...]:
    """Of what must not have changed since: the address, and where the link opens the account the password too."""
    parts = [purpose, user.sub, user.email]
    if purpose != "verify":
        parts.append(user.password_hash or "")
    return deployment.seals.digests("email-link-binding", "\0".join(parts))
