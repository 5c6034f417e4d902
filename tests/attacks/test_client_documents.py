"""attacks.md 100, 101, 120: clients that are a document on the web, whose host may do what it likes."""

import re
import secrets
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.services import client_documents
from app.services.client_documents import STALE_FOR_MS, ClientDocuments
from app.services.explain_incident import explain_incident
from app.services.limit_requests import RequestLimits
from app.services.list_audit import list_audit
from app.services.manage_clients import RegisteredClient, disable_client, enable_client, remove_client, show_client
from app.specs.protocol_error import TemporarilyUnavailable
from app.storage.client_documents import count_documents, delete_unused_documents, find_document
from tests.actors.asserting import Asserting
from tests.actors.browser import Browser
from tests.actors.document_host import Answer, DocumentHost
from tests.actors.dpop_key import DpopKey
from tests.actors.http import Reply, send
from tests.actors.relying_party import RelyingParty
from tests.actors.signing_key import SigningKey, jwk_set
from tests.attacks.good_conduct import nothing_changes
from tests.deployments import Account
from tests.patience import wait_until
from tests.services.other_host import CertificateAuthority
from tests.world import World

DRAFT = "draft-ietf-oauth-client-id-metadata-document"
CALLBACK = "https://agent.example/callback"
LOOPBACK = "http://127.0.0.1/callback"
DAY_S = 86_400


@pytest.fixture(scope="module")
def document_tls(authority: CertificateAuthority) -> ssl.SSLContext:
    return authority.serve("127.0.0.1")


@pytest.fixture
def host(document_tls: ssl.SSLContext) -> Iterator[DocumentHost]:
    with DocumentHost(document_tls) as running:
        yield running


def a_path() -> str:
    return f"/clients/{secrets.token_hex(6)}.json"


def registered(client_id: str, *, redirect_uri: str = CALLBACK, method: str = "none") -> RegisteredClient:
    """What the actors know of a client."""
    return RegisteredClient(
        client_id=client_id,
        issued_at=0,
        metadata={"redirect_uris": [redirect_uri], "token_endpoint_auth_method": method},
        policy={},
        security_profile="oauth21",
        disabled=False,
    )


def party_of(world: World, client_id: str, *, redirect_uri: str = CALLBACK, method: str = "none") -> RelyingParty:
    client = registered(client_id, redirect_uri=redirect_uri, method=method)
    return RelyingParty(world.issuer, client, server_url=world.url)


def open_page(world: World, client_id: str, *, browser: Browser | None = None, **changes: Any) -> Reply:
    """What a fresh browser sees first."""
    return (browser or world.browser()).get(party_of(world, client_id).begin(**changes).url)


def assert_page_refuses(reply: Reply) -> None:
    assert reply.status == 400
    assert 'data-error="invalid_request"' in reply.text
    assert "location" not in reply.headers


# ----- The flow -----


@pytest.mark.requirement(DRAFT, "5", "a client that nobody registered is what the document at its client_id says")
def test_a_document_is_a_client_over_its_whole_life(reaching_world: World, host: DocumentHost) -> None:
    path = a_path()
    client_id = host.publish(path)
    party, account = party_of(reaching_world, client_id), reaching_world.operator.add_user()
    tokens = reaching_world.get_tokens(party, account, scope="openid")
    assert tokens.id_claims["aud"] == client_id
    assert tokens.claims["client_id"] == client_id
    assert party.refresh(tokens.refresh_token).access_token
    assert (
        send(
            f"{reaching_world.url}/revoke", method="POST", form={"client_id": client_id, "token": tokens.access_token}
        ).status
        == 200
    )
    assert host.asked[path] == 1
    shown = show_client(reaching_world.operator.deployment, client_id)
    assert (shown.security_profile, shown.policy) == ("oauth21", {})
    events = {event.type for event in list_audit(reaching_world.operator.deployment, client_id=client_id)}
    assert "client.document_met" in events


