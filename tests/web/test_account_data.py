"""The first page of an account, taking everything along, and being forgotten."""

import json
from dataclasses import dataclass
from urllib.parse import urljoin

import pytest

from app.services.edit_profile import edit_profile
from app.services.list_audit import list_audit
from app.services.manage_outbox import drop_message, list_messages
from app.services.manage_users import NewUser, add_user, enable_user, export_user, list_users, remove_user, set_user
from app.services.outbox import Message, enqueue
from app.services.refusal import Refusal
from app.storage.database import Connection
from app.storage.users import find_user_by_sub
from tests.actors.account import open_account, press
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply
from tests.actors.refreshing import OFFLINE, allow, refreshing_party
from tests.deployments import PASSWORD, Account
from tests.world import World

EXPORT, DELETE = "/account/export", "/account/delete"
pytestmark = pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True)


@dataclass(frozen=True)
class Gone:
    user_id: int
    sub: str


def open_page(world: World, account: Account, path: str) -> tuple[Browser, Reply]:
    browser = open_account(world, account, path)
    return browser, browser.get(f"{world.issuer}{path}")


# ----- The profile -----


def test_a_person_sees_what_applications_can_learn_and_says_some_of_it_themselves(world: World) -> None:
    account = world.operator.add_user(name="Anna", phone_number="+49 30 1234")
    browser, page = open_page(world, account, "/account")
    # This server sends no mail, and so has no page on which an address is changed.
    assert "/account/email" not in page.text
    for words in ("Anna", "+49 30 1234", "with the permission for your telephone number", "Not verified"):
        assert words in page.text
    values = {"name": "Anna B", "picture": "https://a.example/me.png", "zoneinfo": "Europe/Berlin", "locale": "de"}
    saved = press(browser, find_form(page, "profile-form"), **values)
    # And the page speaks the language that was chosen.
    assert '<html lang="de"' in saved.text
    party = world.relying_party()
    told = party.userinfo(world.get_tokens(party, account, scope="openid profile").access_token).json()
    assert {name: told[name] for name in values} == values
    assert "birthdate" not in told


def test_what_a_person_may_not_say_is_passed_over(world: World) -> None:
    account = world.operator.add_user()
    browser, page = open_page(world, account, "/account")
    form = find_form(page, "profile-form")
    press(browser, form, email="other@example.com", email_verified="true", preferred_username="root", name="A")
    (user,) = (user for user in list_users(world.operator.deployment) if user.sub == account.sub)
    assert user.claims["name"] == "A"
    assert (user.claims["preferred_username"], user.claims["email_verified"]) == (account.username, False)
    assert user.email == f"{account.username}@example.com"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("picture", "http://a.example/me.png"),
        ("picture", "javascript:alert(1)"),
        ("zoneinfo", "Mars/Olympus"),
        ("locale", "not a language"),
        ("name", "x" * 501),
    ],
    ids=["http", "script", "zone", "language", "long"],
)
def test_what_cannot_be_kept_is_explained_and_changes_nothing(world: World, name: str, value: str) -> None:
    account = world.operator.add_user()
    browser, page = open_page(world, account, "/account")
    refused = press(browser, find_form(page, "profile-form"), **{name: value, "nickname": "Annie"})
    assert refused.status == 400
    assert "This cannot be kept as it is." in refused.text
    assert "Annie" in refused.text
    assert 'value="Annie"' not in browser.get(f"{world.issuer}/account").text


def test_a_profile_form_without_our_token_changes_nothing(world: World) -> None:
    browser, page = open_page(world, world.operator.add_user(), "/account")
    assert press(browser, find_form(page, "profile-form"), csrf_token=None, nickname="X").status == 403
    assert 'value="X"' not in browser.get(f"{world.issuer}/account").text


# ----- Export -----


def test_everything_is_downloaded_and_no_secret_is_in_it(world: World) -> None:
    account, party = world.operator.add_user(nickname="Annie"), refreshing_party(world)
    tokens = allow(world, party, account, scope=OFFLINE, prompt="consent")
    browser, page = open_page(world, account, EXPORT)
    download = press(browser, find_form(page, "export-form"))
    assert download.headers["content-type"] == "application/json"
    assert download.headers["content-disposition"].startswith("attachment")
    assert download.headers["cache-control"] == "no-store"
    document = json.loads(download.body)
    assert document["profile"]["sub"] == account.sub
    assert document["claims"]["nickname"] == "Annie"
    (application,) = document["applications"]
    assert application["client_id"] == party.client_id
    assert application["grants"][0]["last_address"] == "127.0.0.1"
    assert {session["address"] for session in document["sessions"]} == {"127.0.0.1"}
    assert {"login.succeeded", "grant.created", "token.issued", "account.exported"} <= {
        event["type"] for event in document["events"]
    }
    assert document["events_are_complete"] is True
    secrets = [tokens.access_token, tokens.refresh_token or "", PASSWORD, "argon2", *browser.secret_cookies()]
    assert [secret for secret in secrets if secret in download.text] == []
    # The operator hands out the same.
    assert export_user(world.operator.deployment, account.username)["profile"] == document["profile"]


@pytest.mark.parametrize(
    ("path", "form_id"), [(EXPORT, "export-form"), (DELETE, "delete-form")], ids=["export", "delete"]
)
def test_114_an_old_login_is_not_enough(world: World, path: str, form_id: str) -> None:
    account = world.operator.add_user()
    browser, page = open_page(world, account, path)
    form = find_form(page, form_id)
    world.clock.move(seconds=301)
    assert 'id="login-form"' in press(browser, form, confirmation=account.username).text
    assert 'id="login-form"' in browser.get(f"{world.issuer}{path}").text
    assert account.sub in {user.sub for user in list_users(world.operator.deployment)}


