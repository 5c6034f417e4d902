"""Attacks on authorization details (case 40, RFC 9396): at the request, at consent, and at the token."""

import json
from typing import Any

import pytest

from tests.actors.browser import Browser
from tests.actors.http import send
from tests.actors.refreshing import OFFLINE, allow, refresh_token_of, refreshing_party
from tests.actors.relying_party import RelyingParty
from tests.attacks.good_conduct import assert_json_error, nothing_changes
from tests.deployments import Account
from tests.patience import wait_until
from tests.world import World


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user()


@pytest.fixture
def resource(world: World) -> str:
    return world.operator.add_resource()


@pytest.fixture
def payment(world: World) -> str:
    return world.operator.add_details_type()


def detail(type_: str, **changes: Any) -> dict[str, Any]:
    """A good detail; a change of None leaves a member out."""
    members = {"type": type_, "amount": {"value": "50.00", "currency": "EUR"}, "creditor": "Meadow Ltd", **changes}
    return {name: value for name, value in members.items() if value is not None}


def refusal(world: World, party: RelyingParty, details: object, **parameters: Any) -> str | None:
    """The error with which a request comes back to the client; None where it goes on to the login."""
    text = details if isinstance(details, str) else json.dumps(details)
    pending = party.begin(authorization_details=text, **parameters)
    reply = world.browser().send_once(pending.url)
    if not reply.location.startswith(party.redirect_uri):
        return None
    return party.read_answer(reply)["error"]


def ask(world: World, browser: Browser, party: RelyingParty, account: Account, details: object, **more: Any) -> Any:
    """Tokens for details, consenting where that is asked."""
    pending = party.begin(authorization_details=json.dumps(details), **more)
    return party.exchange(party.read_callback(world.authorize(browser, pending, account), pending), pending)


# ----- At the request -----


@pytest.mark.requirement("RFC 9396", "5", "MUST refuse to process any unknown authorization details type")
def test_40_what_does_not_conform_comes_back_as_invalid_authorization_details(
    world: World, resource: str, payment: str
) -> None:
    party, elsewhere = world.relying_party(), world.operator.add_resource()
    bound = world.operator.add_details_type(resources=[elsewhere])
    deep: Any = "x"
    for _ in range(30):
        deep = [deep]
    wrong = {
        "unknown type": [detail("no-such-type")],
        "one unknown among known": [detail(payment), detail("no-such-type")],
        "no type": [{"amount": {"value": "1", "currency": "EUR"}, "creditor": "x"}],
        "type of another type": [detail(payment, type=1)],
        "not a list": detail(payment),
        "empty list": [],
        "list of texts": ["payment"],
        "not JSON": "[{",
        "a member twice": '[{"type": "%s", "type": "%s"}]' % (payment, payment),  # noqa: UP031
        "NaN": '[{"type": "%s", "amount": NaN}]' % payment,  # noqa: UP031
        "unknown member": [detail(payment, discount="all")],
        "unknown member within": [detail(payment, amount={"value": "1", "currency": "EUR", "tip": "9"})],
        "required member missing": [detail(payment, creditor=None)],
        "wrong type of a member": [detail(payment, creditor=["Meadow"])],
        "pattern": [detail(payment, amount={"value": "-1", "currency": "EUR"})],
        "pattern with a line break behind": [detail(payment, amount={"value": "1", "currency": "EUR\n"})],
        "digits of another script": [detail(payment, amount={"value": "\u0661", "currency": "EUR"})],
        "enum": [detail(payment, actions=["steal"])],
        "too many": [detail(payment) for _ in range(17)],
        "too many values": [detail(payment, actions=["status"] * 600)],
        "too large": [detail(payment, creditor="x" * 130, folder="y" * 180) for _ in range(16)]
        + [detail(payment, locations=["https://a.example/" + "z" * 9000])],
        "too deep": [detail(payment, folder=deep)],
        "a location that is not asked for": [detail(payment, locations=[elsewhere])],
        "a location that is none": [detail(payment, locations=["https://nowhere.example"])],
        "a type for another resource": [detail(bound)],
    }
    with nothing_changes(world):
        for case, details in wrong.items():
            answer = refusal(world, party, details, scope="photos.read", resource=resource)
            assert answer == "invalid_authorization_details", (case, answer)
        assert refusal(world, party, [detail(payment)], scope="openid") == "invalid_authorization_details"
    assert refusal(world, party, [detail(payment)], scope="photos.read", resource=resource) is None


@pytest.mark.requirement("RFC 9396", "10", "authorization_details_types ... that the client will use")
def test_40_a_client_uses_only_the_types_that_it_registered(world: World, resource: str, payment: str) -> None:
    other = world.operator.add_details_type()
    party = world.relying_party(authorization_details_types=[payment])
    assert refusal(world, party, [detail(payment)], scope="photos.read", resource=resource) is None
    with nothing_changes(world):
        answer = refusal(world, party, [detail(other)], scope="photos.read", resource=resource)
        assert answer == "invalid_authorization_details"
    none = world.operator.add_client(authorization_details_types=[])
    answer = refusal(world, world.relying_party(none), [detail(payment)], scope="photos.read", resource=resource)
    assert answer == "invalid_authorization_details"


