"""Whether a person has second factors; the tables of each are written by the module of its own."""

from sqlalchemy import BindParameter, Connection, bindparam, func, select

from app.storage.prepared import Prepared
from app.storage.tables import passkeys, recovery_codes, totp_secrets

_OWNER: BindParameter[int] = bindparam("user_id")
_COUNT_PASSKEYS = Prepared(select(func.count()).select_from(passkeys).where(passkeys.c.user_id == _OWNER))
_COUNT_CODES = Prepared(
    select(func.count())
    .select_from(recovery_codes)
    .where(recovery_codes.c.user_id == _OWNER, recovery_codes.c.used_at.is_(None))
)
_FIND_TOTP = Prepared(
    select(totp_secrets.c.user_id).where(totp_secrets.c.user_id == _OWNER, totp_secrets.c.confirmed_at.is_not(None))
)


def has_totp(connection: Connection, user_id: int) -> bool:
    """Whether they confirmed an authenticator app."""
    return _FIND_TOTP.first(connection, {"user_id": user_id}) is not None


def count_passkeys(connection: Connection, user_id: int) -> int:
    """How many passkeys they have."""
    row = _COUNT_PASSKEYS.first(connection, {"user_id": user_id})
    return 0 if row is None else int(row[0])


def count_unused_recovery_codes(connection: Connection, user_id: int) -> int:
    """How many recovery codes they have left."""
    row = _COUNT_CODES.first(connection, {"user_id": user_id})
    return 0 if row is None else int(row[0])
