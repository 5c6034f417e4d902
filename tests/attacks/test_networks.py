"""Tokens that are good only from certain networks: who limits them, where that is enforced, and who is believed."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import pytest

from app.services.manage_grants import list_grants
from app.specs.protocol_error import InvalidClientMetadata, InvalidRequest
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply, send
from tests.actors.relying_party import Pending, RelyingParty, basic, read_jwt
from tests.attacks.good_conduct import assert_json_error, assert_page, nothing_changes
from tests.conftest import run_world
from tests.databases import BACKENDS, migrated_database_url, on_sqlite
from tests.deployments import Account
from tests.world import World

INSIDE = ("198.51.100.7", "::ffff:198.51.100.7", "2001:db8::7", "2001:DB8:0:0:0:0:0:7", "203.0.113.9, 198.51.100.7")
OUTSIDE = (
    "203.0.113.9",
    "::ffff:203.0.113.9",
    "2001:db8:1::7",
    "::198.51.100.7",
    # What the client wrote itself stands to the left of what our proxy appended.
    "198.51.100.7, 203.0.113.9",
    "unknown",
    "198.51.100.7:443",
    "198.51.100.7%eth0",
    "",
)
OFFICE = "198.51.100.0/24 2001:db8::/64"


@pytest.fixture(scope="module", params=BACKENDS)
def proxied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server behind a proxy that it trusts, so that a test says where a request comes from."""
    directory = tmp_path_factory.mktemp("proxied")
    with migrated_database_url(request.param, directory) as database_url:
        yield from run_world(directory, database_url, rate_limits="off", trusted_proxies="127.0.0.1/32")


def call_from(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address} if address else {}


def exchange_from(address: str, party: RelyingParty, code: str, pending: Pending, **changes: Any) -> Reply:
    headers = {"Authorization": basic(party.client_id, party.client_secret or ""), **call_from(address)}
    return party.try_exchange(code, pending, headers=headers, client_id=None, **changes)


def userinfo_from(address: str, world: World, token: str) -> Reply:
    return send(f"{world.url}/userinfo", headers={"Authorization": f"Bearer {token}", **call_from(address)})


def open_consent(
    world: World, party: RelyingParty, account: Account, **parameters: Any
) -> tuple[Browser, Reply, Pending]:
    browser, pending = world.browser(), party.begin(**parameters)
    page = browser.log_in(browser.get(pending.url), account.username, account.password)
    assert 'id="consent-form"' in page.text
    return browser, page, pending


def answer(browser: Browser, page: Reply, network: str, **values: Any) -> Reply:
    form = find_form(page, "consent-form")
    return browser.post(
        urljoin(browser.url, form.action), form.with_values(decision="allow", network=network, **values)
    )


# ----- What a person says -----


def test_what_a_person_allows_from_some_networks_works_from_these_alone(proxied: World) -> None:
    account, party = proxied.operator.add_user(), proxied.relying_party()
    browser, page, pending = open_consent(proxied, party, account)
    code = party.read_callback(answer(browser, page, "2001:db8::/64, 198.51.100.0/24"), pending)

    for address in OUTSIDE:
        with nothing_changes(proxied):
            refused = exchange_from(address, party, code, pending)
        assert_json_error(refused, "invalid_grant")
        assert "networks" in refused.json()["error_description"]
    reply = exchange_from(INSIDE[0], party, code, pending)
    assert reply.status == 200, reply.text
    token = reply.json()["access_token"]
    assert read_jwt(token)["th_networks"] == ["198.51.100.0/24", "2001:db8::/64"]
    for address in INSIDE:
        assert userinfo_from(address, proxied, token).status == 200, address
    for address in OUTSIDE:
        refused = userinfo_from(address, proxied, token)
        assert (refused.status, refused.json()["error"]) == (401, "invalid_token"), address
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    (grant,) = list_grants(proxied.operator.deployment, user=account.username)
    assert grant.networks == ("198.51.100.0/24", "2001:db8::/64")

    # The answer was for these networks: it is not remembered as one for all of them.
    assert 'id="consent-form"' in browser.get(party.begin().url).text
    assert "consent_required" in browser.get(party.begin(prompt="none").url).location


def test_without_networks_a_grant_works_from_anywhere(proxied: World) -> None:
    account, party = proxied.operator.add_user(), proxied.relying_party()
    browser, page, pending = open_consent(proxied, party, account)
    code = party.read_callback(answer(browser, page, " "), pending)
    token = exchange_from("unknown", party, code, pending).json()["access_token"]
    assert "th_networks" not in read_jwt(token)
    for address in (*INSIDE, *OUTSIDE):
        assert userinfo_from(address, proxied, token).status == 200, address
    code = party.read_callback(browser.get((again := party.begin(prompt="none")).url), again)
    assert exchange_from("", party, code, again).status == 200


