"""What the consent page says about who asks, and about what is different since a person answered them last."""

import json
import re
from typing import Any

import pytest

from app.services.list_audit import list_audit
from tests.actors.browser import Browser
from tests.actors.registrant import as_client, register, send_document
from tests.actors.relying_party import RelyingParty
from tests.deployments import Account
from tests.world import World

READ, WRITE = "photos.read", "photos.write"


def open_consent(
    world: World, browser: Browser, party: RelyingParty, account: Account, **parameters: Any
) -> tuple[Any, Any]:
    pending = party.begin(**parameters)
    page = browser.get(pending.url)
    if 'id="login-form"' in page.text:
        page = browser.log_in(page, account.username, account.password)
    assert 'id="consent-form"' in page.text, page.text[:1000]
    return page, pending


def scope_line(page: Any, scope: str) -> str:
    """Everything that the page says of one scope."""
    (line,) = [item for item in re.findall(r"<li>.*?</li>", page.text, re.DOTALL) if f'value="{scope}"' in item]
    return str(line)


def test_a_client_that_registered_itself_is_marked_as_unverified_and_an_operators_is_not(
    registration_world: World,
) -> None:
    world, account, browser = registration_world, registration_world.operator.add_user(), registration_world.browser()
    party = world.relying_party(as_client(register(world.url, client_name="Your Bank").json()))
    login = browser.get(party.begin().url)
    assert "nobody has checked who is behind it" in login.text, "before the password is typed"
    page, _ = open_consent(world, browser, party, account)
    assert "nobody has checked who is behind it" in page.text
    own, _ = open_consent(world, browser, world.relying_party(), account)
    assert 'id="client-origin"' not in own.text


def test_a_client_that_changed_its_name_and_logo_is_said_to_have_been_called_otherwise(
    registration_world: World,
) -> None:
    world, account, browser = registration_world, registration_world.operator.add_user(), registration_world.browser()
    registered = register(world.url, client_name="Photo printing").json()
    party = world.relying_party(as_client(registered))
    page, pending = open_consent(world, browser, party, account)
    assert 'id="client-renamed"' not in page.text, "nobody has answered it before"
    party.read_callback(browser.consent(page), pending)
    again, _ = open_consent(world, browser, party, account, prompt="consent")
    assert "client-renamed" not in again.text
    assert "client-logo-changed" not in again.text
    members = {name: registered[name] for name in ("client_id", "client_secret", "redirect_uris")}
    changed = send_document(
        registered["registration_client_uri"],
        {**members, "client_name": "Your Bank", "logo_uri": "https://bank.example/logo.png"},
        method="PUT",
        token=registered["registration_access_token"],
    )
    assert changed.status == 200, changed.text
    page, _ = open_consent(world, browser, party, account, prompt="consent")
    assert "it was called <bdi>Photo printing</bdi>" in page.text
    assert 'id="client-logo-changed"' in page.text


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user()


def test_119_what_is_new_since_the_last_answer_is_marked_item_by_item(world: World, account: Account) -> None:
    party, browser, resource = world.relying_party(), world.browser(), world.operator.add_resource()
    page, pending = open_consent(world, browser, party, account, scope=f"openid email {READ}", resource=resource)
    assert "New</span>" not in page.text, "everything is, so nothing is said to be"
    party.read_callback(browser.consent(page, scope=[READ]), pending)
    page, _ = open_consent(world, browser, party, account, scope=f"openid email {READ} {WRITE}", resource=resource)
    assert 'id="consent-changed"' in page.text
    assert "New</span>" in scope_line(page, WRITE)
    assert "New</span>" not in scope_line(page, READ)
    assert "Declined last time</span>" in scope_line(page, "email")
    assert "checked" not in scope_line(page, "email"), "what was declined is not ticked for them"
    page, _ = open_consent(world, browser, party, account, prompt="consent", scope=f"openid {READ}", resource=resource)
    assert 'id="consent-changed"' not in page.text, "asked again, and for nothing more"


def test_119_details_that_changed_stand_beside_those_of_last_time(world: World, account: Account) -> None:
    party, browser, resource = world.relying_party(), world.browser(), world.operator.add_resource()
    payment = world.operator.add_details_type()

    def asked(value: str) -> dict[str, Any]:
        details = [{"type": payment, "amount": {"value": value, "currency": "EUR"}, "creditor": "Meadow"}]
        return {"authorization_details": json.dumps(details), "scope": "openid", "resource": resource}

    page, pending = open_consent(world, browser, party, account, **asked("10.00"))
    assert "Last time you allowed" not in page.text
    party.read_callback(browser.consent(page), pending)
    page, _ = open_consent(world, browser, party, account, **asked("5000.00"))
    now, _, earlier = page.text.partition("Last time you allowed this instead:")
    assert "<bdi>5000.00</bdi>" in now
    assert "<bdi>10.00</bdi>" in earlier
    assert "<bdi>10.00</bdi>" not in now


def test_a_first_partys_client_shows_nothing_by_policy_and_what_it_got_is_recorded(
    world: World, account: Account
) -> None:
    party = world.relying_party(policy={"skip_consent": True})
    world.get_code(party, account)
    (event,) = list_audit(world.operator.deployment, event_type="grant.created", sub=account.sub)
    assert (event.body["asked"], event.body["skipped_by_policy"]) == (False, True)


def test_the_page_says_for_how_long_and_from_where(world: World, account: Account) -> None:
    party, browser, resource = world.relying_party(), world.browser(), world.operator.add_resource()
    page, _ = open_consent(world, browser, party, account, scope=f"openid {READ}", resource=resource)
    for sentence in ("For how long", "Each access pass expires after", "From where", "cannot be tied to a network"):
        assert sentence in page.text
