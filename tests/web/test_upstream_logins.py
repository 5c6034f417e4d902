"""Signing in by another provider: a second Tokenhouse, over HTTP."""

import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app.services.invite_by_provider import invite
from app.services.list_audit import list_audit
from tests.actors.authenticator import enrol
from tests.actors.browser import find_form
from tests.actors.http import Reply, send
from tests.actors.other_provider import OtherProvider, Traveller, register_provider
from tests.world import World

CORE = "OpenID Connect Core 1.0"
pytestmark = [
    pytest.mark.parametrize("shared_reaching_world", ["sqlite"], indirect=True),
    pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True),
]


@pytest.fixture
def provider(reaching_world: World, world: World) -> OtherProvider:
    return register_provider(reaching_world, world)


def test_a_linked_person_signs_in_at_the_provider_and_comes_back_to_the_application(provider: OtherProvider) -> None:
    traveller = Traveller.of(provider)
    account = provider.ours.operator.add_user()
    assert "is linked to your account" in traveller.link(account).text
    traveller.here = provider.ours.browser()
    pending = provider.party.begin()
    reply = traveller.here.consent(traveller.come_in(pending.url))
    tokens = provider.party.exchange(provider.party.read_callback(reply, pending), pending)
    assert tokens.id_claims["sub"] == account.sub
    assert tokens.id_claims["amr"] == ["fed"]
    assert tokens.id_claims["acr"].endswith("PasswordProtectedTransport")
    # They have signed in before, in another browser: this is a new device, whoever vouched for them.
    deployment = provider.ours.operator.deployment
    latest, first = list_audit(deployment, event_type="login.succeeded", sub=account.sub)
    assert (latest.body["new_device"], first.body["new_device"]) == (True, False)


@pytest.mark.requirement("RFC 7636", "4.3", "the client asks with code_challenge_method S256")
@pytest.mark.requirement(CORE, "3.1.2.1", "a nonce and a state of each request's own")
def test_what_is_asked_of_the_provider(provider: OtherProvider) -> None:
    traveller = Traveller.of(provider)
    page = traveller.here.get(provider.party.begin().url)
    one, other = (parse_qs(urlsplit(traveller.leave(page)).query) for _ in range(2))
    assert set(one) == {
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
    }
    assert one["code_challenge_method"] == ["S256"]
    assert one["redirect_uri"] == [f"{provider.ours.issuer}/login/callback/{provider.name}"]
    for name in ("state", "nonce", "code_challenge"):
        assert one[name] != other[name]


def test_a_demand_for_a_login_now_is_passed_on_and_met(provider: OtherProvider) -> None:
    traveller = Traveller.of(provider)
    account = provider.ours.operator.add_user()
    traveller.link(account)
    pending = provider.party.begin(prompt="login")
    page = traveller.here.get(pending.url)
    asked = traveller.leave(page)
    assert parse_qs(urlsplit(asked).query)["max_age"] == ["0"]
    assert parse_qs(urlsplit(asked).query)["prompt"] == ["login"]
    # The person is signed in there: without the demand nobody would ask them.
    assert 'id="login-form"' in traveller.there.get(asked).text
    reply = traveller.here.consent(traveller.here.get(traveller.sign_in_there(asked)))
    tokens = provider.party.exchange(provider.party.read_callback(reply, pending), pending)
    assert tokens.id_claims["sub"] == account.sub


def test_117_who_comes_last_sees_their_own_account_however_old_their_login_at_the_provider(
    provider: OtherProvider,
) -> None:
    traveller = Traveller.of(provider)
    account, before = (provider.ours.operator.add_user() for _ in range(2))
    traveller.link(account)
    for world in (provider.ours, provider.theirs):
        world.clock.move(seconds=600)
    here = traveller.here = provider.ours.browser()
    page = here.log_in(here.get(provider.party.begin().url), before.username, before.password)
    transaction = dict(find_form(page, "consent-form").fields)["transaction"]
    page = here.get(f"{provider.ours.issuer}/login?transaction={transaction}&account=another")
    here.get(traveller.sign_in_there(traveller.leave(page)))
    page = here.get(f"{provider.ours.issuer}/account")
    assert account.username in page.text
    assert before.username not in page.text


