"""Signing in by a provider that speaks OAuth alone: no discovery, no ID token, and a userinfo of its own shape."""

import pytest

from tests.actors.misbehaving_provider import MisbehavingProvider
from tests.actors.other_provider import fields_of
from tests.attacks.test_upstream_callback import link, register
from tests.world import World

pytestmark = pytest.mark.parametrize("shared_reaching_world", ["sqlite"], indirect=True)


def test_a_provider_without_id_tokens_is_read_by_its_userinfo(reaching_world: World) -> None:
    with MisbehavingProvider(reaching_world.clock) as forge:
        forge.wrong.bodies["/user"] = b'{"account": {"id": 4711}, "login": "ada", "mail": "ada@forge.example"}'
        name = register(
            reaching_world,
            forge,
            issuer=None,
            kind="oauth",
            authorization_endpoint=f"{forge.issuer}/authorize",
            token_endpoint=f"{forge.issuer}/token",
            userinfo_endpoint=f"{forge.issuer}/user",
            mapping={"subject": "account.id", "name": "login", "email": "mail"},
            scope="read:user",
        )
        account = reaching_world.operator.add_user()
        forge.wrong.response["iss"] = ...
        browser = link(reaching_world, forge, name, account)
        assert "ada@forge.example" in browser.get(f"{reaching_world.issuer}/account/logins").text
        # It cannot say when somebody signed in there, so it is no proof of a sign-in now.
        party, other = reaching_world.relying_party(), reaching_world.browser()
        page = other.get(party.begin(prompt="login").url)
        action = f"/login/with/{name}"
        reply = other.send_once(
            f"{reaching_world.issuer}{action}", fields=fields_of(page, action), headers={"Origin": other.origin}
        )
        assert (reply.status, "cannot tell when you signed in there" in reply.text) == (400, True)
        left = other.send_once(
            f"{reaching_world.issuer}{action}",
            fields=fields_of(other.get(party.begin().url), action),
            headers={"Origin": other.origin},
        )
        assert "nonce" not in left.location
        assert 'id="consent-form"' in other.get(forge.authorize(left.location)).text
