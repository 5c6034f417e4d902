"""Clients and resources as the operator manages them."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.services import manage_clients, manage_resources
from app.services.list_audit import list_audit
from app.services.refusal import Refusal
from app.specs.protocol_error import InvalidClientMetadata, InvalidRedirectUri, InvalidRequest, ProtocolError
from app.storage import clients
from tests.deployments import Operator
from tests.operators import operator as operator


def new_uri() -> str:
    return f"https://{secrets.token_hex(6)}.example"


def live_secrets(operator: Operator, client_id: str, *, in_s: int = 0) -> int:
    with operator.deployment.database.reading() as connection:
        row = clients.find_client(connection, client_id)
        assert row is not None
        now = operator.deployment.clock() + in_s * 1000
        return len(clients.find_client_secrets(connection, row.id, now))


def test_a_minted_client_id_never_looks_like_a_subject(operator: Operator) -> None:
    assert manage_clients.new_client_id().startswith("c")
    assert not operator.add_client().client_id.startswith("u")


@pytest.mark.parametrize(
    "member",
    [
        {"client_secret": "s" * 42},
        {"client_secret": "s" * 43, "token_endpoint_auth_method": "none"},
        {"client_id": "u" + "a2" * 13},
        {"client_id": "has space"},
        {"client_id": ""},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"grant_types": ["password"]},
        {"policy": {"networks": ["10.0.0.1/8"]}},
        {"policy": {"networks": []}},
        {"policy": {"security_profile": "openid"}},
        {"policy": {"access_token_lifetime_s": 3601}},
        {"client_name": "a\u202eb"},
    ],
    ids=str,
)
def test_metadata_that_the_server_would_not_keep_is_refused(operator: Operator, member: dict[str, Any]) -> None:
    with pytest.raises(InvalidClientMetadata):
        operator.add_client(**member)


@pytest.mark.parametrize(
    "uri",
    [
        "https://*.example/cb",
        "http://app.example/cb",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://app.example/cb#fragment",
        "https://user@app.example/cb",
        "urn:ietf:wg:oauth:2.0:oob",
    ],
)
def test_a_dangerous_redirect_uri_is_refused(operator: Operator, uri: str) -> None:
    with pytest.raises(InvalidRedirectUri):
        operator.add_client(redirect_uris=[uri])


def test_a_client_id_is_never_used_again(operator: Operator) -> None:
    client = operator.add_client()
    manage_clients.remove_client(operator.deployment, client.client_id)
    with pytest.raises(InvalidClientMetadata, match="taken"):
        operator.add_client(client_id=client.client_id)


def test_a_client_id_has_its_case(operator: Operator) -> None:
    name = f"Case-{secrets.token_hex(4)}"
    operator.add_client(client_id=name)
    operator.add_client(client_id=name.lower())
    with pytest.raises(Refusal):
        manage_clients.show_client(operator.deployment, name.upper())


def test_names_of_clients_and_resources_do_not_meet(operator: Operator) -> None:
    resource = operator.add_resource()
    for client_id in (resource, f"{resource}/"):
        with pytest.raises(InvalidClientMetadata, match="resource"):
            operator.add_client(client_id=client_id)
    taken = new_uri()
    removed = operator.add_client(client_id=f"{taken}/")
    manage_clients.remove_client(operator.deployment, removed.client_id)
    with pytest.raises(InvalidRequest, match="client_id"):
        operator.add_resource(resource=taken)


def test_a_client_and_a_resource_of_one_name_at_the_same_moment_are_not_both_taken(operator: Operator) -> None:
    for _ in range(5):
        name = new_uri()

        def attempt(kind: str, name: str = name) -> bool:
            try:
                operator.add_client(client_id=name) if kind == "client" else operator.add_resource(resource=name)
            except ProtocolError:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(attempt, ("client", "resource"))) == [False, True]


def test_one_secret_is_not_shared_by_two_clients(operator: Operator) -> None:
    secret = secrets.token_urlsafe(48)
    operator.add_client(client_secret=secret)
    with pytest.raises(InvalidClientMetadata, match="client_secret"):
        operator.add_client(client_secret=secret)


def test_an_alias_in_the_policy_is_stored_as_the_identifier(operator: Operator) -> None:
    resource = operator.add_resource()
    client = operator.add_client(policy={"resources": [f"{resource}/"]})
    assert client.policy["resources"] == [resource]
    assert client.security_profile == "oauth21"


def test_a_rotated_secret_counts_beside_the_new_one_until_the_overlap_ends(operator: Operator) -> None:
    client_id = operator.add_client().client_id
    manage_clients.rotate_client_secret(operator.deployment, client_id, overlap_s=60)
    assert live_secrets(operator, client_id) == 2
    assert live_secrets(operator, client_id, in_s=61) == 1
    # A second rotation must not lengthen the first secret's life.
    manage_clients.rotate_client_secret(operator.deployment, client_id, overlap_s=3600)
    assert live_secrets(operator, client_id) == 3
    assert live_secrets(operator, client_id, in_s=61) == 2


def test_an_overlap_of_nothing_ends_the_old_secret_at_once(operator: Operator) -> None:
    client_id = operator.add_client().client_id
    manage_clients.rotate_client_secret(operator.deployment, client_id, overlap_s=0)
    assert live_secrets(operator, client_id) == 1


@pytest.mark.parametrize("overlap_s", [-1, 30 * 86_400 + 1])
def test_an_overlap_out_of_bounds_is_refused(operator: Operator, overlap_s: int) -> None:
    client_id = operator.add_client().client_id
    with pytest.raises(Refusal):
        manage_clients.rotate_client_secret(operator.deployment, client_id, overlap_s=overlap_s)
    assert live_secrets(operator, client_id) == 1


def test_a_removed_client_has_no_secret_and_is_unknown(operator: Operator) -> None:
    client_id = operator.add_client().client_id
    manage_clients.remove_client(operator.deployment, client_id)
    assert live_secrets(operator, client_id) == 0
    for verb in (manage_clients.show_client, manage_clients.disable_client, manage_clients.remove_client):
        with pytest.raises(Refusal) as refused:
            verb(operator.deployment, client_id)
        assert refused.value.error == "unknown_client"


def test_the_registry_sees_a_change_once_it_looks(operator: Operator) -> None:
    client_id = operator.add_client().client_id
    registry = operator.deployment.registry
    found = registry.find_client(client_id)
    assert found is not None
    manage_clients.disable_client(operator.deployment, client_id)
    registry.forget()
    again = registry.find_client(client_id)
    assert again is not None
    assert again.is_disabled


def test_no_event_holds_a_secret(operator: Operator) -> None:
    client = operator.add_client()
    rotated = manage_clients.rotate_client_secret(operator.deployment, client.client_id)
    assert client.client_secret is not None
    for event in list_audit(operator.deployment, client_id=client.client_id, with_personal=True):
        assert client.client_secret not in str(event)
        assert rotated.client_secret not in str(event)
    assert client.client_secret not in repr(client)
    assert rotated.client_secret not in repr(rotated)


# ----- Resources -----


@pytest.mark.parametrize(
    "member",
    [
        {"enforces": ["everything"]},
        {"networks": ["10.0.0.0/8"]},
        {"access_token_format": "saml"},
        {"signing_alg": "none"},
        {"resource": "relative/path"},
        {"resource": "https://api.example/#x"},
        {"scopes": [{"name": "a b", "description": "x"}]},
        {"scopes": [{"name": "openid", "description": "x"}]},
        {"scopes": [{"name": "a", "description": "x"}, {"name": "a", "description": "y"}]},
        {"scopes": [{"name": "a"}]},
    ],
    ids=str,
)
def test_a_resource_whose_rules_would_not_be_kept_is_refused(operator: Operator, member: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        operator.add_resource(**member)


def test_the_servers_own_addresses_cannot_be_registered(operator: Operator) -> None:
    for resource in ("http://localhost:8400", "http://localhost:8400/", "http://localhost:8400/userinfo"):
        with pytest.raises(InvalidRequest, match="own"):
            operator.add_resource(resource=resource)


def test_an_alias_is_as_taken_as_an_identifier(operator: Operator) -> None:
    first, alias = new_uri(), new_uri()
    operator.add_resource(resource=first, aliases=[alias])
    for taken in (first, f"{first}/", alias):
        with pytest.raises(Refusal) as refused:
            operator.add_resource(resource=taken)
        assert refused.value.error == "resource_exists"
    assert manage_resources.show_resource(operator.deployment, alias).resource == first
