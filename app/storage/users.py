"""People: found by name without regard to case and by subject; their claims are one JSON document."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from app.storage.conflicts import refusing_duplicates
from app.storage.tables import users


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    """One person. `claims` holds what OpenID Connect tells clients, the e-mail excepted where it is not verified."""

    id: int
    sub: str
    username: str
    email: str
    password_hash: str | None = field(repr=False)
    claims: dict[str, Any]
    is_admin: bool
    created_at: int
    disabled_at: int | None
    sealed_audit_key: bytes | None = field(repr=False)
    seal_key_id: str | None
    deleted_at: int | None = None
    password_set_at: int | None = None


_COLUMNS = [users.c[name] for name in UserRow.__dataclass_fields__]
_FIND = select(*_COLUMNS).where(users.c.id == bindparam("user_id"))
_FIND_BY_NAME = select(*_COLUMNS).where(users.c.username_key == bindparam("key"))
_FIND_BY_SUB = select(*_COLUMNS).where(users.c.sub == bindparam("sub"))
_LIST = select(*_COLUMNS).where(users.c.deleted_at.is_(None)).order_by(users.c.username_key)


def insert_user(
    connection: Connection,
    *,
    sub: str,
    username: str,
    username_key: str,
    email: str,
    email_key: str,
    password_hash: str | None,
    claims: Mapping[str, Any],
    is_admin: bool,
    created_at: int,
    sealed_audit_key: bytes | None = None,
    seal_key_id: str | None = None,
) -> int:
    """The id of the new person. Raises `AlreadyTaken` for a name that is."""
    statement = insert(users).values(
        sub=sub,
        username=username,
        username_key=username_key,
        email=email,
        email_key=email_key,
        password_hash=password_hash,
        claims=_to_json(claims),
        is_admin=is_admin,
        created_at=created_at,
        sealed_audit_key=sealed_audit_key,
        seal_key_id=seal_key_id,
        password_set_at=None if password_hash is None else created_at,
    )
    with refusing_duplicates():
        user_id: int = connection.execute(statement.returning(users.c.id)).scalar_one()
    return user_id


def find_user(connection: Connection, user_id: int) -> UserRow | None:
    """The person of an internal id, disabled ones too."""
    return _to_row(connection.execute(_FIND, {"user_id": user_id}).mappings().first())


def find_user_by_name(connection: Connection, username_key: str) -> UserRow | None:
    """The person of a folded name (see `username_key` in the services), disabled ones too."""
    return _to_row(connection.execute(_FIND_BY_NAME, {"key": username_key}).mappings().first())


def find_user_by_sub(connection: Connection, sub: str) -> UserRow | None:
    """The person of a subject, disabled ones too."""
    return _to_row(connection.execute(_FIND_BY_SUB, {"sub": sub}).mappings().first())


def find_users_by_email(connection: Connection, email_key: str) -> tuple[UserRow, ...]:
    """Everybody with an e-mail address, verified or not."""
    rows = connection.execute(select(*_COLUMNS).where(users.c.email_key == email_key).order_by(users.c.id))
    return tuple(_read(row) for row in rows.mappings())


def list_users(connection: Connection) -> tuple[UserRow, ...]:
    """Everybody who has an account still, by name."""
    return tuple(_read(row) for row in connection.execute(_LIST).mappings())


def lock_user(connection: Connection, sub: str) -> UserRow | None:
    """The person, whose row nobody else changes until this transaction ends; None for one whose account was deleted.

    Whoever comes just after the deletion must not write anything into what it emptied.
    """
    query = _FIND_BY_SUB.where(users.c.deleted_at.is_(None)).with_for_update()
    return _to_row(connection.execute(query, {"sub": sub}).mappings().first())


def set_disabled(connection: Connection, user_id: int, disabled_at: int | None) -> None:
    """Disable (a time) or enable (None). Ends no session: that is the services' part."""
    connection.execute(update(users).where(users.c.id == user_id).values(disabled_at=disabled_at))


def set_password_hash(connection: Connection, user_id: int, password_hash: str, *, set_at: int | None = None) -> None:
    """Replace the encoded hash. `set_at`: when the password became another one; None where it is the same as before."""
    values: dict[str, Any] = {"password_hash": password_hash}
    if set_at is not None:
        values["password_set_at"] = set_at
    connection.execute(update(users).where(users.c.id == user_id).values(values))


def set_email(connection: Connection, user_id: int, *, email: str, email_key: str) -> None:
    """Replace the e-mail address. What the claims say of its verification is not touched."""
    connection.execute(update(users).where(users.c.id == user_id).values(email=email, email_key=email_key))


def set_claims(connection: Connection, user_id: int, claims: Mapping[str, Any]) -> None:
    """Replace the whole document of claims."""
    connection.execute(update(users).where(users.c.id == user_id).values(claims=_to_json(claims)))


def set_admin(connection: Connection, user_id: int, *, is_admin: bool) -> None:
    """Make somebody an administrator, or no longer."""
    connection.execute(update(users).where(users.c.id == user_id).values(is_admin=is_admin))


def _to_json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _to_row(row: RowMapping | None) -> UserRow | None:
    return None if row is None else _read(row)


def _read(row: RowMapping) -> UserRow:
    return UserRow(**{**row, "claims": json.loads(row["claims"])})