def test_101_a_document_learns_no_subject_of_the_sector_that_it_names(
    reaching_world: World, host: DocumentHost
) -> None:
    account = reaching_world.operator.add_user()
    victim = reaching_world.relying_party(redirect_uris=[CALLBACK], subject_type="pairwise")
    subjects = {reaching_world.get_tokens(victim, account).id_claims["sub"], account.sub}
    for named in ({}, {"sector_identifier_uri": "https://agent.example/sector.json"}):
        client_id = host.publish(a_path(), subject_type="pairwise", **named)
        tokens = reaching_world.get_tokens(party_of(reaching_world, client_id), account)
        assert tokens.claims["sub"] == tokens.id_claims["sub"]
        assert tokens.id_claims["sub"] not in subjects
        subjects.add(tokens.id_claims["sub"])


@pytest.mark.requirement(DRAFT, "8.2", "a document with keys proves itself with them (private_key_jwt)")
def test_a_document_with_keys_proves_itself_by_them_whatever_becomes_of_its_host(
    reaching_world: World, host: DocumentHost
) -> None:
    key, path = SigningKey(), a_path()
    client_id = host.publish(path, token_endpoint_auth_method="private_key_jwt", jwks=jwk_set(key))
    party = party_of(reaching_world, client_id, method="private_key_jwt")
    code, pending = reaching_world.get_code(party, reaching_world.operator.add_user(), scope="openid offline_access")
    asserting = Asserting(reaching_world, registered(client_id, method="private_key_jwt"), key)
    exchange = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": pending.code_verifier,
    }
    assert party.ask_for_tokens({**exchange, "client_id": client_id}).json()["error"] == "invalid_client"
    refresh_token = asserting.post("/token", **exchange).json()["refresh_token"]
    host.answers[path] = Answer(status=404)
    reaching_world.clock.move(seconds=2 * DAY_S)
    assert asserting.post("/token", grant_type="refresh_token", refresh_token=refresh_token).status == 200
    stranger = Asserting(reaching_world, registered(client_id, method="private_key_jwt"), SigningKey())
    refused = stranger.post("/token", grant_type="refresh_token", refresh_token=refresh_token)
    assert (refused.status, refused.json()["error"]) == (401, "invalid_client")


def test_what_the_document_does_not_say_is_not_the_clients(reaching_world: World, host: DocumentHost) -> None:
    """No machine without a person, whatever the document says; no other method of authentication than its own."""
    client_id = host.publish(
        a_path(),
        grant_types=["authorization_code", "client_credentials", "refresh_token"],
        policy={"skip_consent": True},
    )
    party, account = party_of(reaching_world, client_id), reaching_world.operator.add_user()
    browser = reaching_world.browser()
    page = browser.log_in(browser.get(party.begin().url), account.username, account.password)
    assert 'id="consent-form"' in page.text
    machine = party.ask_for_tokens({"grant_type": "client_credentials"})
    assert (machine.status, machine.json()["error"]) == (400, "unauthorized_client")


def test_24_a_document_may_name_localhost_without_a_port_and_a_registered_client_not(
    reaching_world: World, host: DocumentHost
) -> None:
    """One document serves every machine that its application runs on, and cannot know which port is free on one."""
    anywhere = "http://localhost/callback"
    here = "http://localhost:3118/callback"
    party = party_of(reaching_world, host.publish(a_path(), redirect_uris=[anywhere]), redirect_uri=here)
    assert reaching_world.get_tokens(party, reaching_world.operator.add_user()).access_token
    assert_page_refuses(open_page(reaching_world, party.client_id, redirect_uri="http://localhost:3118/other"))
    known = reaching_world.operator.add_client(redirect_uris=[anywhere])
    assert_page_refuses(open_page(reaching_world, known.client_id, redirect_uri=here))


