"""Attack 126: logout tokens that come to us from another provider, right and wrong in one word."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.actors.browser import Browser
from tests.actors.http import Reply, send
from tests.actors.misbehaving_provider import MisbehavingProvider
from tests.actors.relying_party import RelyingParty
from tests.actors.signing_key import SigningKey
from tests.attacks.good_conduct import assert_json_error
from tests.attacks.test_upstream_callback import ANOTHER_KEY, fields_of, link, register, unsigned
from tests.world import World

SPEC = "OpenID Connect Back-Channel Logout 1.0"
pytestmark = pytest.mark.parametrize("shared_reaching_world", ["sqlite"], indirect=True)


@dataclass
class Stage:
    """Somebody who has signed in by a provider, in a browser of their own."""

    world: World
    provider: MisbehavingProvider
    name: str
    party: RelyingParty
    browser: Browser

    def tell(self, token: str, *, name: str | None = None) -> Reply:
        """The provider says that somebody has logged out there."""
        return send(
            f"{self.world.issuer}/backchannel-logout/{name or self.name}",
            method="POST",
            form={"logout_token": token},
        )

    @property
    def is_signed_in(self) -> bool:
        """Whether an application that asks for no page gets its answer."""
        reply = self.browser.get(self.party.begin(prompt="none").url)
        return "error=login_required" not in reply.location


@pytest.fixture
def stage(reaching_world: World) -> Iterator[Stage]:
    with MisbehavingProvider(reaching_world.clock) as provider:
        name = register(reaching_world, provider)
        link(reaching_world, provider, name, reaching_world.operator.add_user())
        party, browser = reaching_world.relying_party(), reaching_world.browser()
        page = browser.get(party.begin().url)
        action = f"/login/with/{name}"
        left = browser.send_once(
            f"{reaching_world.issuer}{action}", fields=fields_of(page, action), headers={"Origin": browser.origin}
        )
        browser.consent(browser.get(provider.authorize(left.location)))
        stage = Stage(reaching_world, provider, name, party, browser)
        assert stage.is_signed_in
        yield stage


@pytest.mark.requirement(SPEC, "2.7", "the sessions that the token names are ended")
@pytest.mark.parametrize("changes", [{}, {"sid": ...}, {"sub": ...}], ids=["both", "subject", "session"])
def test_a_logout_there_is_a_logout_here(stage: Stage, changes: dict[str, Any]) -> None:
    assert stage.tell(stage.provider.logout_token(**changes)).status == 200
    assert not stage.is_signed_in


@pytest.mark.requirement(SPEC, "2.8", "200 also where nobody of that name is signed in")
@pytest.mark.parametrize("changes", [{"sub": "somebody"}, {"sid": "another"}, {"sid": ..., "sub": "x"}], ids=str)
def test_a_logout_of_somebody_else_ends_nothing(stage: Stage, changes: dict[str, Any]) -> None:
    assert stage.tell(stage.provider.logout_token(**changes)).status == 200
    assert stage.is_signed_in


def wrong_tokens(provider: MisbehavingProvider) -> dict[str, str]:
    """Each wrong in one thing."""
    now_s = provider.clock() // 1000
    claims = {"iss": provider.issuer, "aud": provider.client_id, "sub": provider.subject, "iat": now_s, "jti": "j"}
    return {
        "alg none": unsigned(claims),
        "another key": provider.logout_token(key=ANOTHER_KEY),
        "key in the header": provider.logout_token(
            key=ANOTHER_KEY, header={"jwk": ANOTHER_KEY.public_jwk, "kid": None}
        ),
        "no events": provider.logout_token(events=...),
        "another event": provider.logout_token(events={"x": {}}),
        "event that is no object": provider.logout_token(
            events={"http://schemas.openid.net/event/backchannel-logout": True}
        ),
        "nonce": provider.logout_token(nonce="n"),
        "another aud": provider.logout_token(aud="somebody-else"),
        "another iss": provider.logout_token(iss="https://honest.example"),
        "stale iat": provider.logout_token(iat=now_s - 301, exp=...),
        "future iat": provider.logout_token(iat=now_s + 120),
        "no iat": provider.logout_token(iat=...),
        "expired": provider.logout_token(exp=now_s - 61),
        "no jti": provider.logout_token(jti=...),
        "neither sub nor sid": provider.logout_token(sub=..., sid=...),
        "sub that is no text": provider.logout_token(sub=7),
        "an ID token": provider.id_token("n"),
        "an access token": provider.logout_token(header={"typ": "at+jwt"}),
        "junk": "x.y.z",
    }


@pytest.mark.requirement(SPEC, "2.6", "a token that fails one check is refused with 400")
def test_126_a_token_that_is_wrong_in_one_thing_ends_no_session(stage: Stage) -> None:
    for what, token in wrong_tokens(stage.provider).items():
        reply = stage.tell(token)
        assert reply.status == 400, what
        assert_json_error(reply, "invalid_request", 400)
    assert stage.is_signed_in


def test_126_a_token_is_good_once(stage: Stage) -> None:
    token = stage.provider.logout_token(sub="somebody", sid=...)
    assert stage.tell(token).status == 200
    assert_json_error(stage.tell(token), "invalid_request", 400)
    # Not even where it would now mean somebody.
    assert stage.is_signed_in


def test_126_a_token_of_one_provider_at_the_address_of_another(stage: Stage) -> None:
    with MisbehavingProvider(stage.world.clock) as other:
        name = register(stage.world, other)
        assert_json_error(stage.tell(stage.provider.logout_token(), name=name), "invalid_request", 400)
    assert stage.tell(stage.provider.logout_token(), name=f"idp-{secrets.token_hex(4)}").status == 404
    assert stage.is_signed_in


def test_126_unknown_keys_make_one_question_in_a_while(stage: Stage) -> None:
    assert stage.tell(stage.provider.logout_token(sub="x", sid=...)).status == 200
    stage.world.clock.move(seconds=16)
    before = stage.provider.asked["/jwks"]
    for _ in range(5):
        assert stage.tell(stage.provider.logout_token(key=SigningKey("ES256"))).status == 400
    assert stage.provider.asked["/jwks"] == before + 1


@pytest.mark.requirement("OpenID Connect RP-Initiated Logout 1.0", "2", "the request is sent with id_token_hint")
def test_a_logout_here_offers_one_there(stage: Stage) -> None:
    stage.provider.wrong.metadata["end_session_endpoint"] = f"{stage.provider.issuer}/logout"
    stage.world.clock.move(seconds=3601)
    browser, action = stage.world.browser(), f"/login/with/{stage.name}"
    page = browser.get(stage.party.begin().url)
    left = browser.send_once(
        f"{stage.world.issuer}{action}", fields=fields_of(page, action), headers={"Origin": browser.origin}
    )
    browser.get(stage.provider.authorize(left.location))
    asked = browser.get(f"{stage.world.issuer}/logout")
    done = browser.post(f"{stage.world.issuer}/logout", [*fields_of(asked, "/logout"), ("decision", "confirm")])
    assert "You may still be signed in at" in done.text
    fields = dict(fields_of(done, f"{stage.provider.issuer}/logout"))
    assert set(fields) == {"id_token_hint", "client_id"}
    assert fields["client_id"] == stage.provider.client_id
    assert fields["id_token_hint"].count(".") == 2