def test_64_kilobytes_of_details_are_refused_and_the_server_goes_on(world: World, resource: str, payment: str) -> None:
    party = world.relying_party()
    for size in (15_000, 40_000, 66_000):
        details = json.dumps([detail(payment, folder="a" * size)])
        pending = party.begin(scope="photos.read", resource=resource, authorization_details=details)
        reply = send(f"{world.url}/authorize", method="POST", form=pending.parameters)
        if reply.status == 303:
            assert party.read_answer(reply)["error"] == "invalid_authorization_details"
        else:
            assert (size, reply.status) == (66_000, 413)
    assert refusal(world, party, [detail(payment)], scope="photos.read", resource=resource) is None


def test_a_type_is_known_to_the_running_server_and_to_its_metadata_at_once(world: World, resource: str) -> None:
    party = world.relying_party()
    new = world.operator.add_details_type()
    assert refusal(world, party, [detail(new)], scope="photos.read", resource=resource) is None

    def supported() -> list[str]:
        metadata = send(f"{world.url}/.well-known/oauth-authorization-server").json()
        return list(metadata.get("authorization_details_types_supported", []))

    wait_until(lambda: new in supported())


# ----- At consent -----


def test_the_person_reads_sentences_and_every_member_and_no_markup_of_the_client(
    world: World, account: Account, resource: str, payment: str
) -> None:
    party, browser = world.relying_party(), world.browser()
    asked = detail(
        payment, creditor="<script>alert(1)</script>\u202eknab", folder="/invoices & more", actions=["status"]
    )
    pending = party.begin(scope="photos.read", resource=resource, authorization_details=json.dumps([asked]))
    page = browser.log_in(browser.get(pending.url), account.username, account.password)
    assert 'id="consent-form"' in page.text
    assert (
        "Pay up to <bdi>50.00</bdi> <bdi>EUR</bdi> to <bdi>&lt;script&gt;alert(1)&lt;/script&gt;knab</bdi>" in page.text
    )
    assert "/invoices &amp; more" in page.text
    assert "<dt><bdi>actions</bdi></dt><dd><bdi>status</bdi></dd>" in page.text
    assert "<script" not in page.text
    assert "\u202e" not in page.text


def test_different_details_ask_again_and_equal_ones_do_not(
    world: World, account: Account, resource: str, payment: str
) -> None:
    party, browser = world.relying_party(), world.browser()
    request = {"scope": "openid photos.read", "resource": resource}
    first = detail(payment, actions=["initiate", "status"])
    ask(world, browser, party, account, [first, detail(payment)], **request)

    def is_asked(details: list[dict[str, Any]] | None) -> bool:
        text = json.dumps(details) if details else None
        answer = party.read_answer(browser.get(party.begin(prompt="none", authorization_details=text, **request).url))
        assert answer.get("error") in (None, "consent_required"), answer
        return "error" in answer

    assert not is_asked([first, detail(payment)])
    assert not is_asked([detail(payment), dict(reversed(first.items()))]), "order says nothing"
    for different in (
        [first],
        [first, detail(payment), detail(payment)],
        [first, detail(payment, creditor="Somebody else")],
        [first, detail(payment, amount={"value": "49.00", "currency": "EUR"})],
        None,
    ):
        assert is_asked(different), different
    ask(world, browser, party, account, [detail(payment, creditor="Somebody else")], **request)
    assert not is_asked([detail(payment, creditor="Somebody else")])


def test_the_details_that_a_browser_posts_are_not_those_that_are_granted(
    world: World, account: Account, resource: str, payment: str
) -> None:
    party, browser = world.relying_party(), world.browser()
    pending = party.begin(scope="photos.read", resource=resource, authorization_details=json.dumps([detail(payment)]))
    page = browser.log_in(browser.get(pending.url), account.username, account.password)
    form = page.text.split('id="consent-form"')[1]
    assert "authorization_details" not in form, "nothing to be changed on the way"
    tokens = party.exchange(party.read_callback(browser.consent(page), pending), pending)
    assert tokens.claims["authorization_details"] == [detail(payment)]


# ----- At the token -----


@pytest.mark.requirement("RFC 9396", "7", "authorization details as granted by the resource owner")
def test_a_token_carries_those_of_its_audience_and_no_others(
    world: World, account: Account, resource: str, payment: str
) -> None:
    party, browser, other = world.relying_party(), world.browser(), world.operator.add_resource()
    bound = world.operator.add_details_type(resources=[other])
    everywhere, here = detail(payment), detail(payment, locations=[f"{resource}/"])
    there, by_type = detail(payment, locations=[other]), detail(bound)
    for audience, expected in ((resource, [everywhere, here]), (other, [everywhere, there, by_type])):
        pending = party.begin(
            scope="openid photos.read",
            resource=[resource, other],
            authorization_details=json.dumps([everywhere, here, there, by_type]),
        )
        code = party.read_callback(world.authorize(browser, pending, account), pending)
        tokens = party.exchange(code, pending, resource=audience)
        assert tokens.claims["aud"] == audience
        assert tokens.claims["authorization_details"] == expected
        assert tokens.authorization_details == expected
    plain = world.get_tokens(party, account, scope="openid photos.read", resource=resource)
    assert "authorization_details" not in plain.claims
    assert plain.authorization_details is None