def test_an_old_login_at_the_provider_is_an_old_login_here(provider: OtherProvider) -> None:
    traveller = Traveller.of(provider)
    account = provider.ours.operator.add_user()
    traveller.link(account)
    logged_in_at_s = provider.theirs.clock() // 1000
    for world in (provider.ours, provider.theirs):
        world.clock.move(seconds=600)
    traveller.here = provider.ours.browser()
    pending = provider.party.begin()
    reply = traveller.here.consent(traveller.come_in(pending.url))
    tokens = provider.party.exchange(provider.party.read_callback(reply, pending), pending)
    assert abs(tokens.id_claims["auth_time"] - logged_in_at_s) < 60


def test_whoever_has_no_account_here_reads_what_to_do(provider: OtherProvider) -> None:
    traveller = Traveller.of(provider)
    page = traveller.come_in(provider.party.begin().url)
    assert page.status == 400
    assert 'data-error="access_denied"' in page.text
    assert "No account here is linked to your account at Meadow Accounts" in page.text
    assert "/login?transaction=" in page.text
    assert not any("browser" in name for name in traveller.here.cookies)


def test_the_page_of_one_provider_leads_there_only_by_its_button(provider: OtherProvider) -> None:
    traveller = Traveller.of(provider)
    traveller.here.get(provider.party.begin().url)
    transaction = parse_qs(urlsplit(traveller.here.url).query)["transaction"][0]
    page = traveller.here.get(f"{provider.ours.issuer}/login/with/{provider.name}?transaction={transaction}")
    assert page.status == 200
    assert traveller.leave(page).startswith(f"{provider.theirs.issuer}/authorize?")


# ----- Accounts by the provider's rule -----


@pytest.fixture
def domain() -> str:
    return f"{secrets.token_hex(4)}.example"


def test_a_verified_address_in_a_domain_of_the_provider_makes_an_account(
    reaching_world: World, world: World, domain: str
) -> None:
    provider = register_provider(reaching_world, world, provisioning="domain", email_domains=[domain], trust_email=True)
    account = world.operator.add_user_with(email=f"ada@{domain}", email_verified=True, name="Ada")
    traveller = Traveller.of(provider, account)
    pending = provider.party.begin(scope="openid email profile")
    reply = traveller.here.consent(traveller.come_in(pending.url))
    tokens = provider.party.exchange(provider.party.read_callback(reply, pending), pending)
    claims = provider.party.userinfo(tokens.access_token).json()
    assert claims["email"] == f"ada@{domain}"
    assert claims["email_verified"] is True
    assert claims["name"] == "Ada"
    # The second time it is the same person.
    pending = provider.party.begin()
    again = Traveller(provider, account, reaching_world.browser(), world.browser())
    code = provider.party.read_callback(again.come_in(pending.url), pending)
    assert provider.party.exchange(code, pending).id_claims["sub"] == tokens.id_claims["sub"]


@pytest.mark.parametrize(
    ("address", "verified"), [("ada@elsewhere.example", True), ("ada@{domain}", False)], ids=["elsewhere", "unverified"]
)
def test_138_an_address_that_is_not_proven_to_be_the_providers_makes_no_account(
    reaching_world: World, world: World, domain: str, address: str, verified: bool
) -> None:
    provider = register_provider(reaching_world, world, provisioning="domain", email_domains=[domain])
    email = address.format(domain=domain).replace("ada", secrets.token_hex(4))
    account = world.operator.add_user_with(email=email, email_verified=verified)
    page = Traveller.of(provider, account).come_in(provider.party.begin().url)
    assert (page.status, 'data-error="access_denied"' in page.text) == (400, True)