# ----- 101: what is no client -----


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "https://good.example/client.json"},
        {"client_secret": "s" * 43},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"token_endpoint_auth_method": "client_secret_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"logo_uri": "javascript:alert(1)"},
        {"policy_uri": "http://agent.example/"},
        {"client_name": "A\u202eB"},
    ],
    ids=str,
)
@pytest.mark.requirement(DRAFT, "4.1", "a document that is not its client's, or holds a secret, is no client")
def test_101_a_document_that_breaks_a_rule_makes_no_client(
    reaching_world: World, host: DocumentHost, changes: dict[str, Any]
) -> None:
    client_id = host.publish(a_path(), **changes)
    with nothing_changes(reaching_world):
        assert_page_refuses(open_page(reaching_world, client_id))
        assert_page_refuses(open_page(reaching_world, client_id, prompt="none"))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=404),
        Answer(status=500),
        Answer(status=204),
        Answer(status=302, headers={"Location": "https://127.0.0.1/elsewhere"}),
        Answer(body=b"not json"),
        Answer(body=b"[]"),
        Answer(body=b"{}", headers={"Content-Type": "text/html"}),
        Answer(body=b'{"a": "' + b"x" * 6000 + b'"}'),
    ],
    ids=lambda answer: f"{answer.status}-{answer.body[:8]!r}",
)
@pytest.mark.requirement(DRAFT, "5", "anything but 200 is an error, and no redirect is followed")
def test_101_an_answer_that_is_no_document_makes_no_client(
    reaching_world: World, host: DocumentHost, answer: Answer
) -> None:
    path = a_path()
    host.answers[path] = answer
    with nothing_changes(reaching_world):
        page = open_page(reaching_world, host.url(path))
    assert_page_refuses(page)
    assert "127.0.0.1" not in page.text


@pytest.mark.parametrize(
    "tail", ["/a/../client.json", "/./client.json", "/client.json#x", "/%2e%2e/client.json", "", "/x y", "/x\\y"]
)
@pytest.mark.requirement(DRAFT, "3", "what is no client identifier URL is never fetched")
def test_101_a_url_that_may_be_read_differently_is_never_fetched(
    reaching_world: World, host: DocumentHost, tail: str
) -> None:
    assert_page_refuses(open_page(reaching_world, host.url(tail)))
    userinfo = host.url("/client.json").replace("https://", "https://good.example@")
    assert_page_refuses(open_page(reaching_world, userinfo))
    assert not host.asked


def test_101_the_operator_sees_what_is_wrong_with_a_document(reaching_world: World, host: DocumentHost) -> None:
    client_id = host.publish(a_path(), client_id="https://good.example/client.json")
    (incident,) = re.findall(r'data-incident="([A-Z0-9]{8})"', open_page(reaching_world, client_id).text)
    deployment = reaching_world.operator.deployment
    wait_until(lambda: bool(list_audit(deployment, incident=incident)), within_s=30)
    explanation = explain_incident(deployment, incident)
    assert explanation.client_id == client_id
    (difference,) = explanation.differences
    assert (difference.what, difference.expected) == ("client_id", (client_id,))
    assert difference.received == "https://good.example/client.json"


def test_visitors_who_come_at_the_same_moment_make_one_fetch_and_one_client(
    reaching_world: World, host: DocumentHost
) -> None:
    path = a_path()
    client_id = host.publish(path)
    with ThreadPoolExecutor(4) as pool:
        pages = list(pool.map(lambda _: open_page(reaching_world, client_id), range(4)))
    assert [page.status for page in pages] == [200] * 4
    assert host.asked[path] == 1


def test_101_a_query_that_the_document_does_not_have_makes_another_client(
    reaching_world: World, host: DocumentHost
) -> None:
    path = a_path()
    client_id = host.publish(path)
    host.answers[f"{path}?x=1"] = host.answers[path]
    assert_page_refuses(open_page(reaching_world, f"{client_id}?x=1"))
    assert 'id="login-form"' in open_page(reaching_world, client_id).text


