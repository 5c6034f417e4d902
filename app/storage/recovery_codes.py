"""Recovery codes: keyed digests, one use each. How one is spent: `single_use.redeem_recovery_code`."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert

from app.storage.tables import recovery_codes


def replace_recovery_codes(
    connection: Connection, user_id: int, digests: Sequence[bytes], *, digest_key_id: str, now: int
) -> None:
    """New codes in the place of all that a person had, used ones too."""
    delete_recovery_codes(connection, user_id)
    rows = [
        {"digest": digest, "digest_key_id": digest_key_id, "user_id": user_id, "created_at": now} for digest in digests
    ]
    connection.execute(insert(recovery_codes), rows)


def delete_recovery_codes(connection: Connection, user_id: int) -> int:
    """Forget a person's codes; how many."""
    return connection.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id)).rowcount