def test_138_an_address_of_somebody_here_never_links_by_itself(
    reaching_world: World, world: World, domain: str
) -> None:
    provider = register_provider(reaching_world, world, provisioning="domain", email_domains=[domain])
    reaching_world.operator.add_user_with(email=f"eve@{domain}", email_verified=True)
    account = world.operator.add_user_with(email=f"EVE@{domain}", email_verified=True)
    page = Traveller.of(provider, account).come_in(provider.party.begin().url)
    assert page.status == 400
    assert "There is an account here with the e-mail address" in page.text


# ----- Levels -----


def test_a_second_factor_that_somebody_has_here_is_still_asked(provider: OtherProvider) -> None:
    traveller = Traveller.of(provider)
    account = provider.ours.operator.add_user()
    traveller.link(account)
    enrol(provider.ours, traveller.here, account)
    traveller.here = provider.ours.browser()
    page = traveller.come_in(provider.party.begin().url)
    assert 'id="second-factor-form"' in page.text
    assert not any("browser" in name for name in traveller.here.cookies)


def test_a_level_that_is_mapped_and_under_the_cap_stands_in_for_it(reaching_world: World, world: World) -> None:
    acr = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
    provider = register_provider(reaching_world, world, level_cap="mfa", acr_levels={acr: "phr"})
    traveller = Traveller.of(provider)
    account = reaching_world.operator.add_user()
    traveller.link(account)
    enrol(reaching_world, traveller.here, account)
    traveller.here = reaching_world.browser()
    pending = provider.party.begin()
    reply = traveller.here.consent(traveller.come_in(pending.url))
    tokens = provider.party.exchange(provider.party.read_callback(reply, pending), pending)
    assert tokens.id_claims["amr"] == ["fed", "mfa"]


# ----- Invitations -----


def test_whoever_was_invited_gets_an_account_once_and_nobody_else(reaching_world: World, world: World) -> None:
    provider = register_provider(reaching_world, world, provisioning="invite")
    address = f"{secrets.token_hex(4)}@example.com"
    url = invite(reaching_world.operator.deployment, provider.name, address).url
    stranger = Traveller.of(provider, email_verified=True)
    page = accept(stranger, url)
    assert (page.status, "The invitation is for another e-mail address" in page.text) == (400, True)
    invited = Traveller.of(provider, world.operator.add_user_with(email=address.upper(), email_verified=True))
    # Looking at a link spends nothing.
    assert invited.here.get(url).status == invited.here.get(url).status == 200
    page = accept(invited, url)
    assert page.status == 200
    assert "Your account" in page.text
    assert invited.here.get(url).status == 400
    page = Traveller.of(provider, email_verified=True).come_in(provider.party.begin().url)
    assert "No account here is linked" in page.text


def accept(traveller: Traveller, url: str) -> Reply:
    """Go the way of an invitation."""
    traveller.here.get(url)
    left = traveller.here.send_once(url, fields=[], headers={"Origin": traveller.here.origin})
    return traveller.here.get(traveller.sign_in_there(left.location))


# ----- How we prove to the provider who we are -----


@pytest.mark.requirement(CORE, "9", "client_secret_post and private_key_jwt")
@pytest.mark.parametrize("method", ["client_secret_post", "private_key_jwt"])
def test_each_way_to_prove_who_asks(reaching_world: World, world: World, method: str) -> None:
    client: dict[str, Any] = {"token_endpoint_auth_method": method}
    if method == "private_key_jwt":
        client["jwks"] = send(f"{reaching_world.url}/jwks").json()
    provider = register_provider(reaching_world, world, client=client, token_endpoint_auth_method=method)
    traveller = Traveller.of(provider)
    # Everything was proven when the account is looked for.
    assert "No account here is linked" in traveller.come_in(provider.party.begin().url).text
