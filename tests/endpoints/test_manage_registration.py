"""Clients that manage their own registration (RFC 7592)."""

import secrets
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.services.initial_access_tokens import add_initial_access_token
from app.services.list_audit import list_audit
from app.services.manage_clients import disable_client
from app.services.update_client import update_client
from app.specs.protocol_error import InvalidClientMetadata
from tests.actors.http import Reply, send
from tests.actors.refreshing import GRANT_TYPES, allow
from tests.actors.registrant import as_client, register, send_document
from tests.world import World

OVERLAP_S = 3600


class Managed:
    """A client that registered itself, and its own address."""

    def __init__(self, world: World, **metadata: Any) -> None:
        self.registered = register(world.url, **metadata).json()
        self.client_id: str = self.registered["client_id"]
        self.token: str = self.registered["registration_access_token"]
        self.url = world.url + urlsplit(self.registered["registration_client_uri"]).path

    def get(self, token: str | None = None) -> Reply:
        return send(self.url, headers={"Authorization": f"Bearer {token or self.token}"})

    def put(self, token: str | None = None, **metadata: Any) -> Reply:
        document = {"client_id": self.client_id, "redirect_uris": self.registered["redirect_uris"], **metadata}
        return send_document(self.url, document, method="PUT", token=token or self.token)

    def delete(self, token: str | None = None) -> Reply:
        return send(self.url, method="DELETE", headers={"Authorization": f"Bearer {token or self.token}"})


def without_secret(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if not name.startswith("client_secret")}


@pytest.mark.requirement("RFC 7592", "2.1", "a read is answered with everything that is registered")
def test_a_client_reads_what_it_registered(registration_world: World) -> None:
    managed = Managed(
        registration_world,
        initiate_login_uri="https://app.example/start",
        software_id="4NRB1-0XZABZI9E6-5SM3R",
        software_version="2.1",
    )
    reply = managed.get()
    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    # The secret cannot be read back: there is only a digest of it.
    assert reply.json() == without_secret(managed.registered)
    assert reply.json()["initiate_login_uri"] == "https://app.example/start"


@pytest.mark.requirement("RFC 7592", "2.2", "a change replaces the metadata; what is left out is gone")
def test_a_change_replaces_everything_and_comes_with_another_token(registration_world: World) -> None:
    managed = Managed(registration_world, client_name="Before", contacts=["a@example.com"])
    reply = managed.put(client_name="After")
    changed = reply.json()
    assert reply.status == 200
    assert (changed["client_name"], changed["contacts"]) == ("After", [])
    assert changed["registration_access_token"] != managed.token
    assert "client_secret" not in changed
    assert managed.get(changed["registration_access_token"]).json()["client_name"] == "After"


def test_the_token_of_before_a_change_counts_for_an_hour(registration_world: World) -> None:
    managed = Managed(registration_world)
    newer = managed.put().json()["registration_access_token"]
    assert managed.get().status == 200
    # The answer with the newer token was lost: the older one changes something again.
    newest = managed.put().json()["registration_access_token"]
    registration_world.clock.move(seconds=OVERLAP_S + 1)
    assert [managed.get(token).status for token in (managed.token, newer, newest)] == [401, 401, 200]


@pytest.mark.requirement("RFC 7592", "2.3", "204, and the client, its grants and its tokens have ended")
def test_a_removed_client_is_gone_with_its_tokens(registration_world: World) -> None:
    managed = Managed(registration_world, grant_types=["authorization_code", "refresh_token"])
    party = registration_world.relying_party(as_client(managed.registered))
    account = registration_world.operator.add_user()
    tokens = registration_world.get_tokens(party, account, scope="openid offline_access", prompt="consent")
    reply = managed.delete()
    assert (reply.status, reply.body) == (204, b"")
    assert [managed.get().status, managed.put().status, managed.delete().status] == [401, 401, 401]
    assert party.try_refresh(tokens.refresh_token).status == 401
    userinfo = send(f"{registration_world.url}/userinfo", headers={"Authorization": f"Bearer {tokens.access_token}"})
    assert userinfo.status == 401
    page = registration_world.browser().get(party.begin().url)
    assert page.status == 400


