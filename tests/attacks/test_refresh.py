"""Attacks on refresh tokens (cases 71 to 77; 78 is among the faults)."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event, text

from app.services.housekeeping import Housekeeper
from app.services.list_audit import list_audit
from app.services.manage_clients import disable_client
from app.services.manage_grants import list_grants, revoke_grant
from app.services.manage_users import disable_user, set_password
from app.storage import changes, revocation
from app.storage.database import Connection
from tests.actors.dpop_key import DpopKey
from tests.actors.http import Reply
from tests.actors.refreshing import OFFLINE, allow, refresh_token_of, refreshing_party
from tests.actors.relying_party import RelyingParty, Tokens
from tests.attacks.good_conduct import assert_json_error
from tests.conftest import run_world
from tests.deployments import Account
from tests.patience import wait_until
from tests.world import World

DAY_S = 86_400
PARALLEL_TRIES = 50
PUBLIC = {"token_endpoint_auth_method": "none"}


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user()


def assert_invalid_grant(reply: Reply) -> None:
    assert_json_error(reply, "invalid_grant")
    assert "access_token" not in reply.text


def rows_of(world: World, statement: str, **values: str) -> list[tuple[object, ...]]:
    with world.operator.deployment.database.reading() as connection:
        return [tuple(row) for row in connection.execute(text(statement), values)]


def generations(world: World, account: Account) -> list[tuple[object, ...]]:
    """(generation, whether it is used, whether a sealed copy lies beside it) of a person's one family."""
    return rows_of(
        world,
        "SELECT generation, used_at IS NOT NULL, sealed_successor IS NOT NULL FROM refresh_tokens"
        " JOIN grants USING (grant_id) JOIN users ON users.id = grants.user_id WHERE sub = :sub ORDER BY generation",
        sub=account.sub,
    )


# ----- Case 71: whose it is -----


@pytest.mark.requirement("RFC 6749", "10.4", "the binding between refresh token and client identity")
@pytest.mark.parametrize("metadata", [{}, PUBLIC], ids=["confidential", "public"])
def test_71_another_clients_try_is_refused_and_leaves_the_token_alone(
    world: World, account: Account, metadata: dict[str, str]
) -> None:
    party, thief = refreshing_party(world), refreshing_party(world, **metadata)
    tokens = allow(world, party, account, scope=OFFLINE)
    spent, living = tokens.refresh_token, party.refresh(tokens.refresh_token)
    world.clock.move(seconds=60)
    # Neither the living one nor the spent one, by which a thief could end the family.
    for stolen in (living.refresh_token, spent):
        assert_invalid_grant(thief.try_refresh(stolen))
    assert party.refresh(living.refresh_token).scope == OFFLINE


def test_71_a_secret_of_another_kind_or_shape_is_no_refresh_token(world: World, account: Account) -> None:
    party = refreshing_party(world)
    tokens = allow(world, party, account, scope=OFFLINE)
    token = refresh_token_of(tokens)
    for wrong in (
        tokens.access_token,
        tokens.id_token,
        token.replace("th_rt_", "th_ac_"),
        token[:-1] + ("0" if token[-1] != "0" else "1"),
        token + " ",
        token.upper(),
        "th_rt_",
        "\u00e9",
    ):
        assert_invalid_grant(party.try_refresh(wrong))
    for missing in (None, ""):
        assert_json_error(party.try_refresh(missing), "invalid_request")
    code, _ = world.get_code(party, account)
    assert_invalid_grant(party.try_refresh(code))
    assert party.refresh(token)


def test_71_a_client_without_its_secret_is_refused(world: World, account: Account) -> None:
    party = refreshing_party(world)
    tokens = allow(world, party, account, scope=OFFLINE)
    reply = party.try_refresh(tokens.refresh_token, headers={}, client_id=party.client_id)
    assert_json_error(reply, "invalid_client", 401)
    assert party.refresh(tokens.refresh_token)


# ----- Case 72: used again -----


