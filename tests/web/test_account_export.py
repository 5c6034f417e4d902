"""What is downloaded is everything: the parts that no page shows, and as many of each as there are."""

import base64

import pytest

from app.services.manage_providers import add_provider
from app.services.manage_users import export_user
from app.storage.database import Connection
from app.storage.identity_providers import find_provider
from app.storage.linked_identities import insert_link
from app.storage.passkeys import NewPasskey, insert_passkey
from app.storage.users import find_user_by_sub
from tests.actors.account import open_account
from tests.actors.token_exchange import exchange, make_chain
from tests.world import World

pytestmark = pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True)
CREDENTIAL = b"a credential of 32 bytes or more"
COPY_SESSION = """
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 201)
    INSERT INTO sessions (browser_id, user_id, created_at, last_used_at, expires_at)
    SELECT browser_id, user_id, created_at, last_used_at, expires_at FROM numbers,
    (SELECT * FROM sessions WHERE user_id = ? LIMIT 1)
"""
COPY_GRANT = """
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 501)
    INSERT INTO grants
    (grant_id, user_id, client_pk, session_id, snapshot, duration, policy_version, created_at, expires_at)
    SELECT 'copy-' || n || '-' || grant_id, user_id, client_pk, session_id, snapshot, duration, policy_version,
    created_at, expires_at FROM numbers, (SELECT * FROM grants WHERE user_id = ? AND depth IS NULL LIMIT 1)
"""


def _run(world: World, statement: str, *values: object) -> None:
    world.operator.deployment.database.transact(
        lambda connection: connection.exec_driver_sql(statement, values)  # type: ignore[arg-type]
    )


def _user_id(world: World, sub: str) -> int:
    with world.operator.deployment.database.reading() as connection:
        row = find_user_by_sub(connection, sub)
    assert row is not None
    return row.id


def test_who_holds_what_through_whom_is_in_it(world: World) -> None:
    chain = make_chain(world)
    exchange(chain.library, chain.get_token(), resource=chain.prints)
    document = export_user(world.operator.deployment, chain.account.username)
    held = [grant for application in document["applications"] for grant in application["grants"]]
    (passed_on,) = [delegation for grant in held for delegation in grant["passed_on"]]
    assert passed_on["client_id"] == chain.library.client_id
    assert passed_on["scope"] == {chain.prints: ["prints.read"]}
    assert passed_on["passed_on"] == []


def test_who_they_are_elsewhere_and_what_they_sign_in_with_is_in_it(world: World) -> None:
    account, deployment = world.operator.add_user(), world.operator.deployment
    party = world.relying_party(subject_type="pairwise")
    tokens = world.get_tokens(party, account)
    elsewhere = {"issuer": "https://elsewhere.example", "client_id": "us", "client_secret": "only-they-know"}
    add_provider(deployment, {"name": "elsewhere", "display_name": "Elsewhere", **elsewhere})
    user_id = _user_id(world, account.sub)
    passkey = NewPasskey(
        credential_id=CREDENTIAL,
        public_key=b"key",
        sign_count=0,
        transports=(),
        aaguid="",
        name="Phone",
        is_backup_eligible=False,
        is_backed_up=False,
    )

    def write(connection: Connection) -> None:
        provider = find_provider(connection, "elsewhere")
        assert provider is not None
        issuer = "https://elsewhere.example"
        link = {"provider_id": provider.id, "issuer": issuer, "subject": "them-there", "label": "them", "now": 1}
        insert_link(connection, user_id=user_id, **link)
        insert_passkey(connection, user_id, passkey, now=1)

    deployment.database.transact(write)
    document = export_user(deployment, account.username)
    (login,) = document["linked_logins"]
    assert (login["issuer"], login["sub"]) == ("https://elsewhere.example", "them-there")
    (key,) = document["factors"]["passkeys"]
    assert base64.urlsafe_b64decode(key["credential_id"] + "=") == CREDENTIAL
    (device,) = document["known_devices"]
    assert device["known_since"] < device["until"]
    assert tokens.id_claims["sub"] in {pair["sub"] for pair in document["pairwise_subjects"]}


def test_nothing_is_left_out_because_there_is_much_of_it(world: World) -> None:
    account = world.operator.add_user()
    browser = world.browser()
    world.get_tokens(world.relying_party(), account, browser=browser)
    open_account(world, account, browser=browser)
    user_id = _user_id(world, account.sub)
    _run(world, COPY_SESSION, user_id)
    _run(world, COPY_GRANT, user_id)
    document = export_user(world.operator.deployment, account.username)
    assert len(document["sessions"]) == 202
    assert sum(len(application["grants"]) for application in document["applications"]) == 502
