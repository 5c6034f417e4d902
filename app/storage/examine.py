"""What an operator's check asks of the database itself: how it writes, and what is digested under an old key."""

from sqlalchemy import Connection, func, select

from app.storage.tables import metadata


def read_durability(connection: Connection) -> dict[str, str]:
    """The database's own settings that decide whether a commit survives a power loss, by name."""
    if connection.dialect.name == "sqlite":
        names: tuple[str, ...] = ("journal_mode", "synchronous", "foreign_keys")
        return {name: str(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()) for name in names}
    names = ("fsync", "synchronous_commit", "full_page_writes", "server_encoding")
    return {name: str(connection.exec_driver_sql(f"SHOW {name}").scalar_one()) for name in names}


def count_old_digests(connection: Connection, newest_key_id: str) -> dict[str, int]:
    """How many rows of each table are not yet digested under the newest key; tables without such rows are left out."""
    counts = {}
    for table in metadata.sorted_tables:
        if "digest_key_id" in table.c:
            query = select(func.count()).select_from(table).where(table.c.digest_key_id != newest_key_id)
            count = connection.execute(query).scalar_one()
            if count:
                counts[table.name] = count
    return counts
