"""Work that one process at a time does for all of them: whoever holds the name does it, until the lease runs out."""

from sqlalchemy import Connection, text

# Both databases know this form; SQLAlchemy has it only once per dialect.
_TAKE = text(
    "INSERT INTO leases (name, holder, expires_at) VALUES (:name, :holder, :expires_at) "
    "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at "
    "WHERE leases.holder = excluded.holder OR leases.expires_at <= :now "
    # Later than anybody could have said: its holder's clock was ahead.
    "OR leases.expires_at > excluded.expires_at"
)


def take_lease(connection: Connection, name: str, *, holder: str, now: int, expires_at: int) -> bool:
    """Whether `holder` has the work from now on; the row stays locked until the transaction ends."""
    taken = connection.execute(_TAKE, {"name": name, "holder": holder, "now": now, "expires_at": expires_at})
    return taken.rowcount == 1