# ----- Deletion -----


def test_who_deletes_their_account_is_forgotten_and_nothing_acts_for_them(world: World) -> None:
    account, party = world.operator.add_user(nickname="Annie"), refreshing_party(world)
    tokens = allow(world, party, account, scope=OFFLINE, prompt="consent")
    other = open_account(world, account)
    browser, page = open_page(world, account, DELETE)
    assert 'id="account-deleted"' in press(browser, find_form(page, "delete-form"), confirmation=account.username).text
    assert party.try_refresh(tokens.refresh_token).json()["error"] == "invalid_grant"
    assert party.userinfo(tokens.access_token).status == 401
    for signed_out in (browser, other):
        assert 'id="login-form"' in signed_out.get(f"{world.issuer}/account").text
    stranger = world.browser()
    refused = stranger.log_in(stranger.get(party.begin().url), account.username, account.password)
    assert 'id="login-form"' in refused.text
    deployment = world.operator.deployment
    assert account.sub not in {user.sub for user in list_users(deployment)}
    with pytest.raises(Refusal):
        enable_user(deployment, account.sub)
    deployment.notice_changes(at_once=True)
    events = list_audit(deployment, sub=account.sub, limit=50, with_personal=True)
    # The trail is whole, and what it said of the person in it is unreadable.
    assert {"account.deleted", "login.succeeded", "user.created"} <= {event.type for event in events}
    assert all(not event.personal for event in events)


def test_the_name_and_the_address_are_free_again_and_the_subject_is_not(world: World) -> None:
    account = world.operator.add_user()
    deployment = world.operator.deployment
    remove_user(deployment, account.username)
    email = f"{account.username}@example.com"
    again = add_user(
        deployment, NewUser(username=account.username, email=email, password=PASSWORD, claims={"email_verified": True})
    )
    assert again.sub != account.sub
    with deployment.database.reading() as connection:
        row = connection.exec_driver_sql("SELECT * FROM users WHERE sub = ?", (account.sub,)).mappings().one()
    assert not any(account.username in str(value) for value in row.values())
    assert row["password_hash"] is row["sealed_audit_key"] is None


def test_what_comes_just_after_the_deletion_is_not_written_into_what_it_emptied(world: World) -> None:
    account = world.operator.add_user()
    deployment = world.operator.deployment
    with deployment.database.reading() as connection:
        person = find_user_by_sub(connection, account.sub)
    assert person is not None
    remove_user(deployment, account.username)
    # A form that was let in a moment before.
    assert not edit_profile(deployment, Gone(user_id=person.id, sub=account.sub), {"nickname": "Annie"})
    with deployment.database.reading() as connection:
        assert find_user_by_sub(connection, account.sub).claims == {}  # type: ignore[union-attr]


def test_mail_that_could_not_be_delivered_is_forgotten_with_the_account(world: World) -> None:
    gone, other = world.operator.add_user(), world.operator.add_user()
    deployment = world.operator.deployment
    mails = {}
    for account in (gone, other):
        digest, _ = deployment.seals.digest("mail-recipient", f"{account.username}@example.com".casefold())
        mails[account.sub] = Message(kind="mail", recipient="mail:" + digest.hex()[:24], body={})

    def bury(connection: Connection) -> None:
        enqueue(deployment, connection, list(mails.values()), now=deployment.clock())
        for mail in mails.values():
            connection.exec_driver_sql("UPDATE outbox SET dead_at = 1 WHERE recipient = ?", (mail.recipient,))

    deployment.database.transact(bury)
    remove_user(deployment, gone.username)
    dead = {message.recipient: message.message_id for message in list_messages(deployment, only_dead=True)}
    assert mails[gone.sub].recipient not in dead
    drop_message(deployment, dead[mails[other.sub].recipient])


@pytest.mark.parametrize("typed", ["", "somebody"], ids=["nothing", "another"])
def test_without_the_right_name_nothing_is_deleted(world: World, typed: str) -> None:
    account = world.operator.add_user()
    browser, page = open_page(world, account, DELETE)
    refused = press(browser, find_form(page, "delete-form"), confirmation=typed)
    assert refused.status == 400
    assert 'role="alert"' in refused.text
    assert browser.get(f"{world.issuer}/account").status == 200


def test_a_deletion_without_our_token_is_refused(world: World) -> None:
    account = world.operator.add_user()
    browser, page = open_page(world, account, DELETE)
    form = find_form(page, "delete-form")
    assert press(browser, form, csrf_token=None, confirmation=account.username).status == 403
    foreign = browser.post(
        urljoin(browser.url, form.action),
        form.with_values(confirmation=account.username),
        headers={"Origin": "https://evil.example"},
    )
    assert foreign.status == 403
    assert browser.get(f"{world.issuer}/account").status == 200


def test_the_last_administrator_stays(world: World) -> None:
    deployment = world.operator.deployment
    for user in list_users(deployment):
        if user.admin:
            set_user(deployment, user.sub, is_admin=False)
    account, second = world.operator.add_user(), world.operator.add_user()
    set_user(deployment, account.sub, is_admin=True)
    browser, page = open_page(world, account, DELETE)
    form = find_form(page, "delete-form")
    assert "last administrator" in press(browser, form, confirmation=account.username).text
    set_user(deployment, second.sub, is_admin=True)
    assert 'id="account-deleted"' in press(browser, form, confirmation=account.username).text
    set_user(deployment, second.sub, is_admin=False)