@pytest.mark.requirement("RFC 7592", "2.1", "a client that does not exist is answered as a wrong token is")
def test_94_a_wrong_token_and_another_clients_address_are_answered_alike(registration_world: World) -> None:
    managed, other = Managed(registration_world), Managed(registration_world)
    nobody = send(
        f"{registration_world.url}/register/c{'a' * 26}", headers={"Authorization": f"Bearer {managed.token}"}
    )
    replies = [managed.get(other.token), managed.get("th_rg_wrong"), managed.get("x" * 5000), nobody]
    replies += [managed.put(other.token), managed.delete(other.token)]
    for reply in replies:
        assert (reply.status, reply.json()["error"]) == (401, "invalid_token")
        assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    assert len({reply.json()["error_description"].partition(" [")[0] for reply in replies}) == 1
    assert managed.get().status == other.get().status == 200


def test_94_without_a_token_the_challenge_names_no_error(registration_world: World) -> None:
    reply = send(Managed(registration_world).url)
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == 'Bearer realm="registration"'


@pytest.mark.requirement("RFC 7592", "2.2", "client_id must be the one that was issued")
@pytest.mark.parametrize("client_id", [None, "other", 7], ids=str)
def test_a_change_must_name_its_own_client(registration_world: World, client_id: object) -> None:
    managed = Managed(registration_world)
    reply = managed.put(client_id=client_id)
    assert (reply.status, reply.json()["error"]) == (400, "invalid_client_metadata")


@pytest.mark.requirement("RFC 7592", "2.2", "members that are the server's own must not be sent")
@pytest.mark.parametrize(
    "member",
    ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"],
)
def test_a_change_must_not_hold_what_is_the_servers(registration_world: World, member: str) -> None:
    managed = Managed(registration_world)
    reply = managed.put(**{member: managed.registered[member]})
    assert (reply.status, reply.json()["error"]) == (400, "invalid_request")
    assert managed.get().json() == without_secret(managed.registered)


@pytest.mark.requirement("RFC 7592", "2.2", "a client must not choose its secret")
def test_a_secret_may_be_repeated_but_not_chosen(registration_world: World) -> None:
    managed = Managed(registration_world)
    chosen = managed.put(client_secret="th_cs_" + secrets.token_urlsafe(40))
    assert (chosen.status, chosen.json()["error"]) == (400, "invalid_client_metadata")
    assert managed.put(client_secret=managed.registered["client_secret"]).status == 200


def test_another_method_of_authentication_comes_with_another_secret(registration_world: World) -> None:
    managed = Managed(registration_world)
    reply = managed.put(token_endpoint_auth_method="client_secret_post").json()
    assert reply["client_secret"] != managed.registered["client_secret"]
    assert reply["client_secret_expires_at"] == 0
    ended = managed.put(token_endpoint_auth_method="none")
    assert ended.status == 200
    assert "client_secret" not in ended.json()
    # Stricter once, stricter for good.
    assert managed.put(token_endpoint_auth_method="client_secret_basic").json()["client_secret"]
    assert registration_world.operator.show_client(managed.client_id).security_profile == "oauth21"


