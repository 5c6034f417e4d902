"""What only the database decides about passkeys: one of many at the same moment, on each database."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.storage.conflicts import AlreadyTaken
from app.storage.database import Database
from app.storage.passkeys import (
    NewPasskey,
    delete_passkey,
    find_passkey,
    get_user_handle,
    insert_passkey,
    list_passkeys,
    note_passkey_use,
)
from app.storage.users import insert_user
from tests.databases import migrated_database

database_url = migrated_database


@pytest.fixture
def database(database_url: str) -> "Database":
    return Database(database_url, pool_size=8)


def new_passkey(credential_id: bytes) -> NewPasskey:
    return NewPasskey(
        credential_id=credential_id,
        public_key=b"key",
        sign_count=0,
        transports=("internal", "hybrid"),
        aaguid="",
        name="A",
        is_backup_eligible=True,
        is_backed_up=False,
    )


def test_passkeys_on_a_database(database: Database, tmp_path: Path) -> None:
    def add_user(name: str) -> int:
        return database.transact(
            lambda connection: insert_user(
                connection,
                sub=name,
                username=name,
                username_key=name,
                email=f"{name}@example.com",
                email_key=f"{name}@example.com",
                password_hash=None,
                claims={},
                is_admin=False,
                created_at=1,
            )
        )

    ada, bob = add_user("ada"), add_user("bob")
    with ThreadPoolExecutor(8) as threads:
        # The first handle stays, whoever comes with another.
        handles = threads.map(
            lambda number: database.transact(
                lambda connection: get_user_handle(connection, ada, minted=bytes([number]) * 32)
            ),
            range(8),
        )
        assert len(set(handles)) == 1
    long_id = b"x" * 1023
    passkey_id = database.transact(lambda connection: insert_passkey(connection, ada, new_passkey(long_id), now=1))
    # A credential id is one person's.
    with pytest.raises(AlreadyTaken):
        database.transact(lambda connection: insert_passkey(connection, bob, new_passkey(long_id), now=1))

    def use(count: int) -> bool:
        return database.transact(
            lambda connection: note_passkey_use(connection, passkey_id, sign_count=count, is_backed_up=True, now=2)
        )

    # What does not count may be used again and again; what counts goes on, and one of many has the next number.
    assert [use(0), use(0)] == [True, True]
    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(use, [5] * 8)) == [False] * 7 + [True]
    assert [use(5), use(4), use(0), use(6)] == [False, False, False, True]
    with database.reading() as connection:
        row = find_passkey(connection, long_id)
        assert row is not None
        assert (row.user_id, row.sign_count, row.is_backed_up, row.last_used_at) == (ada, 6, True, 2)
        assert row.transports == ("internal", "hybrid")
        assert list_passkeys(connection, bob) == ()
    # Nobody removes another's.
    assert database.transact(lambda connection: delete_passkey(connection, bob, passkey_id)) is None
    assert database.transact(lambda connection: delete_passkey(connection, ada, passkey_id)) == "A"
    database.dispose()
