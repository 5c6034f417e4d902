"""A running server with everything around it: the operator, the clock, and the parties that come to it."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from app.services.manage_clients import RegisteredClient
from app.services.manage_users import show_user
from tests.actors.browser import Browser
from tests.actors.http import Reply
from tests.actors.machine import Machine
from tests.actors.mail_server import MailServer
from tests.actors.relying_party import Pending, RelyingParty, Tokens
from tests.clock import MovableClock
from tests.deployments import Account, Operator
from tests.server import ServerProcess


@dataclass
class World:
    """One deployment and its running server. Tests share it, so each makes its own people, clients and APIs."""

    issuer: str
    server: ServerProcess
    operator: Operator
    clock: MovableClock
    environment: dict[str, str]

    @property
    def url(self) -> str:
        """The issuer, reached."""
        return self.server.url

    def browser(self) -> Browser:
        """A fresh browser."""
        return Browser(self.issuer, self.server.url)

    def relying_party(self, client: RegisteredClient | None = None, **metadata: Any) -> RelyingParty:
        """A registered application; a new confidential one unless given."""
        client = client or self.operator.add_client(**metadata)
        return RelyingParty(self.issuer, client, server_url=self.server.url + urlsplit(self.issuer).path)

    def machine(self, client: RegisteredClient | None = None, **metadata: Any) -> Machine:
        """A registered program that acts for itself; a new one unless given, which may do what `metadata` says."""
        registration = {"grant_types": ["client_credentials"], "redirect_uris": None, **metadata}
        client = client or self.operator.add_client(**registration)
        return Machine(
            client.client_id,
            client.client_secret,
            method=client.metadata.get("token_endpoint_auth_method", "client_secret_basic"),
            server_url=self.server.url + urlsplit(self.issuer).path,
        )

    def api_server(self, api: str, **metadata: Any) -> Machine:
        """The client by which an API's server looks into its tokens."""
        return self.machine(policy={"resources": [], "introspects": [api]}, **metadata)

    def authorize(self, browser: Browser, pending: Pending, account: Account | None = None) -> Reply:
        """Open the request, log in and consent as far as asked; the answer that leads back to the client."""
        page = browser.get(pending.url)
        if 'id="login-form"' in page.text:
            assert account is not None, "a login is due, and nobody was named"
            page = browser.log_in(page, account.username, account.password)
        if 'id="consent-form"' in page.text:
            page = browser.consent(page)
        return page

    def get_code(
        self, party: RelyingParty, account: Account, *, browser: Browser | None = None, **parameters: Any
    ) -> tuple[str, Pending]:
        """A fresh code, and the request that it answers."""
        pending = party.begin(**parameters)
        reply = self.authorize(browser or self.browser(), pending, account)
        return party.read_callback(reply, pending), pending

    def get_tokens(self, party: RelyingParty, account: Account, **parameters: Any) -> Tokens:
        """Fresh tokens, by the whole flow."""
        code, pending = self.get_code(party, account, **parameters)
        return party.exchange(code, pending)


@dataclass
class MailWorld(World):
    """A world with a mail server; the people in it have addresses that mail comes to."""

    mail: MailServer

    def address_of(self, account: Account) -> str:
        """Where the mail of somebody comes to."""
        return show_user(self.operator.deployment, account.username).email

    def link_for(self, address: str, count: int = 1, *, path: str = "/reset") -> str:
        """The link to a page of ours in the latest mail to an address, once there are so many."""
        return self.mail.wait_for(address, count, words=f"{path}/th_el_").link
