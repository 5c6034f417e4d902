"""The logins of other providers that belong to an account: added and removed by its owner alone."""

import pytest

from app.services.manage_providers import set_disabled
from tests.actors.http import Reply
from tests.actors.other_provider import OtherProvider, Traveller, fields_of, register_provider
from tests.world import World

pytestmark = [
    pytest.mark.parametrize("shared_reaching_world", ["sqlite"], indirect=True),
    pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True),
]


@pytest.fixture
def provider(reaching_world: World, world: World) -> OtherProvider:
    return register_provider(reaching_world, world)


def unlink(traveller: Traveller, page: Reply) -> Reply:
    fields = fields_of(page, "/account/logins/unlink")
    return traveller.here.post(f"{traveller.provider.ours.issuer}/account/logins/unlink", fields)


def try_login(traveller: Traveller) -> Reply:
    """In another browser, by the provider alone."""
    other = Traveller(
        traveller.provider, traveller.account, traveller.provider.ours.browser(), traveller.provider.theirs.browser()
    )
    return other.come_in(traveller.provider.party.begin().url)


def test_a_link_is_shown_used_and_removed_and_both_are_events(provider: OtherProvider) -> None:
    traveller = Traveller.of(provider)
    account = provider.ours.operator.add_user()
    page = traveller.link(account)
    assert "Meadow Accounts" in page.text
    assert f"{traveller.account.username}@example.com" in page.text
    assert 'id="consent-form"' in try_login(traveller).text
    assert "no longer linked to Meadow Accounts" in unlink(traveller, page).text
    assert unlink(traveller, page).status == 404
    assert try_login(traveller).status == 400
    events = provider.ours.operator.event_types(account.sub)
    assert {"login.linked", "login.unlinked"} <= events
    security = traveller.here.get(f"{provider.ours.issuer}/account/security")
    assert 'id="linked-logins"' in security.text


def test_a_login_that_is_linked_to_somebody_stays_theirs(provider: OtherProvider) -> None:
    traveller = Traveller.of(provider)
    first, second = (provider.ours.operator.add_user() for _ in range(2))
    traveller.link(first)
    thief = Traveller(provider, traveller.account, provider.ours.browser(), traveller.there)
    page = thief.link(second)
    assert page.status == 400
    assert "is linked to another account here" in page.text


def test_114_linking_asks_for_a_recent_login(provider: OtherProvider) -> None:
    traveller = Traveller.of(provider)
    page = traveller.open_logins(provider.ours.operator.add_user())
    fields = fields_of(page, "/account/logins/link", provider=provider.name)
    provider.ours.clock.move(seconds=301)
    url = f"{provider.ours.issuer}/account/logins/link"
    reply = traveller.here.send_once(url, fields=fields, headers={"Origin": traveller.here.origin})
    assert reply.location.startswith(f"{provider.ours.issuer}/login?transaction=")


def test_110_a_form_of_another_page_links_nothing(provider: OtherProvider) -> None:
    traveller = Traveller.of(provider)
    page = traveller.open_logins(provider.ours.operator.add_user())
    fields = [
        (name, value)
        for name, value in fields_of(page, "/account/logins/link", provider=provider.name)
        if name != "csrf_token"
    ]
    reply = traveller.here.send_once(f"{provider.ours.issuer}/account/logins/link", fields=fields)
    assert reply.status == 403


def test_who_lost_the_session_on_the_way_links_nothing(provider: OtherProvider) -> None:
    traveller = Traveller.of(provider)
    account = provider.ours.operator.add_user()
    page = traveller.open_logins(account)
    fields = fields_of(page, "/account/logins/link", provider=provider.name)
    url = f"{provider.ours.issuer}/account/logins/link"
    left = traveller.here.send_once(url, fields=fields, headers={"Origin": traveller.here.origin})
    name = next(name for name in traveller.here.cookies if "browser" in name)
    del traveller.here.cookies[name]
    page = traveller.here.get(traveller.sign_in_there(left.location))
    assert page.status == 400
    assert "You are no longer signed in" in page.text
    assert try_login(traveller).status == 400


@pytest.fixture
def without_password(reaching_world: World, world: World) -> Traveller:
    """Somebody whose only way in is the provider, signed in by it."""
    domain = f"{world.operator.add_user().username}.example"
    provider = register_provider(reaching_world, world, provisioning="domain", email_domains=[domain])
    account = world.operator.add_user_with(email=f"ada@{domain}", email_verified=True)
    traveller = Traveller.of(provider, account)
    assert 'id="consent-form"' in traveller.come_in(provider.party.begin().url).text
    return traveller


def test_the_last_way_in_stays(without_password: Traveller) -> None:
    page = without_password.here.get(f"{without_password.provider.ours.issuer}/account/logins")
    refused = unlink(without_password, page)
    assert refused.status == 400
    assert "This is the only way in which you can sign in" in refused.text
    assert 'id="consent-form"' in try_login(without_password).text


def test_without_a_password_the_provider_proves_again_who_it_is(without_password: Traveller) -> None:
    traveller, provider = without_password, without_password.provider
    for world in (provider.ours, provider.theirs):
        world.clock.move(seconds=301)
    login = traveller.here.get(f"{provider.ours.issuer}/account/logins")
    asked = traveller.leave(login)
    assert "max_age=0" in asked
    page = traveller.here.get(traveller.sign_in_there(asked))
    assert "unlink-form" in page.text


def test_139_a_disabled_provider_lets_nobody_in_and_links_nobody(provider: OtherProvider) -> None:
    traveller = Traveller.of(provider)
    account = provider.ours.operator.add_user()
    traveller.link(account)
    pending = provider.party.begin()
    page = traveller.here.get(f"{pending.url}&prompt=login")
    left = traveller.leave(page)
    set_disabled(provider.ours.operator.deployment, provider.name, is_disabled=True)
    assert f"continue-with-{provider.name}" not in traveller.here.get(f"{pending.url}&prompt=login").text
    assert traveller.press(page).status == 400
    back = traveller.here.get(traveller.sign_in_there(left))
    assert back.status == 400
    assert "is switched off here" in back.text


def test_139_a_provider_that_is_only_good_for_linking_lets_nobody_in(reaching_world: World, world: World) -> None:
    provider = register_provider(reaching_world, world, usable_for="link")
    traveller = Traveller.of(provider)
    assert "is linked to your account" in traveller.link(reaching_world.operator.add_user()).text
    page = reaching_world.browser().get(provider.party.begin().url)
    assert f"continue-with-{provider.name}" not in page.text
    transaction = traveller.here.get(provider.party.begin(prompt="login").url)
    fields = [field for field in fields_of(transaction, "/login") if field[0] in ("transaction", "csrf_token")]
    url = f"{reaching_world.issuer}/login/with/{provider.name}"
    reply = traveller.here.send_once(url, fields=fields, headers={"Origin": traveller.here.origin})
    assert reply.status == 400