@pytest.mark.requirement("RFC 9700", "4.14.2", "the authorization server can revoke the active refresh token")
def test_72_reuse_after_the_window_ends_the_family(world: World, account: Account) -> None:
    party, other_grant = refreshing_party(world), allow(world, refreshing_party(world), account, scope=OFFLINE)
    first = allow(world, party, account, scope=OFFLINE)
    second = party.refresh(first.refresh_token)
    world.clock.move(seconds=11)
    assert_invalid_grant(party.try_refresh(first.refresh_token))
    assert_invalid_grant(party.try_refresh(second.refresh_token))
    assert [party.userinfo(tokens.access_token).status for tokens in (first, second)] == [401, 401]
    # Once, and for this family only.
    assert_invalid_grant(party.try_refresh(first.refresh_token))
    (reuse,) = list_audit(world.operator.deployment, event_type="refresh_token.reused", client_id=party.client_id)
    assert reuse.body["generation"] == 0
    assert party.userinfo(other_grant.access_token).status == 200


def test_72_reuse_inside_the_window_ends_the_family_once_the_successor_was_used(world: World, account: Account) -> None:
    party = refreshing_party(world)
    first = allow(world, party, account, scope=OFFLINE)
    second = party.refresh(first.refresh_token)
    third = party.refresh(second.refresh_token)
    assert_invalid_grant(party.try_refresh(first.refresh_token))
    assert_invalid_grant(party.try_refresh(third.refresh_token))


def test_72_the_window_does_not_slide_with_its_retries(world: World, account: Account) -> None:
    party = refreshing_party(world)
    first = allow(world, party, account, scope=OFFLINE)
    second = party.refresh(first.refresh_token)
    world.clock.move(seconds=7)
    assert party.refresh(first.refresh_token).refresh_token == second.refresh_token
    world.clock.move(seconds=7)
    assert_invalid_grant(party.try_refresh(first.refresh_token))


def test_72_a_clock_that_is_set_back_does_not_open_the_window_again(world: World, account: Account) -> None:
    party = refreshing_party(world)
    world.clock.move(seconds=3600)
    first = allow(world, party, account, scope=OFFLINE)
    party.refresh(first.refresh_token)
    world.clock.move(seconds=-3600)
    # The token is from the future: ours to mend, so nobody has to log in again.
    reply = party.try_refresh(first.refresh_token)
    assert_json_error(reply, "temporarily_unavailable", 503)
    world.clock.move(seconds=3600 + 11)
    assert_invalid_grant(party.try_refresh(first.refresh_token))


def test_72_ending_a_family_takes_as_many_statements_however_old_it_is(world: World) -> None:
    counts = []
    for rotations in (0, 4):
        party, account = refreshing_party(world), world.operator.add_user()
        tokens = allow(world, party, account, scope=OFFLINE)
        for _ in range(rotations):
            tokens = party.refresh(tokens.refresh_token)
        (grant,) = list_grants(world.operator.deployment, user=account.sub)
        counts.append(count_statements_of_revocation(world, grant.grant_id))
        assert_invalid_grant(party.try_refresh(tokens.refresh_token))
    assert counts[0] == counts[1] > 0


