"""Passkeys: the public halves of the key pairs with which people sign in, found by their credential id."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from app.storage.conflicts import refusing_duplicates
from app.storage.tables import passkeys, users


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPasskey:
    """What an authenticator told when it made the key. `transports`: how it can be reached, in its own words."""

    credential_id: bytes = field(repr=False)
    public_key: bytes = field(repr=False)
    sign_count: int
    transports: tuple[str, ...]
    aaguid: str
    name: str
    is_backup_eligible: bool
    is_backed_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyRow(NewPasskey):
    """One passkey of one person. Times in milliseconds; `last_used_at` is None until it has let somebody in."""

    id: int
    user_id: int
    created_at: int
    last_used_at: int | None


_COLUMNS = [passkeys.c[name] for name in PasskeyRow.__dataclass_fields__]


def insert_passkey(connection: Connection, user_id: int, passkey: NewPasskey, *, now: int) -> int:
    """The id of the new passkey. Raises `AlreadyTaken` where the credential id is anybody's already."""
    values = {name: getattr(passkey, name) for name in NewPasskey.__dataclass_fields__}
    statement = insert(passkeys).values(
        **{**values, "transports": " ".join(passkey.transports)},
        credential_id_digest=_digest(passkey.credential_id),
        user_id=user_id,
        created_at=now,
    )
    with refusing_duplicates():
        passkey_id: int = connection.execute(statement.returning(passkeys.c.id)).scalar_one()
    return passkey_id


def list_passkeys(connection: Connection, user_id: int) -> tuple[PasskeyRow, ...]:
    """The passkeys of a person, the oldest first."""
    query = select(*_COLUMNS).where(passkeys.c.user_id == user_id).order_by(passkeys.c.created_at, passkeys.c.id)
    return tuple(_read(row) for row in connection.execute(query).mappings())


def find_passkey(connection: Connection, credential_id: bytes) -> PasskeyRow | None:
    """The passkey of a credential id, whoever's it is."""
    query = select(*_COLUMNS).where(passkeys.c.credential_id_digest == _digest(credential_id))
    row = connection.execute(query).mappings().first()
    return None if row is None else _read(row)


def note_passkey_use(connection: Connection, passkey_id: int, *, sign_count: int, is_backed_up: bool, now: int) -> bool:
    """Write down a use, in one statement; False where the count of signatures does not go on from the last one seen.

    WebAuthn 7.2: an authenticator that does not count says 0 each time.
    """
    goes_on = passkeys.c.sign_count < sign_count
    if sign_count == 0:
        goes_on = passkeys.c.sign_count == 0
    statement = update(passkeys).where(passkeys.c.id == passkey_id, goes_on)
    values = {"sign_count": sign_count, "is_backed_up": is_backed_up, "last_used_at": now}
    return connection.execute(statement.values(**values)).rowcount == 1


def rename_passkey(connection: Connection, user_id: int, passkey_id: int, name: str) -> bool:
    """Give a passkey another name; whether the person has it."""
    statement = update(passkeys).where(passkeys.c.id == passkey_id, passkeys.c.user_id == user_id)
    return connection.execute(statement.values(name=name)).rowcount == 1


def delete_passkey(connection: Connection, user_id: int, passkey_id: int) -> str | None:
    """Forget a passkey of a person; the name that it had, or None where they have no such passkey."""
    statement = delete(passkeys).where(passkeys.c.id == passkey_id, passkeys.c.user_id == user_id)
    return connection.execute(statement.returning(passkeys.c.name)).scalar_one_or_none()


def delete_passkeys(connection: Connection, user_id: int) -> int:
    """Forget all passkeys of a person; how many."""
    return connection.execute(delete(passkeys).where(passkeys.c.user_id == user_id)).rowcount


def find_user_handle(connection: Connection, user_id: int) -> bytes | None:
    """By what the person's authenticators know them; None before their first passkey."""
    return connection.execute(select(users.c.webauthn_user_handle).where(users.c.id == user_id)).scalar_one_or_none()


def get_user_handle(connection: Connection, user_id: int, *, minted: bytes) -> bytes:
    """As `find_user_handle`; `minted` becomes it where there was none, and the one that is there is never replaced."""
    unset = update(users).where(users.c.id == user_id, users.c.webauthn_user_handle.is_(None))
    connection.execute(unset.values(webauthn_user_handle=minted))
    handle: bytes = connection.execute(select(users.c.webauthn_user_handle).where(users.c.id == user_id)).scalar_one()
    return handle


def _digest(credential_id: bytes) -> bytes:
    return hashlib.sha256(credential_id).digest()


def _read(row: RowMapping) -> PasskeyRow:
    transports: Sequence[str] = row["transports"].split()
    return PasskeyRow(**{**row, "transports": tuple(transports)})