def test_a_token_request_narrows_and_never_widens_and_a_refusal_spends_nothing(
    world: World, account: Account, resource: str, payment: str
) -> None:
    party, browser, other = world.relying_party(), world.browser(), world.operator.add_resource()
    granted = detail(payment, actions=["initiate", "status"], folder="/a/b", locations=[resource])
    pending = party.begin(scope="photos.read", resource=[resource, other], authorization_details=json.dumps([granted]))
    code = party.read_callback(world.authorize(browser, pending, account), pending)

    def changed(**changes: Any) -> list[dict[str, Any]]:
        return [{name: value for name, value in {**granted, **changes}.items() if value is not None}]

    wider = {
        "more": changed(amount={"value": "50.01", "currency": "EUR"}),
        "another currency": changed(amount={"value": "1.00", "currency": "USD"}),
        "another creditor": changed(creditor="Mallory"),
        "one more action": changed(actions=["initiate", "status", "cancel"]),
        "the actions left out": changed(actions=None),
        "the locations left out": changed(locations=None),
        "another location": changed(locations=[other]),
        "a folder beside": changed(folder="/a/bb"),
        "a folder above": changed(folder="/a"),
        "a way up": changed(folder="/a/b/../c"),
        "twice": [granted, granted],
        "another type": [detail(world.operator.add_details_type())],
        "an unknown type": [detail("no-such-type")],
        "not conforming": changed(tip="9"),
        "not JSON": "[{",
    }
    with nothing_changes(world):
        for case, details in wider.items():
            text = details if isinstance(details, str) else json.dumps(details)
            # A wrong verifier as well: what is asked is judged first, or the code would be spent.
            for verifier in (pending.code_verifier, "w" * 43):
                reply = party.try_exchange(
                    code, pending, resource=resource, authorization_details=text, code_verifier=verifier
                )
                assert reply.status == 400, case
                assert_json_error(reply, "invalid_authorization_details")
        text = json.dumps([granted])
        reply = party.try_exchange(code, pending, resource=other, authorization_details=text)
        assert_json_error(reply, "invalid_authorization_details")
    narrower = changed(amount={"value": "9.50", "currency": "EUR"}, actions=["status"], folder="/a/b/c")
    tokens = party.exchange(code, pending, resource=resource, authorization_details=json.dumps(narrower))
    assert tokens.claims["authorization_details"] == narrower == tokens.authorization_details


def test_details_that_were_not_granted_cannot_be_asked_for_at_the_token_endpoint(
    world: World, account: Account, resource: str, payment: str
) -> None:
    party = world.relying_party()
    code, pending = world.get_code(party, account, scope="photos.read", resource=resource)
    with nothing_changes(world):
        reply = party.try_exchange(code, pending, authorization_details=json.dumps([detail(payment)]))
        assert_json_error(reply, "invalid_authorization_details")
    assert party.try_exchange(code, pending).status == 200


def test_a_refresh_narrows_and_the_grant_stays_as_wide_as_it_was(
    world: World, account: Account, resource: str, payment: str
) -> None:
    party = refreshing_party(world)
    granted = detail(payment, actions=["initiate", "status"])
    request = {"scope": f"{OFFLINE} photos.read", "resource": resource}
    first = allow(world, party, account, authorization_details=json.dumps([granted]), **request)
    present = refresh_token_of(first)
    with nothing_changes(world):
        for wider in (
            [granted, granted],
            [detail(payment, actions=["initiate", "status"], amount={"value": "51.00", "currency": "EUR"})],
            [detail(payment)],
            [detail("no-such-type")],
        ):
            reply = party.try_refresh(present, authorization_details=json.dumps(wider))
            assert_json_error(reply, "invalid_authorization_details")
    narrow = [detail(payment, actions=["status"], amount={"value": "1.00", "currency": "EUR"})]
    second = party.refresh(present, authorization_details=json.dumps(narrow))
    assert second.claims["authorization_details"] == narrow == second.authorization_details
    # The same token again is a lost answer asked for again: for the same details, and no others.
    assert_json_error(party.try_refresh(present), "invalid_authorization_details")
    retried = party.refresh(present, authorization_details=json.dumps(narrow))
    assert retried.refresh_token == second.refresh_token
    assert retried.claims["authorization_details"] == narrow
    third = party.refresh(second.refresh_token)
    assert third.claims["authorization_details"] == [granted]


def test_a_machine_gets_no_details_for_itself(world: World, resource: str, payment: str) -> None:
    machine = world.machine(policy={"resources": [resource]})
    reply = machine.try_get_token(resource=resource, authorization_details=json.dumps([detail(payment)]))
    assert_json_error(reply, "invalid_authorization_details")
