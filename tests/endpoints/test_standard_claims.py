"""A person who carries every standard claim (OpenID Connect Core 5.1), and what each scope tells of it."""

import pytest

from app.services.manage_users import set_user, show_user
from app.specs.oidc_core import SCOPE_CLAIMS
from tests.actors.relying_party import RelyingParty
from tests.deployments import Account
from tests.standard_claims import EVERY_CLAIM
from tests.world import World


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user(**EVERY_CLAIM)


@pytest.fixture
def party(world: World) -> RelyingParty:
    return world.relying_party()


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.4", "each scope tells all of its claims")
def test_each_scope_tells_all_of_its_claims(world: World, party: RelyingParty, account: Account) -> None:
    for scope, names in SCOPE_CLAIMS.items():
        tokens = world.get_tokens(party, account, scope=f"openid {scope}")
        told = party.userinfo(tokens.access_token).json()
        translated = {"name#ja-Kana-JP"} if scope == "profile" else set()
        assert told.keys() == {"sub", *names, *translated}
        assert not tokens.id_claims.keys() & set(names), "they come from userinfo alone"
        known = told.keys() & EVERY_CLAIM.keys()
        assert {name: told[name] for name in known} == {name: EVERY_CLAIM[name] for name in known}
    everything = world.get_tokens(party, account, scope=" ".join(["openid", *SCOPE_CLAIMS]))
    told = party.userinfo(everything.access_token).json()
    assert told["email"] == f"{account.username}@example.com"
    assert isinstance(told["updated_at"], int)


def test_nothing_is_verified_until_somebody_says_so(world: World) -> None:
    account = world.operator.add_user(phone_number="+44 20 7946 0000")
    claims = show_user(world.operator.deployment, account.username).claims
    assert (claims["email_verified"], claims["phone_number_verified"]) == (False, False)
    set_user(world.operator.deployment, account.username, claims={**claims, "email_verified": True})
    changed = set_user(world.operator.deployment, account.username, email="new@example.com")
    assert changed.claims["email_verified"] is False, "it was another address that was verified"
