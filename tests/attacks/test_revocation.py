"""Attacks on revocation (case 92), and what a client's own tokens come to (RFC 7009).

Case 93 is a fault of ours: see tests/faults/test_unwritten_revocation.py.
"""

import pytest
from sqlalchemy import insert

from app.services.list_audit import list_audit
from app.services.manage_grants import list_grants
from app.services.mint_secret import mint_secret
from app.storage.database import Connection
from app.storage.tables import refresh_tokens
from tests.actors.http import Reply, send
from tests.actors.machine import Machine
from tests.attacks.good_conduct import assert_inactive, assert_json_error, assert_no_store, nothing_changes
from tests.deployments import Account
from tests.world import World

pytestmark = pytest.mark.usefixtures("standing")

FORMATS = ("jwt", "opaque")


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user()


def assert_done(reply: Reply) -> None:
    assert (reply.status, reply.body) == (200, b""), reply.text
    assert_no_store(reply)


def add_refresh_token(world: World, grant_id: str, *, used: bool = False) -> str:
    """A refresh token of the grant, as it lies in the database."""
    deployment, token = world.operator.deployment, mint_secret("rt")
    digest, digest_key_id = deployment.seals.digest("rt", token)
    now = deployment.clock()
    values = {
        "digest": digest,
        "digest_key_id": digest_key_id,
        "grant_id": grant_id,
        "generation": 1,
        "created_at": now,
        "expires_at": now + 86_400_000,
        "used_at": now if used else None,
        "retries": 0,
    }

    def work(connection: Connection) -> None:
        connection.execute(insert(refresh_tokens).values(values))

    deployment.database.transact(work)
    return token


# ----- Case 92 -----


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
@pytest.mark.parametrize("token_format", FORMATS)
def test_92_a_client_ends_its_own_access_token_and_no_other(
    world: World, account: Account, token_format: str, method: str
) -> None:
    api = world.operator.add_resource(access_token_format=token_format)
    party, server = world.relying_party(token_endpoint_auth_method=method), world.api_server(api)
    first, second = (world.get_tokens(party, account, scope="photos.read", resource=api) for _ in range(2))
    assert_done(Machine.of(party).revoke(first.access_token, token_type_hint="no_such_type"))
    assert_inactive(server.introspect(first.access_token))
    assert server.introspect(second.access_token).json()["active"] is True
    with nothing_changes(world):
        assert_done(Machine.of(party).revoke(first.access_token))
    events = list_audit(world.operator.deployment, event_type="token.revoked", client_id=party.client_id)
    assert len(events) == 1


def test_92_a_token_for_userinfo_ends_at_userinfo_at_once(world: World, account: Account) -> None:
    party = world.relying_party()
    token = world.get_tokens(party, account).access_token
    assert party.userinfo(token).status == 200
    assert_done(Machine.of(party).revoke(token, token_type_hint="refresh_token"))
    assert party.userinfo(token).status == 401


@pytest.mark.requirement("RFC 7009", "2.2", "invalid tokens do not cause an error response")
@pytest.mark.parametrize("token_format", FORMATS)
def test_92_another_clients_token_stays_and_the_answer_is_the_one_for_an_unknown_token(
    world: World, account: Account, token_format: str
) -> None:
    api = world.operator.add_resource(access_token_format=token_format)
    party, server = world.relying_party(), world.api_server(api)
    tokens = world.get_tokens(party, account, scope="openid photos.read", resource=api)
    (grant,) = list_grants(world.operator.deployment, user=account.sub)
    refresh_token = add_refresh_token(world, grant.grant_id)
    machine_token = world.machine(policy={"resources": [api]}).get_token().access_token
    public = Machine.of(world.relying_party(token_endpoint_auth_method="none"))
    stranger = Machine.of(world.relying_party())
    code, pending = world.get_code(party, account)
    assert tokens.id_token is not None
    for thief in (public, stranger, server):
        answers = []
        for token in (
            *(tokens.access_token, refresh_token, machine_token, tokens.id_token, code),
            *("th_at_" + "0" * 49, "th_rt_" + "0" * 49, mint_secret("rt"), mint_secret("at"), "x", "a.b.c", "\u00e9"),
        ):
            with nothing_changes(world):
                reply = thief.revoke(token)
            assert_done(reply)
            answers.append(
                [header for header in reply.header_list if header[0].lower() not in ("x-request-id", "date")]
            )
        assert all(headers == answers[0] for headers in answers)
    assert server.introspect(tokens.access_token).json()["active"] is True
    assert Machine.of(party).introspect(refresh_token).json()["active"] is True
    # What is no token is not ended by its own client either.
    assert_done(Machine.of(party).revoke(code))
    assert party.exchange(code, pending)


