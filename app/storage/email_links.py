"""Links that were sent to an address. A used one stays until it would have expired, so that its reuse is seen."""

from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, insert, select, update

from app.storage.prepared import Prepared
from app.storage.tables import email_links


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailLinkRow:
    """A link as it lies in the database. Times in milliseconds."""

    digest: bytes
    digest_key_id: str
    purpose: str
    user_id: int | None
    bound_digest: bytes | None
    sealed_body: bytes = field(repr=False)
    seal_key_id: str
    created_at: int
    expires_at: int
    used_at: int | None


_NAMES = tuple(EmailLinkRow.__dataclass_fields__)
_INSERT = Prepared(insert(email_links).values({name: bindparam(name) for name in _NAMES}))
_FIND = Prepared(select(*(email_links.c[name] for name in _NAMES)).where(email_links.c.digest == bindparam("digest")))


def insert_email_link(connection: Connection, row: EmailLinkRow) -> None:
    """Store a new one."""
    _INSERT.run(connection, {name: getattr(row, name) for name in _NAMES})


def find_email_link(connection: Connection, digest: bytes) -> EmailLinkRow | None:
    """The link of a digest, used and expired ones too."""
    row = _FIND.first(connection, {"digest": digest})
    return None if row is None else EmailLinkRow(**dict(zip(_NAMES, row, strict=True)))


def end_email_links(connection: Connection, user_id: int, purpose: str, *, now: int) -> None:
    """Whatever was sent to a person for a purpose and was not used yet is good for nothing any more."""
    unused = (email_links.c.user_id == user_id) & (email_links.c.purpose == purpose) & email_links.c.used_at.is_(None)
    connection.execute(update(email_links).where(unused).values(used_at=now))
