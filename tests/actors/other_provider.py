"""A second Tokenhouse as the other provider: how it is registered, and how a person goes there and comes back."""

import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from app.services.manage_providers import add_provider
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply
from tests.actors.relying_party import RelyingParty
from tests.deployments import Account
from tests.world import World


@dataclass
class OtherProvider:
    """`theirs` is the provider, `ours` the server at which its logins count, by the name `name`."""

    ours: World
    theirs: World
    name: str
    client_id: str
    party: RelyingParty = field(repr=False)
    """An application at our server, for which people sign in."""


def register_provider(
    ours: World, theirs: World, *, client: dict[str, Any] | None = None, **document: Any
) -> OtherProvider:
    """The provider becomes known here, and this server there; `document` changes members, None leaves one out."""
    name = f"idp-{secrets.token_hex(4)}"
    registered = theirs.operator.add_client(
        client_name="Our server", redirect_uris=[f"{ours.issuer}/login/callback/{name}"], **(client or {})
    )
    members = {
        "name": name,
        "display_name": "Meadow Accounts",
        "issuer": theirs.issuer,
        "client_id": registered.client_id,
        "client_secret": registered.client_secret,
        **document,
    }
    add_provider(ours.operator.deployment, {key: value for key, value in members.items() if value is not None})
    return OtherProvider(
        ours=ours, theirs=theirs, name=name, client_id=registered.client_id, party=ours.relying_party()
    )


@dataclass
class Traveller:
    """A person with one browser, which keeps its cookies per server, and an account at the provider."""

    provider: OtherProvider
    account: Account
    here: Browser
    there: Browser

    @classmethod
    def of(cls, provider: OtherProvider, account: Account | None = None, **claims: Any) -> "Traveller":
        """A new person at the provider, unknown here."""
        account = account or provider.theirs.operator.add_user(**claims)
        return cls(provider, account, provider.ours.browser(), provider.theirs.browser())

    def leave(self, login_page: Reply) -> str:
        """Press the provider's button on a page of a sign-in: the URL to which the browser goes."""
        return self.press(login_page).location

    def press(self, login_page: Reply) -> Reply:
        """Press the provider's button; the answer, as it is."""
        action = f"/login/with/{self.provider.name}"
        fields = fields_of(login_page, action)
        url = urljoin(self.here.url, action)
        return self.here.send_once(url, fields=fields, headers={"Origin": self.here.origin})

    def sign_in_there(self, url: str) -> str:
        """Be a person at the provider: sign in and allow, as far as asked. The URL of the way back."""
        page = self.there.get(url)
        if 'id="login-form"' in page.text:
            page = self.there.log_in(page, self.account.username, self.account.password)
        if 'id="consent-form"' in page.text:
            page = self.there.consent(page)
        assert page.status == 303, page.text[:1500]
        return page.location

    def link(self, account: Account) -> Reply:
        """As the owner of an account here, link the login at the provider to it; the page that says so."""
        page = self.open_logins(account)
        fields = fields_of(page, "/account/logins/link", provider=self.provider.name)
        reply = self.here.send_once(
            urljoin(self.here.url, "/account/logins/link"), fields=fields, headers={"Origin": self.here.origin}
        )
        return self.here.get(self.sign_in_there(reply.location))

    def open_logins(self, account: Account) -> Reply:
        """The page of linked logins of an account here, signing in by its password where that is asked."""
        page = self.here.get(f"{self.provider.ours.issuer}/account/logins")
        if 'id="login-form"' in page.text:
            page = self.here.log_in(page, account.username, account.password)
        return page

    def come_in(self, pending_url: str) -> Reply:
        """Open an application's request, go to the provider, come back; where that leads."""
        return self.here.get(self.sign_in_there(self.leave(self.here.get(pending_url))))


def fields_of(page: Reply, action: str, **wanted: str) -> list[tuple[str, str]]:
    """What the form with that action posts; of several the one that has these fields."""
    marker = f'action="{action}"'
    found = page.text.count(marker)
    for number in range(found):
        before, after = _split(page.text, marker, number)
        numbered = f'{before}id="wanted" {marker}{after}'.encode()
        fields = find_form(Reply(page.status, page.header_list, numbered), "wanted").fields
        if wanted.items() <= dict(fields).items():
            return fields
    raise AssertionError(f"no form for {action} with {wanted} on the page ({page.status}):\n{page.text[:2500]}")


def _split(text: str, marker: str, number: int) -> tuple[str, str]:
    """Before and after the occurrence of that number."""
    parts = text.split(marker)
    return marker.join(parts[: number + 1]), marker.join(parts[number + 1 :])
