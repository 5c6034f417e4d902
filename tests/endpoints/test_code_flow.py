"""The main job through real HTTP, on each database."""

import pytest

from tests.world import World


@pytest.mark.requirement("RFC 6749", "4.1", "the authorization code flow")
def test_an_app_gets_a_short_lived_token_for_a_person(world: World) -> None:
    account, resource = world.operator.add_user(name="Ada"), world.operator.add_resource()
    party = world.relying_party()
    tokens = world.get_tokens(party, account, scope="openid photos.read", resource=resource)
    assert tokens.expires_in == 300
    assert tokens.claims["aud"] == resource
    assert tokens.claims["sub"] == account.sub
    assert tokens.claims["scope"] == "photos.read"
    assert tokens.claims["exp"] - tokens.claims["iat"] == 300


def test_a_second_visit_needs_no_login_and_no_consent(world: World) -> None:
    account, resource, browser = world.operator.add_user(), world.operator.add_resource(), world.browser()
    party = world.relying_party()
    world.get_code(party, account, browser=browser, scope="openid photos.read", resource=resource)
    pending = party.begin(scope="openid photos.read", resource=resource)
    reply = browser.send_once(pending.url)
    assert party.read_callback(reply, pending)
