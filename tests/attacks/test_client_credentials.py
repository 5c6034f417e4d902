"""Attacks on the client credentials grant (cases 79 and 80), and what a good request gets."""

from typing import Any

import pytest

from app.services.list_audit import list_audit
from app.services.manage_clients import disable_client, enable_client, remove_client
from app.specs.protocol_error import InvalidClientMetadata
from tests.actors.machine import Machine
from tests.attacks.good_conduct import assert_json_error, nothing_changes, read_rows
from tests.patience import wait_until
from tests.world import World

pytestmark = pytest.mark.usefixtures("standing")


@pytest.fixture
def api(world: World) -> str:
    return world.operator.add_resource()


@pytest.fixture
def machine(world: World, api: str) -> Machine:
    return world.machine(policy={"resources": [api]})


# ----- What a good request gets -----


@pytest.mark.requirement("RFC 6749", "4.4.3", "A refresh token SHOULD NOT be included")
def test_a_machine_gets_a_token_of_its_own_and_nothing_of_a_person(world: World, api: str, machine: Machine) -> None:
    reply = machine.try_get_token(scope="photos.read", resource=api)
    assert reply.status == 200, reply.text
    assert set(reply.json()) == {"access_token", "token_type", "expires_in", "scope"}
    claims = machine.get_token(scope="photos.read").claims
    assert claims["sub"] == claims["client_id"] == machine.client_id
    assert (claims["aud"], claims["scope"]) == (api, "photos.read")
    assert {"auth_time", "acr", "amr", "sid", "nonce"}.isdisjoint(claims)


def test_a_token_writes_its_event_and_nothing_else(world: World, machine: Machine) -> None:
    machine.get_token()
    before = read_rows(world)
    machine.get_token()
    assert read_rows(world) == before
    events = list_audit(world.operator.deployment, event_type="token.issued", client_id=machine.client_id)
    assert len(events) == 2


def test_what_is_not_asked_comes_from_the_registration(world: World) -> None:
    narrow, other = world.operator.add_resource(access_token_lifetime_s=120), world.operator.add_resource()
    both = {"resources": [narrow, other]}
    by_policy = world.machine(policy={"resources": [narrow]})
    assert by_policy.get_token().scope == "photos.read photos.write"
    by_scope = world.machine(scope="openid photos.read", policy={"resources": [narrow]})
    tokens = by_scope.get_token()
    assert (tokens.scope, tokens.claims["aud"], tokens.expires_in) == ("photos.read", narrow, 120)
    assert by_scope.get_token(tokenhouse_expires_in="30").expires_in == 30
    assert by_scope.get_token(tokenhouse_expires_in="3000").expires_in == 120
    named = world.machine(scope="photos.read", policy=both).get_token(resource=other)
    assert (named.scope, named.claims["aud"]) == ("photos.read", other)


def test_an_alias_names_the_resource_and_the_audience_is_its_identifier(world: World, api: str) -> None:
    machine = world.machine(policy={"resources": [api + "/"]})
    assert machine.get_token(resource=api + "/").claims["aud"] == api


def test_no_subject_of_a_machine_looks_like_a_persons(world: World, api: str) -> None:
    account = world.operator.add_user()
    for client_id in (account.sub, "u" + "a" * 26):
        with pytest.raises(InvalidClientMetadata):
            world.machine(client_id=client_id, policy={"resources": [api]})
    assert world.machine(policy={"resources": [api]}).get_token().claims["sub"] != account.sub


# ----- Case 79 -----


def test_79_only_a_confidential_client_that_is_registered_for_it_acts_for_itself(world: World, api: str) -> None:
    policy = {"resources": [api]}
    for unable in (
        world.machine(world.operator.add_client(token_endpoint_auth_method="none", policy=policy)),
        world.machine(world.operator.add_client(policy=policy)),
    ):
        with nothing_changes(world):
            assert_json_error(unable.try_get_token(scope="photos.read", resource=api), "unauthorized_client")
    with pytest.raises(InvalidClientMetadata):
        world.machine(token_endpoint_auth_method="none", policy=policy)


