"""The modules of the certification's RP-initiated logout plan."""

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import pytest
from joserfc import jwt

from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply
from tests.actors.relying_party import read_jwt
from tests.conformance.certifier import Certifier, Party, make_key

AFTER = "https://rp.example/after"


@dataclass
class SignedIn:
    """Somebody who is signed in at a client, and the ID token that it got."""

    certified: Certifier
    party: Party
    browser: Browser
    id_token: str

    def log_out(self, **parameters: str | None) -> Reply:
        """Send the browser to the end-session endpoint."""
        asked = {
            "id_token_hint": self.id_token,
            "post_logout_redirect_uri": AFTER,
            "state": "the-state-of-the-client",
            **parameters,
        }
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return self.browser.get(f"{self.certified.world.issuer}/logout?{query}")

    def confirm(self, page: Reply) -> Reply:
        """Press the button of the confirmation page."""
        form = find_form(page, "logout-form")
        return self.browser.post(urljoin(self.browser.url, form.action), form.with_values(decision="confirm"))

    def is_signed_in(self) -> bool:
        """Whether a silent request still finds the session."""
        answered = self.party.read(self.browser.get(self.party.url(prompt="none")))
        return "code" in answered


@pytest.fixture
def signed_in(certified: Certifier) -> SignedIn:
    party = certified.register(post_logout_redirect_uris=[AFTER])
    browser = certified.world.browser()
    id_token = party.tokens(browser, certified.person())["id_token"]
    return SignedIn(certified=certified, party=party, browser=browser, id_token=id_token)


@pytest.mark.parametrize("state", ["the-state-of-the-client", None])
def test_rp_initiated_logout(signed_in: SignedIn, state: str | None) -> None:
    reply = signed_in.log_out(state=state)
    parts = urlsplit(reply.location)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == AFTER
    assert dict(parse_qsl(parts.query)) == ({} if state is None else {"state": state})
    assert not signed_in.is_signed_in()


def alg_none(id_token: str) -> str:
    _, payload, _ = id_token.split(".")
    header = urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).rstrip(b"=").decode()
    return f"{header}.{payload}."


def foreign(id_token: str) -> str:
    return jwt.encode({"alg": "RS256", "kid": "foreign"}, read_jwt(id_token), make_key("foreign"))


@pytest.mark.parametrize(
    "parameters",
    [
        {"post_logout_redirect_uri": "https://rp.example/other"},
        {"post_logout_redirect_uri": AFTER + "?foo=bar"},
        {"id_token_hint": "modified"},
        {"id_token_hint": "foreign"},
        {"id_token_hint": None},
    ],
    ids=["bad uri", "query added", "modified hint", "bad hint", "no hint"],
)
def test_nothing_redirects_that_is_not_proven(signed_in: SignedIn, parameters: dict[str, str | None]) -> None:
    hint = parameters.get("id_token_hint")
    if hint in ("modified", "foreign"):
        parameters = {
            "id_token_hint": alg_none(signed_in.id_token) if hint == "modified" else foreign(signed_in.id_token)
        }
    reply = signed_in.log_out(**parameters)
    assert "location" not in reply.headers
    assert 'id="error-page"' in reply.text or 'id="logout-form"' in reply.text


@pytest.mark.parametrize(
    "parameters",
    [
        {"id_token_hint": None, "post_logout_redirect_uri": None, "state": None},
        {"id_token_hint": None, "post_logout_redirect_uri": None},
        {"post_logout_redirect_uri": None, "state": None},
    ],
    ids=["no params", "only state", "no post_logout_redirect_uri"],
)
def test_without_a_way_back_the_person_is_told(signed_in: SignedIn, parameters: dict[str, str | None]) -> None:
    page = signed_in.log_out(**parameters)
    if 'id="logout-form"' in page.text:
        page = signed_in.confirm(page)
    assert 'id="logged-out"' in page.text
    assert "You are logged out" in page.text
    assert not signed_in.is_signed_in()