def count_statements_of_revocation(world: World, grant_id: str) -> int:
    database, statements = world.operator.deployment.database, []

    def see(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", see)
    try:
        now = world.clock()
        database.transact(lambda connection: revocation.revoke_grant(connection, grant_id, now=now))
    finally:
        event.remove(database.engine, "before_cursor_execute", see)
    return len(statements)


def test_72_the_sealed_copy_is_erased_when_it_has_served(world: World, account: Account) -> None:
    party = refreshing_party(world)
    first = allow(world, party, account, scope=OFFLINE)
    second = party.refresh(first.refresh_token)
    assert generations(world, account) == [(0, True, True), (1, False, False)]
    party.refresh(second.refresh_token)
    assert generations(world, account) == [(0, True, False), (1, True, True), (2, False, False)]
    # The last one by housekeeping: see tests/faults/test_refresh.py.


# ----- Case 73: at the same moment -----


def test_73_parallel_refreshes_have_one_successor_and_one_end(world: World, account: Account) -> None:
    party = refreshing_party(world)
    token = refresh_token_of(allow(world, party, account, scope=OFFLINE))
    with ThreadPoolExecutor(PARALLEL_TRIES) as pool:
        replies = list(pool.map(lambda _: party.try_refresh(token), range(PARALLEL_TRIES)))
    good = [reply.json() for reply in replies if reply.status == 200]
    assert 1 <= len(good) <= 6
    (successor,) = {answer["refresh_token"] for answer in good}
    assert [row[0] for row in generations(world, account)] == [0, 1]
    for reply in replies:
        if reply.status != 200:
            assert_invalid_grant(reply)
    last = party.refresh(successor)
    (grant,) = list_grants(world.operator.deployment, user=account.sub)
    revoke_grant(world.operator.deployment, grant.grant_id)
    for access_token in (*(answer["access_token"] for answer in good), last.access_token):
        assert party.userinfo(access_token).status == 401
    assert_invalid_grant(party.try_refresh(last.refresh_token))


def test_73_without_a_window_exactly_one_of_many_succeeds(tmp_path: Path, database_url: str) -> None:
    for world in run_world(tmp_path, database_url, rate_limits="off", refresh_token_retry_window_s="0"):
        party, account = refreshing_party(world), world.operator.add_user()
        token = refresh_token_of(allow(world, party, account, scope=OFFLINE))
        with ThreadPoolExecutor(PARALLEL_TRIES) as pool:
            replies = list(
                pool.map(lambda _, party=party, token=token: party.try_refresh(token), range(PARALLEL_TRIES))
            )
        assert sorted(reply.status for reply in replies) == [200] + [400] * (PARALLEL_TRIES - 1)
        assert generations(world, account) == [(0, True, False), (1, False, False)]
        # The others were reuse, and have ended what the first one got.
        assert list_grants(world.operator.deployment, user=account.sub) == ()


# ----- Cases 74 and 75: what ended meanwhile -----


def _disable_user(world: World, account: Account, _party: RelyingParty) -> None:
    disable_user(world.operator.deployment, account.username)


def _set_password(world: World, account: Account, _party: RelyingParty) -> None:
    set_password(world.operator.deployment, account.username, "another long password")


def _revoke(world: World, account: Account, _party: RelyingParty) -> None:
    (grant,) = list_grants(world.operator.deployment, user=account.sub)
    revoke_grant(world.operator.deployment, grant.grant_id)


def _disable_client(world: World, _account: Account, party: RelyingParty) -> None:
    disable_client(world.operator.deployment, party.client_id)


@pytest.mark.parametrize("scope", ["openid", OFFLINE], ids=["online", "offline"])
@pytest.mark.parametrize("end", [_disable_user, _set_password, _revoke, _disable_client])
def test_75_nothing_is_renewed_for_whoever_ended_also_inside_the_window(
    world: World, account: Account, end: Callable[[World, Account, RelyingParty], None], scope: str
) -> None:
    party = refreshing_party(world)
    first = allow(world, party, account, scope=scope)
    second = party.refresh(first.refresh_token)
    end(world, account, party)
    for token in (second.refresh_token, first.refresh_token):
        reply = party.try_refresh(token)
        assert reply.status == 400
        allowed = {"invalid_grant", "unauthorized_client"} if end is _disable_client else {"invalid_grant"}
        assert reply.json()["error"] in allowed
    assert party.userinfo(second.access_token).status == 401


def test_75_a_signed_out_session_ends_the_online_token_and_leaves_the_offline_one(
    world: World, account: Account
) -> None:
    party, browser = refreshing_party(world), world.browser()
    online = allow(world, party, account, browser=browser)
    offline = allow(world, party, account, browser=browser, scope=OFFLINE)

    def sign_out(connection: Connection) -> None:
        of_user = "user_id = (SELECT id FROM users WHERE sub = :sub)"
        values = {"sub": account.sub, "now": world.clock()}
        connection.execute(text(f"UPDATE sessions SET revoked_at = :now WHERE {of_user}"), values)  # noqa: S608

    world.operator.deployment.database.transact(sign_out)
    assert_invalid_grant(party.try_refresh(online.refresh_token))
    assert party.refresh(offline.refresh_token).scope == OFFLINE


def test_75_a_client_that_lost_the_grant_type_is_refused(world: World, account: Account) -> None:
    party = refreshing_party(world)
    tokens = allow(world, party, account, scope=OFFLINE)

    def lose(connection: Connection) -> None:
        query = text("SELECT metadata FROM clients WHERE client_id = :client_id")
        metadata = json.loads(connection.execute(query, {"client_id": party.client_id}).scalar_one())
        document = json.dumps({**metadata, "grant_types": ["authorization_code"]})
        update = text("UPDATE clients SET metadata = :document WHERE client_id = :client_id")
        connection.execute(update, {"document": document, "client_id": party.client_id})
        changes.bump(connection, "clients")

    world.operator.deployment.database.transact(lose)
    wait_until(lambda: party.try_refresh("th_rt_x").json()["error"] == "unauthorized_client")
    assert_json_error(party.try_refresh(tokens.refresh_token), "unauthorized_client")


def test_75_claims_are_as_they_are_now(world: World) -> None:
    account = world.operator.add_user(name="Ada")
    party, resource = refreshing_party(world), world.operator.add_resource()
    tokens = allow(world, party, account, scope=f"{OFFLINE} profile photos.read", resource=resource)
    assert tokens.id_claims["name"] == "Ada"

    def rename(connection: Connection) -> None:
        values = {"sub": account.sub, "claims": json.dumps({"name": "Augusta"})}
        connection.execute(text("UPDATE users SET claims = :claims WHERE sub = :sub"), values)

    world.operator.deployment.database.transact(rename)
    assert party.refresh(tokens.refresh_token).id_claims["name"] == "Augusta"


# ----- Case 76: too old, and not yet swept -----


def test_76_an_idle_token_is_refused_and_stays_dead_when_the_clock_goes_back(world: World, account: Account) -> None:
    party = refreshing_party(world)
    tokens = allow(world, party, account, scope=OFFLINE)
    world.clock.move(seconds=31 * DAY_S)
    assert_invalid_grant(party.try_refresh(tokens.refresh_token))
    world.clock.reset()
    assert_invalid_grant(party.try_refresh(tokens.refresh_token))


def test_76_a_family_ends_after_its_absolute_lifetime_however_often_it_is_used(world: World, account: Account) -> None:
    party = refreshing_party(world)
    tokens = allow(world, party, account, scope=OFFLINE)
    (grant,) = list_grants(world.operator.deployment, user=account.sub)
    assert grant.expires_at - grant.created_at == 90 * DAY_S * 1000
    tokens = party.refresh(tokens.refresh_token)
    # As if 89 days had passed: the rest of the deployment does not have to age with it.
    ends_at = world.clock() + DAY_S * 1000

    def age(connection: Connection) -> None:
        values = {"ends_at": ends_at, "grant_id": grant.grant_id}
        connection.execute(text("UPDATE grants SET expires_at = :ends_at WHERE grant_id = :grant_id"), values)

    world.operator.deployment.database.transact(age)
    tokens = party.refresh(tokens.refresh_token)
    ((token_ends_at,),) = rows_of(
        world, "SELECT MAX(expires_at) FROM refresh_tokens WHERE grant_id = :g AND used_at IS NULL", g=grant.grant_id
    )
    assert token_ends_at == ends_at
    world.clock.move(seconds=DAY_S + 1)
    assert_invalid_grant(party.try_refresh(tokens.refresh_token))


def test_76_rows_stay_as_long_as_their_family_and_a_day_and_then_leave(world: World, account: Account) -> None:
    party, housekeeper = refreshing_party(world), Housekeeper(world.operator.deployment)
    first = allow(world, party, account, scope=OFFLINE)
    second = party.refresh(first.refresh_token)
    (grant,) = list_grants(world.operator.deployment, user=account.sub)
    world.clock.move(seconds=29 * DAY_S)
    sweep(housekeeper)
    assert [row[0] for row in generations(world, account)] == [0, 1]
    party.refresh(second.refresh_token)
    assert_invalid_grant(party.try_refresh(first.refresh_token))
    sweep(housekeeper)
    assert [row[0] for row in generations(world, account)] == [0, 1, 2]
    world.clock.move(seconds=DAY_S + 1)
    sweep(housekeeper)
    assert generations(world, account) == []
    of_grant = "SELECT grant_id FROM grants WHERE grant_id = :grant_id"
    assert rows_of(world, of_grant, grant_id=grant.grant_id) == []


def sweep(housekeeper: Housekeeper) -> None:
    while housekeeper.purge():
        pass


# ----- Case 77: bound to a key -----


def bound(world: World, party: RelyingParty, account: Account, key: DpopKey) -> Tokens:
    code, pending = world.get_code(party, account, scope=OFFLINE)
    reply = party.try_exchange(code, pending, headers=proof(world, key))
    return read(reply)


def proof(world: World, key: DpopKey) -> dict[str, str]:
    return {"DPoP": key.prove("POST", f"{world.issuer}/token", now_ms=world.clock())}


def read(reply: Reply) -> Tokens:
    assert reply.status == 200, reply.text
    answer = reply.json()
    assert answer["token_type"] == "DPoP"
    return Tokens(
        access_token=answer["access_token"],
        id_token=answer.get("id_token"),
        expires_in=answer["expires_in"],
        scope=answer["scope"],
        refresh_token=answer["refresh_token"],
    )


@pytest.mark.requirement("RFC 9449", "5", "refresh tokens of public clients are bound to the key")
def test_77_a_public_clients_token_works_with_its_own_key_only(world: World, account: Account) -> None:
    party, key = refreshing_party(world, **PUBLIC), DpopKey()
    first = bound(world, party, account, key)
    for headers in ({}, proof(world, DpopKey())):
        assert_invalid_grant(party.try_refresh(first.refresh_token, headers=headers))
    second = read(party.try_refresh(first.refresh_token, headers=proof(world, key)))
    assert second.claims["cnf"] == {"jkt": key.jkt}
    # A retry and a reuse are the key's as well: whoever has no key cannot even end the family.
    for headers in ({}, proof(world, DpopKey())):
        assert_invalid_grant(party.try_refresh(first.refresh_token, headers=headers))
    again = read(party.try_refresh(first.refresh_token, headers=proof(world, key)))
    assert again.refresh_token == second.refresh_token
    world.clock.move(seconds=20)
    assert_invalid_grant(party.try_refresh(first.refresh_token))
    assert read(party.try_refresh(second.refresh_token, headers=proof(world, key)))


def test_77_a_proof_that_came_before_spends_nothing(world: World, account: Account) -> None:
    party, key = refreshing_party(world, **PUBLIC), DpopKey()
    first = bound(world, party, account, key)
    used = proof(world, key)
    second = read(party.try_refresh(first.refresh_token, headers=used))
    assert_json_error(party.try_refresh(second.refresh_token, headers=used), "invalid_dpop_proof")
    assert read(party.try_refresh(second.refresh_token, headers=proof(world, key)))


def test_77_a_confidential_client_may_come_with_a_new_key(world: World, account: Account) -> None:
    party, keys = refreshing_party(world, token_endpoint_auth_method="client_secret_post"), (DpopKey(), DpopKey())
    first = bound(world, party, account, keys[0])
    second = read(party.try_refresh(first.refresh_token, headers=proof(world, keys[1])))
    assert second.claims["cnf"] == {"jkt": keys[1].jkt}
    assert "cnf" not in party.refresh(second.refresh_token).claims


@pytest.mark.parametrize("other", ["another key", "no key"])
def test_77_a_lost_answer_is_given_again_to_the_key_that_it_was_for(world: World, account: Account, other: str) -> None:
    party, keys = refreshing_party(world, token_endpoint_auth_method="client_secret_post"), (DpopKey(), DpopKey())
    first = bound(world, party, account, keys[0])
    second = read(party.try_refresh(first.refresh_token, headers=proof(world, keys[1])))
    headers = proof(world, keys[0]) if other == "another key" else {}
    assert_invalid_grant(party.try_refresh(first.refresh_token, headers=headers))
    again = read(party.try_refresh(first.refresh_token, headers=proof(world, keys[1])))
    assert again.refresh_token == second.refresh_token
    assert again.claims["cnf"] == {"jkt": keys[1].jkt}
