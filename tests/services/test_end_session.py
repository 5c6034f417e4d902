"""Ending sessions: who is told, by which way, and that nobody is told twice or by a way that is switched off."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.end_session import FrontchannelClient, end_sessions
from app.services.manage_outbox import list_messages
from app.storage.clients import find_client
from app.storage.database import Connection
from app.storage.sessions import find_or_insert_sid, insert_browser, insert_session
from app.storage.users import find_user_by_sub
from tests.databases import fresh_database_url
from tests.deployments import Operator, make_deployment, make_environment

BOTH = "backchannel_logout,frontchannel_logout"


@pytest.fixture(params=["", "backchannel_logout", "frontchannel_logout", BOTH])
def operator(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Operator]:
    with fresh_database_url("sqlite", tmp_path) as database_url:
        environment = make_environment(
            issuer="https://login.example.com",
            database_url=database_url,
            directory=tmp_path,
            features_off=request.param,
        )
        operator = Operator(make_deployment(environment))
        yield operator
        operator.close()


def test_the_clients_of_a_session_are_told_once_and_by_what_is_switched_on(operator: Operator) -> None:
    deployment, account = operator.deployment, operator.add_user()
    client = operator.add_client(
        redirect_uris=["https://rp.example/callback"],
        backchannel_logout_uri="https://rp.example/ended",
        frontchannel_logout_uri="https://rp.example/out",
    )
    operator.add_client()
    now = deployment.clock()

    def begin(connection: Connection) -> int:
        user, row = find_user_by_sub(connection, account.sub), find_client(connection, client.client_id)
        assert user is not None
        assert row is not None
        browser_id = insert_browser(
            connection,
            digest=secrets.token_bytes(32),
            digest_key_id="k",
            browser_state="s",
            now=now,
            expires_at=now + 1_000_000,
        )
        session_id = insert_session(
            connection, browser_id=browser_id, user_id=user.id, now=now, expires_at=now + 1_000_000
        )
        find_or_insert_sid(
            connection, session_id=session_id, client_pk=row.id, sid="sid-1", client_subject="somebody", now=now
        )
        return session_id

    session_id = deployment.database.transact(begin)

    def end(connection: Connection) -> tuple[FrontchannelClient, ...]:
        return end_sessions(
            deployment, connection, [session_id], sub=account.sub, actor="user", reason="logout", now=now
        )

    enabled = deployment.settings.feature_names
    told = deployment.database.transact(end)
    assert [(each.client_id, each.sid) for each in told] == (
        [(client.client_id, "sid-1")] if "frontchannel_logout" in enabled else []
    )
    expected = [client.client_id] if "backchannel_logout" in enabled else []
    assert [message.client_id for message in list_messages(deployment)] == expected
    # A session that has ended ends no more.
    assert deployment.database.transact(end) == ()
    assert len(list_messages(deployment)) == len(expected)
