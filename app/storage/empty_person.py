"""What is left of a deleted account: a row that says nothing, so that its `sub` is never given out again."""

from sqlalchemy import Connection, delete, select, update

from app.storage.tables import (
    consents,
    email_links,
    grants,
    known_devices,
    linked_identities,
    passkeys,
    recovery_codes,
    sessions,
    totp_secrets,
    upstream_sessions,
    users,
)

# What holds something of a person beside their own row. Pairwise subjects stay, for they are never given out again.
_OWN = (passkeys, totp_secrets, recovery_codes, email_links, linked_identities, known_devices, consents)


def empty_person(connection: Connection, user_id: int, *, sub: str, now: int) -> None:
    """Take everything out that says who somebody was. Ends nothing: sessions and grants have ended before.

    The key goes under which the audit trail and their devices are sealed: what is left there cannot be read any more.
    """
    own_sessions = select(sessions.c.id).where(sessions.c.user_id == user_id)
    connection.execute(delete(upstream_sessions).where(upstream_sessions.c.session_id.in_(own_sessions)))
    for table in _OWN:
        connection.execute(delete(table).where(table.c.user_id == user_id))
    connection.execute(update(sessions).where(sessions.c.user_id == user_id).values(sealed_device=None))
    connection.execute(update(grants).where(grants.c.user_id == user_id).values(sealed_last_use=None))
    nothing = {
        "username": "",
        # Nobody can be called this: a name that looks like a subject is refused.
        "username_key": sub,
        "email": "",
        "email_key": sub,
        "password_hash": None,
        "password_set_at": None,
        "claims": "{}",
        "is_admin": False,
        "sealed_audit_key": None,
        "seal_key_id": None,
        "webauthn_user_handle": None,
        "disabled_at": now,
        "deleted_at": now,
    }
    connection.execute(update(users).where(users.c.id == user_id).values(nothing))


def lock_administrators(connection: Connection) -> tuple[int, ...]:
    """The administrators who can sign in, none of whom comes or goes until the transaction ends."""
    query = select(users.c.id).where(users.c.is_admin.is_(True), users.c.disabled_at.is_(None)).order_by(users.c.id)
    return tuple(connection.execute(query.with_for_update()).scalars())