@pytest.mark.parametrize("proxied", ["sqlite"], indirect=True)
def test_what_cannot_be_obeyed_is_said_beside_the_field_and_nothing_is_lost(proxied: World) -> None:
    account = proxied.operator.add_user()
    party = proxied.relying_party(policy={"networks": OFFICE.split()})
    browser, page, pending = open_consent(proxied, party, account, scope="openid email profile")
    assert "198.51.100.0/24, 2001:db8::/64" in page.text
    for network, reason in {
        "my office": "\u201cmy\u201d is not an IPv4 or IPv6 address",
        "198.51.100.7/24": "has bits set behind its prefix length",
        "10.0.0.0/8": "From there the application cannot be used at all",
        "fe80::1%eth0": "has a zone",
        " ".join(f"198.51.100.{number}" for number in range(0, 80, 2)): "names more than 32 networks",
        '"><script>': "is not an IPv4 or IPv6 address",
    }.items():
        with nothing_changes(proxied):
            page = answer(browser, page, network, scope=["email"], duration="day")
        assert page.status == 200
        assert reason in page.text
        assert 'aria-invalid="true"' in page.text
        assert "<script>" not in page.text
        form = dict(find_form(page, "consent-form").with_values())
        assert (form["duration"], form["network"]) == ("day", network.replace("&quot;", '"'))
        ticked = [value for name, value in find_form(page, "consent-form").with_values() if name == "scope"]
        assert ticked == ["email"]
    code = party.read_callback(answer(browser, page, "198.51.100.7", scope=["email"]), pending)
    reply = exchange_from("198.51.100.7", party, code, pending)
    assert read_jwt(reply.json()["access_token"])["th_networks"] == ["198.51.100.7/32"]


@pytest.mark.parametrize("proxied", ["sqlite"], indirect=True)
def test_a_choice_that_an_api_would_not_obey_is_not_offered_and_not_taken(proxied: World) -> None:
    account, party = proxied.operator.add_user(), proxied.relying_party()
    blind, checks = proxied.operator.add_resource(), proxied.operator.add_resource(enforces=["networks"])
    browser, page, _ = open_consent(proxied, party, account, scope="openid photos.read", resource=[blind, checks])
    assert 'name="network"' not in page.text
    form = find_form(page, "consent-form")
    with nothing_changes(proxied):
        fields = [*form.with_values(decision="allow"), ("network", OFFICE)]
        assert_page(browser.post(urljoin(browser.url, form.action), fields))
    browser, page, pending = open_consent(proxied, party, account, scope="openid photos.read", resource=checks)
    code = party.read_callback(answer(browser, page, OFFICE), pending)
    reply = exchange_from(INSIDE[0], party, code, pending)
    assert read_jwt(reply.json()["access_token"])["th_networks"] == OFFICE.split()


# ----- What operator and client say -----


@pytest.mark.parametrize("proxied", ["sqlite"], indirect=True)
def test_each_limit_narrows_the_others(proxied: World) -> None:
    account = proxied.operator.add_user()
    api = proxied.operator.add_resource(networks=["198.51.100.0/25", "192.0.2.0/24"], enforces=["networks", "status"])
    party = proxied.relying_party(policy={"networks": ["198.51.0.0/16"]})
    code, pending = proxied.get_code(
        party, account, scope="photos.read", resource=api, tokenhouse_networks="198.51.100.0/24 2001:db8::/64"
    )
    assert_json_error(exchange_from("198.51.100.200", party, code, pending), "invalid_grant")
    reply = exchange_from("198.51.100.7", party, code, pending)
    assert read_jwt(reply.json()["access_token"])["th_networks"] == ["198.51.100.0/25"]


@pytest.mark.parametrize("proxied", ["sqlite"], indirect=True)
def test_a_request_that_no_token_could_come_of_is_refused_at_once(proxied: World) -> None:
    party = proxied.relying_party(policy={"networks": ["198.51.0.0/16"]})
    blind = proxied.operator.add_resource()
    elsewhere = proxied.operator.add_resource(networks=["10.0.0.0/8"], enforces=["networks"])
    free = proxied.relying_party()
    for asking, parameters, error in (
        (party, {"tokenhouse_networks": "10.0.0.0/8"}, "invalid_request"),
        (party, {"tokenhouse_networks": "198.51.100.7/24"}, "invalid_request"),
        (party, {"tokenhouse_networks": "198.51.100.0/24,2001:db8::/64"}, "invalid_request"),
        (party, {"tokenhouse_networks": "198.51.100.0/24  2001:db8::/64"}, "invalid_request"),
        (party, {"tokenhouse_networks": " ".join(["198.51.100.7"] * 40)}, "invalid_request"),
        (party, {"scope": "photos.read", "resource": blind}, "invalid_target"),
        (party, {"scope": "photos.read", "resource": elsewhere}, "invalid_target"),
        (free, {"scope": "photos.read", "resource": blind, "tokenhouse_networks": "10.0.0.0/8"}, "invalid_target"),
    ):
        pending = asking.begin(**parameters)  # type: ignore[arg-type]
        refusal = asking.read_answer(proxied.browser().get(pending.url))
        assert refusal["error"] == error, parameters
        assert "network" in refusal["error_description"], parameters


