"""A stolen database again, at the doors whose keys come by mail, or are handed to who registers clients and tokens."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.services.initial_access_tokens import add_initial_access_token
from app.services.invite_person import invite_person
from app.services.manage_users import NewUser
from tests.actors.browser import find_form
from tests.actors.http import send
from tests.actors.mail_server import MailServer
from tests.actors.registrant import register
from tests.actors.token_exchange import Chain, make_chain, try_exchange
from tests.attacks.thieves_loot import dump_database, loot_of
from tests.conftest import run_world
from tests.deployments import Account
from tests.world import MailWorld

GUEST = NewUser(username="guest", email="guest@example.org")
NEWCOMER = "newcomer@example.org"


@pytest.fixture
def mailing(tmp_path: Path, sqlite_url: str, shared_mail_server: MailServer) -> Iterator[MailWorld]:
    """A server of one's own, with every door that this is about: the loot is this deployment's and nobody else's."""
    running = run_world(
        tmp_path,
        sqlite_url,
        rate_limits="off",
        smtp_url=f"smtp://127.0.0.1:{shared_mail_server.port}",
        mail_from="door@meadow.example",
        signup="on",
        registration="token",
    )
    for world in running:
        yield MailWorld(**vars(world), mail=shared_mail_server)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Links that wait in three people's mail, tokens for whoever registers a client, and a chain of services."""

    world: MailWorld
    account: Account
    reset_link: str
    invitation: str
    sign_up_link: str
    initial_access_token: str
    client_id: str
    registration_access_token: str
    chain: Chain
    subject_token: str

    def opens_page(self, path: str, loot: str) -> bool:
        """Whether there is a form behind a link."""
        return "<form" in send(f"{self.world.issuer}{path}/{loot}").text

    def opens_registration(self, loot: str) -> bool:
        """Whether a client could be read, and so changed and removed."""
        headers = {"Authorization": f"Bearer {loot}"}
        return send(f"{self.world.url}/register/{self.client_id}", headers=headers).status == 200

    def opens_as_initial_token(self, loot: str) -> bool:
        return register(self.world.url, token=loot).status == 201

    def opens_as_subject_token(self, loot: str) -> bool:
        """With the secret of the client that may exchange it."""
        return try_exchange(self.chain.library, loot, resource=self.chain.prints).status == 200

    def revoke(self, loot: str) -> None:
        """As its owner's client would; the answer is always the same."""
        assert self.chain.backend.post("/revoke", token=loot).status == 200

    def is_alive(self) -> bool:
        return self.chain.library.introspect(self.subject_token).json()["active"] is True

    def doors_that_open(self, loot: str) -> list[str]:
        """The names of those that let the thief in. What cannot stand in a path or a header cannot be tried there."""
        is_word = loot.isascii() and loot.isprintable() and not set(loot) & set(" /?#%\\")
        tried = {
            "reset": is_word and self.opens_page("/reset", loot),
            "invitation": is_word and self.opens_page("/invitation", loot),
            "sign-up": is_word and self.opens_page("/signup", loot),
            "registration": is_word and self.opens_registration(loot),
            "initial access token": is_word and self.opens_as_initial_token(loot),
            "subject token": self.opens_as_subject_token(loot),
        }
        return [door for door, is_open in tried.items() if is_open]


def ask(world: MailWorld, path: str, form: str, **values: str) -> None:
    """Let a link be sent."""
    browser = world.browser()
    filled = find_form(browser.get(f"{world.issuer}{path}"), form).with_values(**values)
    assert browser.post(f"{world.issuer}{path}", filled).status == 200


def make_waiting(world: MailWorld) -> Waiting:
    account, deployment = world.operator.add_user(), world.operator.deployment
    ask(world, "/reset", "reset-form", username=account.username)
    ask(world, "/signup", "signup-form", email=NEWCOMER, name="New Comer", password="seven green umbrellas sail")
    invite_person(deployment, GUEST)
    token = add_initial_access_token(deployment, label="partners", max_uses=100, expires_in_s=600, policy={})
    registered = register(world.url, token=token.token).json()
    chain = make_chain(world)
    return Waiting(
        world=world,
        account=account,
        reset_link=world.link_for(world.address_of(account)),
        invitation=world.link_for(GUEST.email, path="/invitation"),
        sign_up_link=world.link_for(NEWCOMER, path="/signup"),
        initial_access_token=token.token,
        client_id=registered["client_id"],
        registration_access_token=registered["registration_access_token"],
        chain=chain,
        subject_token=chain.get_token(),
    )


@pytest.mark.timeout(300)
def test_no_value_of_a_stolen_database_is_a_link_or_a_token_for_whoever_registers(mailing: MailWorld) -> None:
    waiting = make_waiting(mailing)
    loot = loot_of(dump_database(mailing))
    assert len(loot) > 200
    opened = {value: doors for value in loot if (doors := waiting.doors_that_open(value))}
    assert opened == {}
    for value in loot:
        waiting.revoke(value)
    assert waiting.is_alive()

    # Each door opens to who has the key, so that a refusal of the thief means something.
    for path, link in (("/reset", waiting.reset_link), ("/signup", waiting.sign_up_link)):
        assert waiting.opens_page(path, link.rpartition("/")[2])
    assert waiting.opens_page("/invitation", waiting.invitation.rpartition("/")[2])
    assert waiting.opens_registration(waiting.registration_access_token)
    assert waiting.opens_as_initial_token(waiting.initial_access_token)
    assert waiting.opens_as_subject_token(waiting.subject_token)
    waiting.revoke(waiting.subject_token)
    assert not waiting.is_alive()
