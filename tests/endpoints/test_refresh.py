"""Refresh tokens as an application sees them: who gets one, what it gives, how long it lives."""

import pytest

from app.services.list_audit import list_audit
from app.services.manage_grants import list_grants
from tests.actors.dpop_key import DpopKey
from tests.actors.http import send
from tests.actors.refreshing import OFFLINE, allow, refresh_token_of, refreshing_party
from tests.deployments import Account
from tests.world import World

DAY_S = 86_400


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user()


# ----- Who gets one -----


def test_a_client_that_is_not_registered_for_them_gets_none(world: World, account: Account) -> None:
    tokens = allow(world, world.relying_party(), account, scope=OFFLINE, prompt="consent")
    assert tokens.refresh_token is None
    assert tokens.scope == "openid"


def test_a_client_that_is_registered_for_them_gets_one_that_ends_with_the_session(
    world: World, account: Account
) -> None:
    party = refreshing_party(world)
    tokens = allow(world, party, account)
    assert refresh_token_of(tokens).startswith("th_rt_")
    (grant,) = list_grants(world.operator.deployment, user=account.sub)
    assert grant.expires_at - grant.created_at <= 12 * 3600 * 1000
    assert party.refresh(tokens.refresh_token).scope == "openid"


@pytest.mark.requirement("OpenID Connect Core 1.0", "11", "offline_access is given with the person's consent")
def test_offline_access_is_asked_for_and_given(world: World, account: Account) -> None:
    party, browser = refreshing_party(world), world.browser()
    pending = party.begin(scope=OFFLINE, prompt="consent")
    page = browser.log_in(browser.get(pending.url), account.username, account.password)
    assert "Keep this access while you are signed out" in page.text
    assert "90 days" in page.text
    tokens = party.exchange(party.read_callback(browser.consent(page), pending), pending)
    assert tokens.scope == OFFLINE
    assert tokens.claims["scope"] == "openid"
    world.clock.move(seconds=20 * DAY_S)
    assert party.refresh(tokens.refresh_token).scope == OFFLINE


def test_offline_access_can_be_unticked_and_is_remembered_either_way(world: World, account: Account) -> None:
    party, browser = refreshing_party(world), world.browser()
    declined = allow(world, party, account, browser=browser, scope=OFFLINE, ticked=["openid"])
    assert declined.scope == "openid"
    # Nothing is asked again, and it stays declined; asked anew and allowed, it is remembered as that.
    assert allow(world, party, account, browser=browser, scope=OFFLINE, prompt="none").scope == "openid"
    ticked = OFFLINE.split()
    anew = allow(world, party, account, browser=browser, scope=OFFLINE, prompt="consent", ticked=ticked)
    assert anew.scope == OFFLINE
    assert allow(world, party, account, browser=browser, scope=OFFLINE, prompt="none").scope == OFFLINE
    world.clock.move(seconds=13 * 3600)
    assert party.try_refresh(declined.refresh_token).json()["error"] == "invalid_grant"


def test_offline_access_that_was_never_decided_on_is_not_given_silently(world: World, account: Account) -> None:
    party, browser = refreshing_party(world), world.browser()
    allow(world, party, account, browser=browser)
    pending = party.begin(scope=OFFLINE, prompt="none")
    assert party.read_answer(browser.get(pending.url))["error"] == "consent_required"


def test_unticking_all_but_offline_access_is_a_refusal(world: World, account: Account) -> None:
    party, browser = refreshing_party(world), world.browser()
    pending = party.begin(scope=f"{OFFLINE} profile")
    page = browser.log_in(browser.get(pending.url), account.username, account.password)
    assert party.read_answer(browser.consent(page, scope=["offline_access"]))["error"] == "access_denied"


def test_once_gives_none_and_a_day_ends_with_the_day(world: World, account: Account) -> None:
    party, browser = refreshing_party(world), world.browser()
    once = allow(world, party, account, browser=browser, scope=OFFLINE, prompt="consent", duration="once")
    assert (once.refresh_token, once.scope) == (None, "openid")
    tokens = allow(world, party, account, browser=browser, scope=OFFLINE, prompt="consent", duration="day")
    world.clock.move(seconds=DAY_S - 100)
    late = party.refresh(tokens.refresh_token)
    assert late.expires_in <= 100
    world.clock.move(seconds=101)
    assert party.try_refresh(late.refresh_token).json()["error"] == "invalid_grant"