@pytest.mark.requirement(DRAFT, "5.2", "an error is not cached")
def test_101_an_error_is_remembered_for_seconds_only(reaching_world: World, host: DocumentHost) -> None:
    path = a_path()
    client_id = host.url(path)
    for _ in range(5):
        assert_page_refuses(open_page(reaching_world, client_id))
    assert host.asked[path] == 1
    host.publish(path)
    reaching_world.clock.move(seconds=11)
    assert 'id="login-form"' in open_page(reaching_world, client_id).text


def test_101_a_redirect_uri_that_leaves_the_document_in_the_middle_gets_no_code(
    reaching_world: World, host: DocumentHost
) -> None:
    path = a_path()
    client_id = host.publish(path)
    account, browser = reaching_world.operator.add_user(), reaching_world.browser()
    page = browser.log_in(
        browser.get(party_of(reaching_world, client_id).begin().url), account.username, account.password
    )
    host.publish(path, redirect_uris=["https://agent.example/other"])
    reaching_world.clock.move(seconds=301)
    # Somebody else comes, and brings the news.
    open_page(reaching_world, client_id, redirect_uri="https://agent.example/other")
    assert host.asked[path] == 2
    reply = browser.consent(page)
    assert_page_refuses(reply)


# ----- How long a copy counts -----


@pytest.mark.parametrize(
    ("cache_control", "fresh_s"), [(None, 300), ("max-age=3600", 3600), ("no-store", 60), ("max-age=999999", DAY_S)]
)
@pytest.mark.requirement(DRAFT, "5.2", "HTTP cache headers are respected, within bounds")
def test_a_copy_counts_for_as_long_as_its_host_says_within_bounds(
    reaching_world: World, host: DocumentHost, cache_control: str | None, fresh_s: int
) -> None:
    path = a_path()
    client_id = host.publish(path, headers={} if cache_control is None else {"Cache-Control": cache_control})
    open_page(reaching_world, client_id)
    reaching_world.clock.move(seconds=fresh_s - 10)
    open_page(reaching_world, client_id)
    assert host.asked[path] == 1
    reaching_world.clock.move(seconds=20)
    open_page(reaching_world, client_id)
    assert host.asked[path] == 2


@pytest.mark.requirement(DRAFT, "5.1", "a host that cannot be reached fails no refresh, and no login for a day")
def test_a_host_that_is_down_fails_no_refresh_and_no_login_for_a_day(reaching_world: World, host: DocumentHost) -> None:
    path = a_path()
    client_id = host.publish(path)
    party, account = party_of(reaching_world, client_id), reaching_world.operator.add_user()
    refresh_token = reaching_world.get_tokens(party, account, scope="openid offline_access").refresh_token
    host.answers[path] = Answer(status=503)
    reaching_world.clock.move(seconds=300 + DAY_S - 60)
    assert 'id="login-form"' in open_page(reaching_world, client_id).text
    reaching_world.clock.move(seconds=120)
    refused = open_page(reaching_world, client_id)
    assert_page_refuses(refused)
    assert "cannot be had" in refused.text
    reaching_world.clock.move(seconds=10 * DAY_S)
    assert party.refresh(refresh_token).access_token
    assert host.asked[path] >= 3


def test_a_host_that_answers_something_else_withdraws_its_client_at_once(
    reaching_world: World, host: DocumentHost
) -> None:
    path = a_path()
    client_id = host.publish(path)
    open_page(reaching_world, client_id)
    host.answers[path] = Answer(status=404)
    reaching_world.clock.move(seconds=301)
    assert_page_refuses(open_page(reaching_world, client_id))


def meet(world: World, client_id: str) -> Reply:
    """A request that is answered at once stores no transaction, to which the client would belong for a day."""
    return world.browser().get(party_of(world, client_id).begin(prompt="none").url)


def let_unused_leave(world: World) -> int:
    later = world.clock() + STALE_FOR_MS + 2 * DAY_S * 1000
    return world.operator.deployment.database.transact(
        lambda connection: delete_unused_documents(connection, fresh_before=later, at_most=10_000)
    )


