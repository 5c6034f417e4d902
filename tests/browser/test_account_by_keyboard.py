"""An account in real Chromium from its first day to its last, on a phone, by keyboard alone and without scripts."""

import json
import secrets
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from app.services.manage_users import list_users
from tests.actors.refreshing import refresh_token_of, refreshing_party
from tests.actors.relying_party import RelyingParty, Tokens
from tests.browser.keyboard import fill, log_in, press, tab_to, toggle
from tests.deployments import Account
from tests.world import MailWorld

FIRST, SECOND, THIRD = "seven green umbrellas sail", "nine brown kettles whistle", "four tall ladders lean over"


def sign_up(page: Page, world: MailWorld) -> Account:
    """A new account, confirmed from the mail; the person is signed in afterwards."""
    address = f"new-{secrets.token_hex(4)}@example.org"
    page.goto(f"{world.issuer}/signup")
    fill(page, "#name", "Nora Nielsen")
    fill(page, "#email", address)
    fill(page, "#new-password", FIRST)
    press(page, "#signup-submit")
    page.goto(world.link_for(address, path="/signup"))
    press(page, "#confirm-submit")
    (user,) = (user for user in list_users(world.operator.deployment) if user.email == address)
    return Account(sub=user.sub, username=user.username, password=FIRST)


def reset(page: Page, world: MailWorld, account: Account) -> Account:
    """A new password for whoever forgot theirs."""
    page.goto(f"{world.issuer}/account")
    press(page, "#forgot-password")
    fill(page, "#username", account.username)
    press(page, "#reset-submit")
    page.goto(world.link_for(world.address_of(account)))
    fill(page, "#new-password", SECOND)
    press(page, "#new-password-submit")
    return Account(sub=account.sub, username=account.username, password=SECOND)


def get_tokens(world: MailWorld, account: Account, resource: str) -> tuple[RelyingParty, Tokens]:
    """An application that acts for the person while they are away, allowed in another browser."""
    party = refreshing_party(world)
    wish = {"scope": "openid offline_access photos.read photos.write", "resource": resource}
    code, pending = world.get_code(party, account, prompt="consent", **wish)
    return party, party.exchange(code, pending)


def go_to(page: Page, path: str) -> None:
    """Along the navigation of the account."""
    press(page, f'.account-nav a[href$="{path}"]')
    assert page.url.endswith(path)


@pytest.mark.timeout(120)
def test_an_account_is_made_looked_after_and_deleted(
    mail_world: MailWorld, plain_phone: BrowserContext, tmp_path: Path
) -> None:
    page = plain_phone.new_page()
    account = sign_up(page, mail_world)
    plain_phone.clear_cookies()
    account = reset(page, mail_world, account)
    plain_phone.clear_cookies()
    page.goto(f"{mail_world.issuer}/account")
    log_in(page, account)

    fill(page, "#profile-name", "Nora N.")
    press(page, "#profile-submit")
    assert page.locator("#profile-name").input_value() == "Nora N."

    limit_and_end_an_application(page, mail_world, account)
    sign_out_another_browser(page, mail_world, account)
    go_to(page, "/account/activity")
    assert page.locator("main li").count() > 3

    go_to(page, "/account/security")
    press(page, 'main a[href$="/account/password"]')
    fill(page, "#new-password", THIRD)
    press(page, "#password-submit")
    assert page.locator("#done").is_visible()
    press(page, 'main a[href$="/account/email"]')
    address = f"other-{secrets.token_hex(4)}@example.org"
    fill(page, "#email", address)
    press(page, "#email-submit")
    page.goto(mail_world.link_for(address, path="/account/email"))
    press(page, "#confirm-submit")
    assert mail_world.address_of(account) == address

    page.goto(f"{mail_world.issuer}/account")
    press(page, "#export-link")
    tab_to(page, "#export-submit")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    download.value.save_as(tmp_path / "export.json")
    assert address in json.dumps(json.loads((tmp_path / "export.json").read_text()))

    go_to(page, "/account")
    press(page, "#delete-link")
    fill(page, "#confirmation", account.username)
    press(page, "#delete-submit")
    assert account.sub not in [user.sub for user in list_users(mail_world.operator.deployment)]
    page.goto(f"{mail_world.issuer}/account")
    log_in(page, Account(sub=account.sub, username=account.username, password=THIRD))
    assert page.locator("#login-error").is_visible()


def limit_and_end_an_application(page: Page, world: MailWorld, account: Account) -> None:
    resource = world.operator.add_resource()
    party, tokens = get_tokens(world, account, resource)
    go_to(page, "/account/applications")
    toggle(page, "details:has(.grant-narrow) > summary")
    toggle(page, '.grant-narrow input[value$="photos.write"]')
    press(page, ".grant-narrow button.secondary")
    narrowed = party.refresh(refresh_token_of(tokens), resource=resource)
    assert "photos.write" not in narrowed.scope
    press(page, "button.grant-revoke")
    ended = party.try_refresh(refresh_token_of(narrowed), resource=resource)
    assert ended.json()["error"] == "invalid_grant"


def sign_out_another_browser(page: Page, world: MailWorld, account: Account) -> None:
    other = world.browser()
    other.log_in(other.get(f"{world.issuer}/account"), account.username, account.password)
    assert other.get(f"{world.issuer}/account").status == 200
    go_to(page, "/account/sessions")
    press(page, "#end-other-sessions-form button")
    assert 'id="login-form"' in other.get(f"{world.issuer}/account").text