# ----- What it gives -----


@pytest.mark.requirement("OpenID Connect Core 1.0", "12.2", "the ID token of a refresh is of the same person and login")
def test_a_refresh_gives_new_tokens_of_the_same_grant(world: World, account: Account) -> None:
    party, resource = refreshing_party(world), world.operator.add_resource()
    first = allow(world, party, account, scope=f"{OFFLINE} photos.read", resource=resource)
    world.clock.move(seconds=600)
    second = party.refresh(first.refresh_token)
    assert second.refresh_token not in (None, first.refresh_token)
    assert second.scope == first.scope
    assert second.claims["jti"] != first.claims["jti"]
    unchanged = ("iss", "sub", "aud", "client_id", "scope", "auth_time")
    assert [second.claims[name] for name in unchanged] == [first.claims[name] for name in unchanged]
    assert [second.id_claims[name] for name in ("iss", "sub", "aud", "auth_time", "sid")] == [
        first.id_claims[name] for name in ("iss", "sub", "aud", "auth_time", "sid")
    ]
    assert second.id_claims["iat"] >= first.id_claims["iat"] + 600
    assert "nonce" not in second.id_claims


@pytest.mark.requirement("RFC 6749", "6", "a narrower scope does not shrink the grant")
def test_a_refresh_can_be_narrower_and_the_next_one_as_wide_as_at_first(world: World, account: Account) -> None:
    party = refreshing_party(world)
    one, two = world.operator.add_resource(), world.operator.add_resource()
    scope = f"{OFFLINE} photos.read photos.write"
    code, pending = world.get_code(party, account, scope=scope, resource=[one, two])
    tokens = party.exchange(code, pending, resource=one)
    narrow = party.refresh(tokens.refresh_token, scope="photos.read", resource=one, tokenhouse_expires_in="20")
    assert (narrow.scope, narrow.claims["scope"], narrow.id_token) == ("photos.read", "photos.read", None)
    assert narrow.expires_in == 20
    wide = party.refresh(narrow.refresh_token, resource=two)
    assert (wide.claims["aud"], wide.claims["scope"]) == (two, "photos.read photos.write")
    assert wide.id_token is not None


@pytest.mark.requirement("RFC 6749", "6", "wider than granted is refused")
def test_a_wider_refresh_is_refused_and_spends_nothing(world: World, account: Account) -> None:
    party, resource, other = refreshing_party(world), world.operator.add_resource(), world.operator.add_resource()
    tokens = allow(world, party, account, scope="openid photos.read", resource=resource)
    for changes, error in (
        ({"scope": "openid photos.read photos.write"}, "invalid_scope"),
        ({"scope": "offline_access"}, "invalid_scope"),
        ({"scope": 'photos.read "'}, "invalid_scope"),
        ({"resource": other}, "invalid_target"),
        ({"resource": [resource, other]}, "invalid_target"),
        ({"tokenhouse_expires_in": "soon"}, "invalid_request"),
    ):
        reply = party.try_refresh(tokens.refresh_token, **changes)
        assert (reply.status, reply.json()["error"]) == (400, error), changes
    assert party.refresh(tokens.refresh_token).scope == tokens.scope


def test_a_client_without_a_secret_refreshes_with_its_name_alone(world: World, account: Account) -> None:
    party = refreshing_party(
        world, token_endpoint_auth_method="none", redirect_uris=["http://127.0.0.1/callback"], application_type="native"
    )
    tokens = allow(world, party, account, scope=OFFLINE)
    assert party.refresh(tokens.refresh_token).refresh_token != tokens.refresh_token


# ----- Retries -----