def test_96_a_partial_update_cannot_get_past_a_rule_that_registration_has(registration_world: World) -> None:
    """Case 96: whatever is put is judged whole, with the policy that the client has."""
    managed = Managed(registration_world)
    bad: list[tuple[dict[str, Any], str]] = [
        ({"redirect_uris": ["https://app.example/cb#x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"grant_types": ["client_credentials"], "response_types": []}, "invalid_client_metadata"),
        ({"logo_uri": "javascript:alert(1)"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
    ]
    for metadata, error in bad:
        reply = managed.put(**metadata)
        assert (reply.status, reply.json()["error"]) == (400, error), metadata
    assert managed.put(policy={"skip_consent": True}, skip_consent=True, security_profile="openid").status == 200
    shown = registration_world.operator.show_client(managed.client_id)
    assert shown.policy["skip_consent"] is False


def test_people_are_asked_again_after_a_change_of_what_they_saw(registration_world: World) -> None:
    managed = Managed(registration_world, client_name="Photo printing")
    party = registration_world.relying_party(as_client(managed.registered))
    account, browser = registration_world.operator.add_user(), registration_world.browser()
    registration_world.get_code(party, account, browser=browser)
    token = managed.put(client_name="Photo printing", contacts=["a@example.com"]).json()["registration_access_token"]
    assert browser.get(party.begin().url).status == 303
    managed.put(token, client_name="Your bank")
    from_now_on = browser.get(party.begin().url)
    assert 'id="consent-form"' in from_now_on.text


@pytest.mark.requirement("RFC 7592", "2.1", "a client that may not manage itself is told 403")
def test_a_change_of_something_else_leaves_the_profile_as_it_was(registration_world: World) -> None:
    voucher = add_initial_access_token(
        registration_world.operator.deployment,
        label="lax",
        max_uses=1,
        expires_in_s=3600,
        policy={"security_profile": "openid"},
    )
    managed = Managed(registration_world, token=voucher.token, token_endpoint_auth_method="none")
    assert managed.put(contacts=["a@example.com"], token_endpoint_auth_method="none").status == 200
    assert registration_world.operator.show_client(managed.client_id).security_profile == "openid"


def test_a_disabled_client_manages_nothing(registration_world: World) -> None:
    managed = Managed(registration_world)
    disable_client(registration_world.operator.deployment, managed.client_id)
    for reply in (managed.get(), managed.put(), managed.delete()):
        assert (reply.status, reply.json()["error"]) == (403, "unauthorized_client")


def test_each_change_leaves_an_event(registration_world: World) -> None:
    managed = Managed(registration_world)
    managed.put(client_name="Another")
    managed.delete()
    events = list_audit(registration_world.operator.deployment, client_id=managed.client_id)
    assert sorted(event.type for event in events) == ["client.registered", "client.removed", "client.updated"]


def test_a_method_whose_secret_is_read_back_is_refused_where_none_is_kept(registration_world: World) -> None:
    refused = register(registration_world.url, token_endpoint_auth_method="client_secret_jwt")
    managed = Managed(registration_world)
    changed = managed.put(token_endpoint_auth_method="client_secret_jwt")
    for reply in (refused, changed):
        assert (reply.status, reply.json()["error"]) == (400, "invalid_client_metadata")
    assert managed.get().json()["token_endpoint_auth_method"] == "client_secret_basic"


# ----- What the operator decides about such a client -----


def test_who_may_change_its_own_name_is_given_nothing_that_people_trust_unseen(registration_world: World) -> None:
    client_id, deployment = Managed(registration_world).client_id, registration_world.operator.deployment
    shown = registration_world.operator.show_client(client_id).to_document()
    for member, value in (("appearance", {"accent": "#7a2e8e"}), ("skip_consent", True)):
        document = {**shown, "policy": {**shown["policy"], member: value}}
        with pytest.raises(InvalidClientMetadata, match=f"policy.{member}: is not for clients that registered"):
            update_client(deployment, client_id, document)
    narrowed = {**shown, "policy": {**shown["policy"], "access_token_lifetime_s": 60}}
    assert update_client(deployment, client_id, narrowed).policy["access_token_lifetime_s"] == 60


@pytest.mark.requirement("RFC 9700", "2.2.2", "a public client has no refresh tokens that are bound to nothing")
def test_a_client_that_becomes_public_begins_anew(registration_world: World) -> None:
    world, account = registration_world, registration_world.operator.add_user()
    managed = Managed(world, grant_types=GRANT_TYPES)
    party = world.relying_party(as_client(managed.registered))
    tokens = allow(world, party, account)
    changed = managed.put(grant_types=GRANT_TYPES, token_endpoint_auth_method="none")
    assert changed.status == 200, changed.text
    party.method = "none"
    refused = party.try_refresh(tokens.refresh_token)
    assert (refused.status, refused.json()["error"]) == (400, "invalid_grant")
    (event,) = list_audit(world.operator.deployment, event_type="grant.revoked", sub=account.sub)
    assert (event.actor, event.body["reason"]) == ("client", "client_became_public")
