"""Opaque tokens leave once they have expired, and keep their grant until then."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.services.identifiers import new_grant_id
from app.storage.database import Connection
from app.storage.grants import GrantRow, insert_grant
from app.storage.purge import purge_expired
from app.storage.tables import clients, grants, opaque_tokens
from app.storage.token_states import find_opaque_token, insert_opaque_token
from tests.databases import BACKENDS, migrated_database_url
from tests.deployments import Operator, make_deployment, make_environment

DAY_MS = 86_400_000


@pytest.fixture(params=BACKENDS)
def operator(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Operator]:
    with migrated_database_url(request.param, tmp_path) as database_url:
        environment = make_environment(issuer="http://localhost:8400", database_url=database_url, directory=tmp_path)
        operator = Operator(make_deployment(environment))
        yield operator
        operator.close()


def test_an_opaque_token_leaves_when_it_has_expired_and_its_grant_only_after_it(operator: Operator) -> None:
    client_id = operator.add_client().client_id
    database = operator.deployment.database

    def store(connection: Connection) -> None:
        client_pk = connection.execute(select(clients.c.id).where(clients.c.client_id == client_id)).scalar_one()
        grant = GrantRow(
            grant_id=new_grant_id(),
            user_id=None,
            client_pk=client_pk,
            session_id=None,
            parent_grant_id=None,
            snapshot={"scope": {}},
            duration="until_revoked",
            policy_version=1,
            created_at=0,
            expires_at=1000,
            revoked_at=None,
        )
        insert_grant(connection, grant)
        for number, grant_id in enumerate((grant.grant_id, None)):
            insert_opaque_token(
                connection,
                digest=bytes([number]) * 32,
                digest_key_id="k",
                jti=bytes([number]) * 16,
                grant_id=grant_id,
                client_pk=client_pk,
                claims="{}",
                expires_at=2 * DAY_MS,
            )

    def purge_at(now: int) -> tuple[int, int]:
        def work(connection: Connection) -> tuple[int, int]:
            # Twice: what kept a row in the first round may be gone in the second.
            for _ in range(2):
                purge_expired(connection, now=now, audit_before=0, retries_end_before=0)
            count = select(func.count())
            return (
                connection.execute(count.select_from(opaque_tokens)).scalar_one(),
                connection.execute(count.select_from(grants)).scalar_one(),
            )

        return database.transact(work)

    database.transact(store)
    with database.reading() as connection:
        state = find_opaque_token(connection, (b"x" * 32, bytes(32)), now=500)
        assert state is not None
        assert (state.is_live, state.client_id) == (True, client_id)
        ended_grant = find_opaque_token(connection, (bytes(32),), now=1000)
        assert ended_grant is not None
        assert not ended_grant.is_live
    assert purge_at(2 * DAY_MS - 1) == (2, 1)
    assert purge_at(2 * DAY_MS) == (0, 0)