def test_a_copy_that_nobody_uses_leaves_and_one_that_somebody_uses_stays(
    reaching_world: World, host: DocumentHost
) -> None:
    database = reaching_world.operator.deployment.database
    used, unused, disabled = host.publish(a_path()), host.publish(a_path()), host.publish(a_path())
    reaching_world.get_tokens(party_of(reaching_world, used), reaching_world.operator.add_user())
    for client_id in (unused, disabled):
        meet(reaching_world, client_id)
    disable_client(reaching_world.operator.deployment, disabled)
    let_unused_leave(reaching_world)
    with database.reading() as connection:
        kept = [find_document(connection, client_id) is not None for client_id in (used, unused, disabled)]
    assert kept == [True, False, True]
    assert 'id="login-form"' in open_page(reaching_world, unused).text


def test_what_left_is_forgotten_by_every_process_and_nothing_is_forgotten_where_nothing_left(
    reaching_world: World, host: DocumentHost
) -> None:
    deployment, client_id = reaching_world.operator.deployment, host.publish(a_path())
    meet(reaching_world, client_id)
    deployment.notice_changes(at_once=True)
    assert deployment.registry.find_client(client_id) is not None
    assert let_unused_leave(reaching_world) >= 1
    deployment.notice_changes(at_once=True)
    assert deployment.registry.find_client(client_id) is None
    generation = deployment.registry.generation
    assert let_unused_leave(reaching_world) == 0
    deployment.notice_changes(at_once=True)
    assert deployment.registry.generation == generation


