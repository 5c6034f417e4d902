"""npm's oidc-provider as the other provider, unmodified: somebody signs in by it."""

from pathlib import Path

import pytest

from benchmarks.node_peer import running_node_peer
from benchmarks.scenario import Scenario
from tests.actors.browser import Browser
from tests.actors.http import Reply
from tests.actors.other_provider import fields_of
from tests.attacks.test_upstream_callback import register_at
from tests.world import World

NAME = "node-oidc-provider"


@pytest.mark.parametrize("shared_reaching_world", ["sqlite"], indirect=True)
def test_somebody_signs_in_by_oidc_provider(reaching_world: World, tmp_path: Path) -> None:
    callback = f"{reaching_world.issuer}/login/callback/{NAME}"
    scenario = Scenario(client_id="tokenhouse", redirect_uri=callback)
    with running_node_peer(scenario, folder=tmp_path) as peer:
        register_at(
            reaching_world,
            NAME,
            issuer=peer.issuer,
            client_id=scenario.client_id,
            client_secret=scenario.client_secret,
            provisioning="domain",
            email_domains=["example.com"],
            trust_email=True,
        )
        here, there, party = reaching_world.browser(), Browser(peer.issuer), reaching_world.relying_party()
        pending = party.begin(scope="openid email profile")
        page = here.get(pending.url)
        action = f"/login/with/{NAME}"
        left = here.send_once(
            f"{reaching_world.issuer}{action}", fields=fields_of(page, action), headers={"Origin": here.origin}
        )
        reply = here.consent(here.get(sign_in(there, left.location, scenario)))
        tokens = party.exchange(party.read_callback(reply, pending), pending)
        claims = party.userinfo(tokens.access_token).json()
        assert (claims["email"], claims["email_verified"], claims["name"]) == (
            "grace@example.com",
            True,
            "Grace Hopper",
        )


def sign_in(there: Browser, url: str, scenario: Scenario) -> str:
    """Fill in the provider's own pages; the URL of the way back."""
    page = fill_in(there, there.get(url), scenario)
    assert page.status in (302, 303), page.text[:1500]
    return page.location


def fill_in(there: Browser, page: Reply, scenario: Scenario) -> Reply:
    if 'id="login-form"' in page.text:
        page = there.log_in(page, scenario.username, scenario.password)
    return there.consent(page) if 'id="consent-form"' in page.text else page