def test_79_who_does_not_prove_to_be_the_client_gets_nothing(world: World, machine: Machine) -> None:
    for secret in ("A" * 43, "th_cs_" + "0" * 49, ""):
        machine.client_secret = secret
        with nothing_changes(world):
            assert_json_error(machine.try_get_token(), "invalid_client", 401)


def test_79_scopes_and_resources_beyond_what_is_configured_are_refused(world: World, api: str) -> None:
    other = world.operator.add_resource()
    machine = world.machine(scope="photos.read openid offline_access", policy={"resources": [api]})
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "photos.read openid"}, "invalid_scope"),
        ({"scope": "photos.read offline_access"}, "invalid_scope"),
        ({"scope": "photos.write"}, "invalid_scope"),
        ({"scope": "photos.read photos.write", "resource": api}, "invalid_scope"),
        ({"scope": "photos.unheard_of"}, "invalid_scope"),
        ({"scope": "photos.read  photos.read"}, "invalid_scope"),
        ({"resource": other}, "invalid_target"),
        ({"scope": "photos.read", "resource": other}, "invalid_target"),
        ({"resource": "https://nowhere.example"}, "invalid_target"),
        ({"resource": f"{world.issuer}/userinfo"}, "invalid_target"),
        ({"resource": world.issuer}, "invalid_target"),
        ({"resource": [api, api]}, "invalid_target"),
        ({"resource": f"{api}#fragment"}, "invalid_target"),
        ({"tokenhouse_expires_in": "1"}, "invalid_request"),
    )
    for changes, error in cases:
        with nothing_changes(world):
            reply = machine.try_get_token(**changes)
        assert reply.json().get("error") == error, (changes, reply.text)
        assert_json_error(reply, error)
        assert "access_token" not in reply.text
    assert machine.get_token().scope == "photos.read"


def test_79_nothing_is_open_to_a_machine_for_which_nothing_was_configured(world: World, api: str) -> None:
    nothing, nowhere = world.machine(), world.machine(scope="photos.read", policy={"resources": []})
    assert_json_error(nothing.try_get_token(resource=api), "invalid_scope")
    assert_json_error(nothing.try_get_token(scope="photos.read", resource=api), "invalid_scope")
    assert_json_error(nowhere.try_get_token(scope="photos.read", resource=api), "invalid_target")
    # Registered for a scope that this API does not have: not a token without any.
    books = world.operator.add_resource(scopes=[{"name": "books.read", "description": "See your books"}])
    elsewhere = world.machine(scope="books.read")
    assert_json_error(elsewhere.try_get_token(resource=api), "invalid_scope")
    assert elsewhere.get_token(resource=books).scope == "books.read"


def test_79_two_apis_that_would_do_are_not_chosen_between(world: World, api: str) -> None:
    machine = world.machine(policy={"resources": [api, world.operator.add_resource()]})
    assert_json_error(machine.try_get_token(scope="photos.read"), "invalid_scope")
    assert_json_error(machine.try_get_token(), "invalid_scope")
    assert machine.get_token(scope="photos.read", resource=api).claims["aud"] == api


def test_79_a_machines_token_opens_no_page_and_tells_of_nobody(world: World, machine: Machine) -> None:
    token = machine.get_token().access_token
    party = world.relying_party()
    assert party.userinfo(token).status == 401


# ----- Case 80 -----


def test_80_a_machine_that_was_disabled_or_removed_gets_nothing(world: World, machine: Machine) -> None:
    deployment = world.operator.deployment
    machine.get_token()
    disable_client(deployment, machine.client_id)
    wait_until(lambda: machine.try_get_token().status != 200)
    assert_json_error(machine.try_get_token(), "unauthorized_client")
    enable_client(deployment, machine.client_id)
    wait_until(lambda: machine.try_get_token().status == 200)
    remove_client(deployment, machine.client_id)
    wait_until(lambda: machine.try_get_token().status != 200)
    assert_json_error(machine.try_get_token(), "invalid_client", 401)