def test_92_who_does_not_prove_to_be_the_client_ends_nothing(world: World, account: Account) -> None:
    party = world.relying_party()
    token = world.get_tokens(party, account).access_token
    impostor = Machine.of(party)
    impostor.client_secret = "A" * 43
    cases = (
        (impostor.revoke(token), "invalid_client", 401),
        (send(f"{world.url}/revoke", method="POST", form={"token": token}), "invalid_client", 401),
        (
            send(f"{world.url}/revoke", method="POST", form={"token": token, "client_id": party.client_id}),
            "invalid_client",
            401,
        ),
        (Machine.of(party).post("/revoke"), "invalid_request", 400),
        (send(f"{world.url}/revoke?token={token}"), "invalid_request", 405),
    )
    for reply, error, status in cases:
        assert_json_error(reply, error, status)
    assert party.userinfo(token).status == 200


@pytest.mark.parametrize("used", [False, True], ids=["live", "spent"])
def test_92_any_refresh_token_of_a_family_ends_the_grant_and_all_of_its_tokens(
    world: World, account: Account, used: bool
) -> None:
    opaque, api = world.operator.add_resource(access_token_format="opaque"), world.operator.add_resource()
    party = world.relying_party()
    other = world.get_tokens(party, account, scope="photos.read", resource=api)
    code, pending = world.get_code(party, account, scope="openid photos.read", resource=[opaque, api])
    tokens = party.exchange(code, pending, resource=opaque)
    own = Machine.of(party)
    newest = list_grants(world.operator.deployment, user=account.sub)[0]
    refresh_token = add_refresh_token(world, newest.grant_id, used=used)
    assert own.introspect(refresh_token).json()["active"] is not used
    # Nobody but its own client is told of a refresh token, the API's server neither.
    assert_inactive(world.api_server(api).introspect(refresh_token))
    if not used:
        response = own.introspect(refresh_token, token_type_hint="access_token").json()
        assert (response["sub"], response["client_id"]) == (account.sub, party.client_id)
        assert set(response["scope"].split(" ")) == {"openid", "photos.read"}
        assert {"aud", "token_type"}.isdisjoint(response)
    assert_done(own.revoke(refresh_token, token_type_hint="access_token"))
    assert_inactive(own.introspect(refresh_token))
    assert_inactive(own.introspect(tokens.access_token))
    assert own.introspect(other.access_token).json()["active"] is True
    assert newest.grant_id not in {grant.grant_id for grant in list_grants(world.operator.deployment, user=account.sub)}


def test_92_a_machine_ends_its_own_tokens_one_by_one(world: World) -> None:
    jwt, opaque = world.operator.add_resource(), world.operator.add_resource(access_token_format="opaque")
    machine, other = (world.machine(policy={"resources": [jwt, opaque]}) for _ in range(2))
    for api in (jwt, opaque):
        kept, ended = (machine.get_token(resource=api, scope="photos.read").access_token for _ in range(2))
        with nothing_changes(world):
            assert_done(other.revoke(ended))
        assert machine.introspect(ended).json()["active"] is True
        assert_done(machine.revoke(ended))
        assert_inactive(machine.introspect(ended))
        assert_inactive(world.api_server(api).introspect(ended))
        assert_done(machine.revoke(ended))
        assert machine.introspect(kept).json()["active"] is True
    events = list_audit(world.operator.deployment, event_type="token.revoked", client_id=machine.client_id)
    assert len(events) == 2