def test_101_when_all_places_are_taken_the_oldest_that_nobody_uses_make_room(
    reaching_world: World, host: DocumentHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = reaching_world.operator.deployment.database
    here = ClientDocuments(reaching_world.operator.deployment, RequestLimits(is_enabled=False))
    used, old, recent = (host.publish(a_path()) for _ in range(3))
    reaching_world.get_tokens(party_of(reaching_world, used), reaching_world.operator.add_user())
    let_unused_leave(reaching_world)
    for client_id in (old, recent):
        reaching_world.clock.move(seconds=1)
        meet(reaching_world, client_id)
    with database.reading() as connection:
        places = count_documents(connection)
    monkeypatch.setattr(client_documents, "MAX_DOCUMENTS", places)
    monkeypatch.setattr(client_documents, "LEAVE_AT_ONCE", 1)
    newcomer = host.publish(a_path())
    assert here.find_client(newcomer, address="127.0.0.1") is not None
    with database.reading() as connection:
        kept = [find_document(connection, each) is not None for each in (used, old, recent, newcomer)]
    assert kept == [True, False, True, True]
    # What is in use never leaves: then there is no place.
    monkeypatch.setattr(client_documents, "MAX_DOCUMENTS", places - 2)
    let_unused_leave(reaching_world)
    with pytest.raises(TemporarilyUnavailable):
        here.find_client(host.publish(a_path()), address="127.0.0.1")
    with database.reading() as connection:
        assert find_document(connection, used) is not None


def test_a_copy_that_another_process_fetched_anew_is_not_taken_for_the_one_that_left(
    reaching_world: World, host: DocumentHost
) -> None:
    path, second = a_path(), "https://agent.example/second"
    client_id = host.publish(path)
    for _ in range(2):
        meet(reaching_world, client_id)  # fetched, then remembered
    let_unused_leave(reaching_world)
    host.publish(path, redirect_uris=[second])
    elsewhere = ClientDocuments(reaching_world.operator.deployment, RequestLimits(is_enabled=False))
    assert elsewhere.find_client(client_id, address="127.0.0.1") is not None
    assert 'id="login-form"' in open_page(reaching_world, client_id, redirect_uri=second).text
    assert_page_refuses(open_page(reaching_world, client_id))


# ----- The operator -----


def test_what_the_operator_ended_no_document_brings_back(reaching_world: World, host: DocumentHost) -> None:
    deployment = reaching_world.operator.deployment
    path, other = a_path(), a_path()
    client_id, removed = host.publish(path), host.publish(other)
    party, account = party_of(reaching_world, client_id), reaching_world.operator.add_user()
    refresh_token = reaching_world.get_tokens(party, account, scope="openid offline_access").refresh_token
    open_page(reaching_world, removed)
    disable_client(deployment, client_id)
    remove_client(deployment, removed)
    host.publish(path, client_name="Agent again")
    reaching_world.clock.move(seconds=DAY_S)
    for ended in (client_id, removed):
        wait_until(lambda ended=ended: open_page(reaching_world, ended).status == 400, within_s=30)
    assert (host.asked[path], host.asked[other]) == (1, 1)
    refused = party.try_refresh(refresh_token)
    assert refused.status in (400, 401)
    enable_client(deployment, client_id)
    wait_until(lambda: 'id="login-form"' in open_page(reaching_world, client_id).text, within_s=30)
    assert show_client(deployment, client_id).metadata["client_name"] == "Agent again"


def test_a_client_that_an_operator_registered_under_a_url_is_never_fetched(
    reaching_world: World, host: DocumentHost
) -> None:
    path = a_path()
    host.publish(path)
    client = reaching_world.operator.add_client(client_id=host.url(path), redirect_uris=[CALLBACK])
    assert 'id="login-form"' in open_page(reaching_world, client.client_id).text
    assert not host.asked


def test_an_api_is_no_client(reaching_world: World, host: DocumentHost) -> None:
    client_id = host.publish(a_path())
    reaching_world.operator.add_resource(resource=client_id)
    assert_page_refuses(open_page(reaching_world, client_id))


# ----- 120: what the person is asked, and what is remembered -----


def consent_page(world: World, party: RelyingParty, account: Account, browser: Browser) -> Reply:
    page = browser.get(party.begin().url)
    return browser.log_in(page, account.username, account.password) if 'id="login-form"' in page.text else page


@pytest.mark.parametrize("redirect_uri", [CALLBACK, LOOPBACK, "example.agent:/callback"])
@pytest.mark.requirement(DRAFT, "8.4", "consent shows the host of the client_id and where the answer goes")
def test_120_a_document_without_keys_is_never_silent(
    reaching_world: World, host: DocumentHost, redirect_uri: str
) -> None:
    client_id = host.publish(a_path(), redirect_uris=[redirect_uri], client_name="My Bank")
    party = party_of(reaching_world, client_id, redirect_uri=redirect_uri)
    account, browser = reaching_world.operator.add_user(), reaching_world.browser()
    for _ in range(2):
        page = consent_page(reaching_world, party, account, browser)
        assert f'<strong class="host">127.0.0.1:{host.port}</strong>' in page.text
        assert "Nobody registered this application here" in page.text
        if redirect_uri == LOOPBACK:
            assert "this server cannot tell which program it really is" in page.text
        if redirect_uri == CALLBACK:
            assert "comes from one place and sends you to another" in page.text
        assert "code" in party.read_answer(browser.consent(page))
    answer = party.read_answer(browser.get(party.begin(prompt="none").url))
    assert answer["error"] == "consent_required"


KEYS = [DpopKey().public_jwk for _ in range(2)]


def keyed(host: DocumentHost, path: str, **changes: Any) -> str:
    return host.publish(
        path, **{"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [KEYS[0]]}, **changes}
    )


@pytest.mark.parametrize(
    ("changes", "redirect_uri"),
    [
        ({"jwks": {"keys": [KEYS[1]]}}, CALLBACK),
        ({"jwks": None, "jwks_uri": "https://agent.example/jwks"}, CALLBACK),
        ({"redirect_uris": ["https://other.example/callback"]}, "https://other.example/callback"),
    ],
    ids=["keys", "place-of-keys", "redirect-host"],
)
def test_120_what_was_said_to_a_document_with_keys_counts_until_it_becomes_another(
    reaching_world: World, host: DocumentHost, changes: dict[str, Any], redirect_uri: str
) -> None:
    path = a_path()
    client_id = keyed(host, path)
    party = party_of(reaching_world, client_id, method="private_key_jwt")
    account, browser = reaching_world.operator.add_user(), reaching_world.browser()
    browser.consent(consent_page(reaching_world, party, account, browser))
    assert "code" in party.read_answer(browser.get(party.begin(prompt="none").url))
    # A new name and another page at the same host change nothing of who it is.
    keyed(host, path, client_name="Agent 2", redirect_uris=[CALLBACK, "https://agent.example/second"])
    reaching_world.clock.move(seconds=301)
    assert "code" in party.read_answer(browser.get(party.begin(prompt="none").url))
    keyed(host, path, **changes)
    reaching_world.clock.move(seconds=301)
    changed = party_of(reaching_world, client_id, redirect_uri=redirect_uri, method="private_key_jwt")
    assert changed.read_answer(browser.get(changed.begin(prompt="none").url))["error"] == "consent_required"


def test_120_keys_that_are_elsewhere_may_become_anybodys_so_the_person_is_always_asked(
    reaching_world: World, host: DocumentHost
) -> None:
    client_id = keyed(host, a_path(), jwks=None, jwks_uri=host.url("/jwks"))
    party = party_of(reaching_world, client_id, method="private_key_jwt")
    account, browser = reaching_world.operator.add_user(), reaching_world.browser()
    for _ in range(2):
        page = consent_page(reaching_world, party, account, browser)
        assert "You are still asked each time" in page.text
        assert "code" in party.read_answer(browser.consent(page))
    assert party.read_answer(browser.get(party.begin(prompt="none").url))["error"] == "consent_required"


def test_120_what_was_said_to_a_document_ends_after_ninety_days(reaching_world: World, host: DocumentHost) -> None:
    client_id = keyed(host, a_path())
    party = party_of(reaching_world, client_id, method="private_key_jwt")
    account, browser = reaching_world.operator.add_user(), reaching_world.browser()
    browser.consent(consent_page(reaching_world, party, account, browser))
    for days, silent in ((89, True), (2, False)):
        reaching_world.clock.move(seconds=days * DAY_S)
        page = browser.log_in(browser.get(party.begin().url), account.username, account.password)
        assert ('id="consent-form"' in page.text) is not silent


# ----- What it looks like -----


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_100_a_logo_comes_through_us_and_is_an_image(reaching_world: World, host: DocumentHost, kind: str) -> None:
    body = b"\x89PNG\r\n\x1a\n" + b"\0" * 20 if kind == "png" else b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    host.answers["/logo"] = Answer(body=body, headers={"Content-Type": f"image/{kind}"})
    client_id = host.publish(a_path() + "?v=1", logo_uri=host.url("/logo"))
    page = open_page(reaching_world, client_id)
    (logo,) = [part.split('"')[0] for part in page.text.split('src="') if part.startswith("/client-logo/")]
    assert host.url("") not in page.text.replace(client_id, "")
    reply = send(reaching_world.url + logo)
    assert (reply.status, reply.body) == ((200, body) if kind == "png" else (404, b""))


def test_a_large_logo_is_on_no_page_of_a_sign_in_but_where_is_decided(
    reaching_world: World, host: DocumentHost
) -> None:
    small, large = (b"\x89PNG\r\n\x1a\n".ljust(size, b"\0") for size in (3_000, 3_001))
    host.answers["/small"], host.answers["/large"] = (Answer(body=body) for body in (small, large))
    account, browser = reaching_world.operator.add_user(), reaching_world.browser()
    for path, body, at_sign_in in (("/small", small, 200), ("/large", large, 404)):
        party = party_of(reaching_world, host.publish(a_path(), logo_uri=host.url(path)))
        login = reaching_world.browser().get(party.begin().url)
        (logo,) = re.findall(r'src="(/client-logo/[^"]+)"', login.text)
        assert send(reaching_world.url + logo).status == at_sign_in
        consent = consent_page(reaching_world, party, account, browser)
        (logo,) = re.findall(r'src="(/client-logo/[^"]+)"', consent.text)
        assert send(reaching_world.url + logo).body == body