def test_a_machine_gets_its_token_in_its_networks_alone(proxied: World) -> None:
    api = proxied.operator.add_resource(enforces=["networks"])
    machine = proxied.machine(policy={"resources": [api], "networks": OFFICE.split()})
    for address in OUTSIDE:
        reply = machine.post("/token", headers=call_from(address), grant_type="client_credentials")
        assert_json_error(reply, "invalid_grant")
    for address in INSIDE:
        reply = machine.post("/token", headers=call_from(address), grant_type="client_credentials")
        assert read_jwt(reply.json()["access_token"])["th_networks"] == OFFICE.split()
    blind = proxied.operator.add_resource()
    machine = proxied.machine(policy={"resources": [blind], "networks": OFFICE.split()})
    reply = machine.post("/token", headers=call_from(INSIDE[0]), grant_type="client_credentials")
    assert_json_error(reply, "invalid_target")


def test_a_refresh_from_elsewhere_is_refused_and_spends_nothing(proxied: World) -> None:
    party = proxied.relying_party(
        grant_types=["authorization_code", "refresh_token"], policy={"networks": OFFICE.split()}
    )
    code, pending = proxied.get_code(party, proxied.operator.add_user())
    refresh_token = exchange_from(INSIDE[0], party, code, pending).json()["refresh_token"]
    authorization = {"Authorization": basic(party.client_id, party.client_secret or "")}
    for address in OUTSIDE:
        with nothing_changes(proxied):
            refused = party.try_refresh(refresh_token, headers={**authorization, **call_from(address)})
        assert_json_error(refused, "invalid_grant")
    for address in INSIDE:
        reply = party.try_refresh(refresh_token, headers={**authorization, **call_from(address)})
        assert reply.status == 200, (address, reply.text)
        refresh_token = reply.json()["refresh_token"]
        assert read_jwt(reply.json()["access_token"])["th_networks"] == OFFICE.split()


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
def test_introspection_tells_the_networks_to_who_has_to_enforce_them(proxied: World, token_format: str) -> None:
    api = proxied.operator.add_resource(
        networks=OFFICE.split(), enforces=["networks"], access_token_format=token_format
    )
    machine = proxied.machine(policy={"resources": [api]})
    reply = machine.post("/token", headers=call_from(INSIDE[0]), grant_type="client_credentials")
    server = proxied.machine(policy={"introspects": [api]})
    answer = server.introspect(reply.json()["access_token"]).json()
    assert (answer["active"], answer["th_networks"]) == (True, OFFICE.split())


@on_sqlite
def test_a_header_of_somebody_who_is_no_proxy_of_ours_moves_nobody(standing: World) -> None:
    account = standing.operator.add_user()
    party = standing.relying_party(policy={"networks": ["127.0.0.1"]})
    elsewhere = standing.relying_party(policy={"networks": ["198.51.100.0/24"]})
    code, pending = standing.get_code(elsewhere, account)
    assert_json_error(exchange_from("198.51.100.7", elsewhere, code, pending), "invalid_grant")
    reply = exchange_from("203.0.113.9", party, *standing.get_code(party, account))
    assert reply.status == 200, reply.text
    assert userinfo_from("203.0.113.9", standing, reply.json()["access_token"]).status == 200


def test_limits_are_registered_in_one_spelling_or_not_at_all(proxied: World) -> None:
    operator = proxied.operator
    client = operator.add_client(policy={"networks": ["::ffff:10.1.0.0/112", "10.0.0.0/16", "2001:DB8::/32"]})
    assert client.policy["networks"] == ["10.0.0.0/15", "2001:db8::/32"]
    for networks in ([], ["10.0.0.1/8"], ["example.com"], "10.0.0.0/8", ["10.0.0.0/8"] * 40, [10]):
        with pytest.raises(InvalidClientMetadata, match=r"policy\.networks"):
            operator.add_client(policy={"networks": networks})
    for document in (
        {"networks": ["10.0.0.0/8"]},
        {"networks": ["10.0.0.0/8"], "enforces": ["status"]},
        {"enforces": ["everything"]},
    ):
        with pytest.raises(InvalidRequest, match="enforces"):
            operator.add_resource(**document)
