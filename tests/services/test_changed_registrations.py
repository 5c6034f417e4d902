"""What an operator's change of a client, an API or a type of details means for what was granted before."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from app.services.manage_details_types import remove_details_type
from app.services.manage_resources import show_resource, update_resource
from app.services.update_client import update_client
from tests.actors.http import Reply
from tests.actors.refreshing import OFFLINE, allow, refresh_token_of, refreshing_party
from tests.actors.relying_party import RelyingParty, read_jwt
from tests.deployments import Account
from tests.patience import wait_until
from tests.world import World

pytestmark = pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True)


@dataclass
class Holder:
    """An application that acts for somebody who is away, and refreshes its token for an API."""

    party: RelyingParty
    resource: str
    refresh_token: str

    @classmethod
    def of(cls, world: World, account: Account, scope: str = "photos.read photos.write", **parameters: Any) -> "Holder":
        party, resource = refreshing_party(world), world.operator.add_resource()
        wish = {"scope": f"{OFFLINE} {scope}", "resource": resource, "prompt": "consent", **parameters}
        return cls(party, resource, refresh_token_of(allow(world, party, account, **wish)))

    def refresh(self) -> Reply:
        reply = self.party.try_refresh(self.refresh_token, resource=self.resource)
        if reply.status == 200:
            self.refresh_token = reply.json()["refresh_token"]
        return reply

    def scope(self) -> list[str]:
        """What the next token is good for."""
        return str(read_jwt(self.refresh().json()["access_token"])["scope"]).split()


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user()


def update(world: World, party: RelyingParty, **changes: Any) -> None:
    """As an operator does it: what is shown, with something else in it. Servers see it within a second."""
    shown = world.operator.show_client(party.client_id).to_document()
    update_client(world.operator.deployment, party.client_id, {**shown, **changes})


def test_people_are_asked_again_where_what_they_saw_is_different(world: World, account: Account) -> None:
    party, browser = world.relying_party(client_name="Photo Prints"), world.browser()
    allow(world, party, account, browser=browser)

    def silent() -> tuple[Reply, Any]:
        pending = party.begin(prompt="none")
        return browser.send_once(pending.url), pending

    def lifetime_s() -> int:
        reply, pending = silent()
        return party.exchange(party.read_callback(reply, pending), pending).expires_in

    update(world, party, policy={"access_token_lifetime_s": 60})
    wait_until(lambda: lifetime_s() == 60)  # nobody was asked for it
    update(world, party, client_name="Photo Prints & More")
    wait_until(lambda: "error=consent_required" in silent()[0].location)


def test_what_the_policy_allows_no_longer_is_refused_at_the_next_refresh(world: World, account: Account) -> None:
    holder = Holder.of(world, account)
    update(world, holder.party, policy={"resources": []})
    wait_until(lambda: holder.refresh().status == 400)
    assert holder.refresh().json()["error"] == "invalid_target"
    # Nothing was spent by that: what the operator took back can be given back.
    update(world, holder.party, policy={})
    wait_until(lambda: holder.refresh().status == 200)


def test_a_redirect_uri_that_was_taken_away_is_known_no_longer(world: World) -> None:
    party, browser = world.relying_party(), world.browser()
    update(world, party, redirect_uris=["https://elsewhere.example/callback"])
    wait_until(lambda: browser.get(party.begin().url).status == 400)
    assert 'data-error="invalid_request"' in browser.get(party.begin().url).text


def test_a_client_that_is_public_now_begins_anew(world: World, account: Account) -> None:
    party = refreshing_party(world)
    tokens = allow(world, party, account)
    update(world, party, token_endpoint_auth_method="none")
    wait_until(lambda: party.try_refresh("th_rt_none").json()["error"] == "invalid_client")
    party.method = "none"
    # Its refresh token was safe with its secret only.
    refused = party.try_refresh(tokens.refresh_token)
    assert (refused.status, refused.json()["error"]) == (400, "invalid_grant")
    assert party.userinfo(tokens.access_token).status == 401
    assert party.refresh(allow(world, party, account).refresh_token).scope == "openid"


# ----- APIs and types of details -----


def test_a_scope_that_an_api_has_no_longer_is_in_no_new_token(world: World, account: Account) -> None:
    holder = Holder.of(world, account)
    assert holder.scope() == ["photos.read", "photos.write"]
    shown = show_resource(world.operator.deployment, holder.resource).to_document()
    reads, writes = shown["scopes"]
    update_resource(world.operator.deployment, holder.resource, {**shown, "scopes": [reads]})
    wait_until(lambda: holder.scope() == ["photos.read"])
    refused = holder.party.try_refresh(holder.refresh_token, resource=holder.resource, scope="photos.write")
    assert (refused.status, refused.json()["error"]) == (400, "invalid_scope")
    # Nothing of what was granted is left: a token for nothing would be a bug that nobody sees.
    update_resource(world.operator.deployment, holder.resource, {**shown, "scopes": [{**reads, "name": "photos.all"}]})
    wait_until(lambda: holder.refresh().status == 400)
    assert holder.refresh().json()["error"] == "invalid_scope"
    update_resource(world.operator.deployment, holder.resource, {**shown, "scopes": [reads, writes]})
    wait_until(lambda: holder.refresh().status == 200)
    assert holder.scope() == ["photos.read", "photos.write"]


def test_a_grant_with_details_of_a_type_that_was_removed_gives_no_token_without_them(
    world: World, account: Account
) -> None:
    details_type = world.operator.add_details_type()
    amount = {"value": "20.00", "currency": "EUR"}
    details = [{"type": details_type, "amount": amount, "creditor": "Photo Prints"}]
    holder = Holder.of(world, account, authorization_details=json.dumps(details))
    assert read_jwt(holder.refresh().json()["access_token"])["authorization_details"] == details
    remove_details_type(world.operator.deployment, details_type)
    wait_until(lambda: holder.refresh().status == 400)
    assert holder.refresh().json()["error"] == "invalid_authorization_details"