def test_a_retry_gets_the_same_successor_and_a_fresh_access_token(world: World, account: Account) -> None:
    party = refreshing_party(world)
    tokens = allow(world, party, account, scope=f"{OFFLINE} profile")
    first = party.refresh(tokens.refresh_token, scope=OFFLINE)
    world.clock.move(seconds=8)
    again = party.refresh(tokens.refresh_token, scope=OFFLINE)
    assert again.refresh_token == first.refresh_token
    assert again.claims["jti"] != first.claims["jti"]
    assert [party.userinfo(each.access_token).status for each in (first, again)] == [200, 200]
    # Less than at first is answered, more is not; and five times are enough.
    assert party.refresh(tokens.refresh_token, scope="openid").refresh_token == first.refresh_token
    assert party.try_refresh(tokens.refresh_token).json()["error"] == "invalid_scope"
    for _ in range(3):
        assert party.refresh(tokens.refresh_token, scope=OFFLINE).refresh_token == first.refresh_token
    assert party.try_refresh(tokens.refresh_token, scope=OFFLINE).json()["error"] == "invalid_grant"
    retries = list_audit(world.operator.deployment, event_type="refresh_token.retried", client_id=party.client_id)
    assert sorted(event.body["retry"] for event in retries) == [1, 2, 3, 4, 5]
    assert party.refresh(first.refresh_token).scope == "openid profile offline_access"


# ----- Clients that keep theirs -----


def test_a_confidential_client_may_keep_its_token_and_each_use_prolongs_it(world: World, account: Account) -> None:
    party = refreshing_party(world, policy={"rotate_refresh_tokens": False})
    tokens = allow(world, party, account, scope=OFFLINE)
    for _ in range(2):
        world.clock.move(seconds=20 * DAY_S)
        kept = party.refresh(tokens.refresh_token)
        assert kept.refresh_token is None
        assert kept.scope == OFFLINE
    world.clock.move(seconds=31 * DAY_S)
    assert party.try_refresh(tokens.refresh_token).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("method", "policy", "keeps"),
    [
        ("client_secret_post", {}, True),
        ("client_secret_post", {"rotate_refresh_tokens": True}, False),
        ("none", {}, False),
    ],
    ids=["confidential", "by policy", "public"],
)
@pytest.mark.requirement("RFC 9700", "2.2.2", "whoever cannot authenticate rotates, bound to a key or not")
def test_a_confidential_client_whose_tokens_are_always_bound_keeps_its_token(
    world: World, account: Account, method: str, policy: dict[str, bool], *, keeps: bool
) -> None:
    party = refreshing_party(world, dpop_bound_access_tokens=True, token_endpoint_auth_method=method, policy=policy)
    key = DpopKey()

    def proof() -> dict[str, str]:
        return {"DPoP": key.prove("POST", f"{world.issuer}/token", now_ms=world.clock())}

    code, pending = world.get_code(party, account)
    first = party.try_exchange(code, pending, headers=proof()).json()
    used = first["refresh_token"]
    for _ in range(3):
        reply = party.try_refresh(used, headers=proof())
        assert (reply.status, reply.json()["token_type"]) == (200, "DPoP")
        assert reply.json()["access_token"] != first["access_token"]
        assert ("refresh_token" not in reply.json()) is keeps
        used = reply.json().get("refresh_token", used)
    # What is bound stays bound: a bearer token is not to be had with it.
    assert party.try_refresh(used).json()["error"] == "invalid_dpop_proof"


def test_an_online_token_is_a_use_of_the_login_and_dies_with_it(world: World, account: Account) -> None:
    party = refreshing_party(world)
    used = refresh_token_of(allow(world, party, account))
    idle = refresh_token_of(allow(world, party, account))
    for _ in range(3):
        world.clock.move(seconds=1800)
        used = refresh_token_of(party.refresh(used))
    assert party.try_refresh(idle).json()["error"] == "invalid_grant"
    world.clock.move(seconds=11 * 3600)
    assert party.try_refresh(used).json()["error"] == "invalid_grant"


def test_the_metadata_says_so(world: World) -> None:
    metadata = send(f"{world.url}/.well-known/openid-configuration").json()
    assert "refresh_token" in metadata["grant_types_supported"]
    assert "offline_access" in metadata["scopes_supported"]
