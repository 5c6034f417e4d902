"""`tokenhouse explain`: the operator sees the exact difference, the caller learns nothing of it."""

import re
from typing import Any

import pytest

from app.services.explain_incident import point_out
from tests.actors.asserting import make_asserting
from tests.actors.http import Reply
from tests.cli.processes import CommandLine
from tests.faults.patience import eventually
from tests.world import World


class Explainer:
    """The operator of a world's deployment with a code in hand."""

    def __init__(self, world: World) -> None:
        self._command_line = CommandLine(world.environment)

    def __call__(self, reply: Reply, *options: str) -> dict[str, Any]:
        """What `tokenhouse explain` says of the code at the end of an answer, once it has been written."""
        code = code_in(reply)
        return eventually(lambda: self._ask(code, *options), within_s=30, what="the refusal is in the audit trail")

    def _ask(self, code: str, *options: str) -> dict[str, Any]:
        outcome = self._command_line("explain", code, *options, "--json")
        return dict(outcome.document) if outcome.exit_code == 0 else {}


@pytest.fixture
def explain(world: World) -> Explainer:
    return Explainer(world)


def code_in(reply: Reply) -> str:
    match = re.search(r'\[([2-9A-Z]{8})\]|data-incident="([2-9A-Z]{8})"', reply.text)
    assert match is not None, reply.text
    return match[1] or match[2]


def test_a_redirect_uri_is_shown_beside_the_registered_one_and_only_to_the_operator(
    world: World, explain: Explainer
) -> None:
    party = world.relying_party(redirect_uris=["https://rp.example/cb"])
    reply = world.browser().get(party.begin(redirect_uri="https://rp.example/cb/").url)
    assert reply.status == 400
    assert "https://rp.example/cb" not in reply.text
    found = explain(reply)
    assert (found["where"], found["client_id"], found["error"]) == ("/authorize", party.client_id, "invalid_request")
    (difference,) = found["differences"]
    assert difference == {
        "what": "redirect_uri",
        "expected": ["https://rp.example/cb"],
        "received": "https://rp.example/cb/",
        "difference": "only a slash at the end differs",
    }
    assert "character by character" in found["advice"][0]


def test_a_wrong_verifier_shows_the_two_challenges_and_never_the_verifier(world: World, explain: Explainer) -> None:
    party, account = world.relying_party(), world.operator.add_user()
    code, pending = world.get_code(party, account)
    wrong = "w" * 64
    reply = party.try_exchange(code, pending, code_verifier=wrong)
    assert reply.json()["error"] == "invalid_grant"
    found = explain(reply)
    (difference,) = found["differences"]
    assert difference["what"] == "code_challenge"
    assert difference["expected"] == [pending.parameters["code_challenge"]]
    assert wrong not in str(found)
    assert code not in str(found)


def test_a_late_code_shows_how_late_it_is(world: World, explain: Explainer) -> None:
    party, account = world.relying_party(), world.operator.add_user()
    code, pending = world.get_code(party, account)
    world.clock.move(seconds=90)
    try:
        reply = party.try_exchange(code, pending)
    finally:
        world.clock.reset()
    (difference,) = explain(reply)["differences"]
    assert re.search(r"exp is 20\d\d-.*, (29|30|31) s before the server's clock", difference["difference"])


def test_an_audience_that_is_not_userinfos_is_named(world: World, explain: Explainer) -> None:
    resource = world.operator.add_resource()
    party, account = world.relying_party(), world.operator.add_user()
    tokens = world.get_tokens(party, account, scope="openid photos.read", resource=resource)
    reply = party.userinfo(tokens.access_token)
    assert reply.status == 401
    (difference,) = explain(reply)["differences"]
    assert (difference["what"], difference["received"]) == ("aud", resource)
    assert difference["expected"] == [f"{world.issuer}/userinfo"]


def test_a_wrong_secret_gets_advice_and_an_address_only_when_it_is_asked_for(world: World, explain: Explainer) -> None:
    party, account = world.relying_party(), world.operator.add_user()
    code, pending = world.get_code(party, account)
    party.client_secret = "x" * 50
    reply = party.try_exchange(code, pending)
    assert reply.status == 401
    found = explain(reply)
    assert "rotate-secret" in found["advice"][0]
    assert "address" not in found
    assert explain(reply, "--personal")["address"] == "127.0.0.1"


def test_the_audience_of_an_assertion_is_shown_beside_the_issuer(world: World, explain: Explainer) -> None:
    machine = make_asserting(world)
    reply = machine.try_get_token(client_assertion=machine.assert_it(aud=f"{world.issuer}/token"))
    assert reply.json()["error_description"].startswith("client authentication failed [")
    found = explain(reply)
    (difference,) = found["differences"]
    assert (difference["what"], difference["expected"]) == ("aud", [world.issuer])
    assert difference["received"] == f"{world.issuer}/token"
    assert "the issuer, as one string" in found["advice"][0]


def test_a_code_that_is_none_or_not_known_is_refused_in_a_sentence(world: World) -> None:
    command_line = CommandLine(world.environment)
    assert command_line.refusal("explain", "not a code")["error"] == "invalid_code"
    assert command_line.refusal("explain", "[k7qf3m2x]")["error"] == "unknown_incident"


@pytest.mark.parametrize(
    ("expected", "received", "sentence"),
    [
        (["https://rp/cb"], " https://rp/cb", "white space stands around it"),
        (["https://rp/cb"], "https://rp/CB", "only upper and lower case differ"),
        (["https://rp/cb"], "http://rp/cb", "only the scheme differs"),
        (["https://rp/cb"], "https://rp/%63b", "only the percent-encoding differs"),
        (["https://rp/cb"], "https://rp/cb?x=1", "only the query differs"),
        (["https://rp/cb"], "https://rp/cb#x", "only the fragment differs"),
        (["https://rp/cb"], "", "nothing was sent"),
        ([], "x", "nothing would have been right"),
        (["abc"], "xyz", "they differ from the first character on"),
        (
            ["https://a/", "https://rp/callback"],
            "https://rp/calling",
            "they part after character 15, after 'ps://rp/call': 'back' was expected, 'ing' came",
        ),
    ],
)
def test_what_differs_is_pointed_at(expected: list[str], received: str, sentence: str) -> None:
    assert point_out("redirect_uri", expected, received) == sentence
