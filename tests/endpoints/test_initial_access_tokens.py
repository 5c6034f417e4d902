"""Initial access tokens (RFC 7591 3): who may register clients, how many, and of what policy."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.services.initial_access_tokens import (
    InitialAccessToken,
    add_initial_access_token,
    list_initial_access_tokens,
    revoke_initial_access_token,
)
from app.services.manage_clients import list_clients
from tests.actors.http import Reply
from tests.actors.registrant import as_client, register
from tests.conftest import run_world
from tests.world import World


def make_token(world: World, *, max_uses: int = 1, expires_in_s: int = 600, **policy: Any) -> InitialAccessToken:
    return add_initial_access_token(
        world.operator.deployment, label="partners", max_uses=max_uses, expires_in_s=expires_in_s, policy=policy
    )


def uses_of(world: World, token: InitialAccessToken) -> int:
    listed = list_initial_access_tokens(world.operator.deployment)
    return next(each.row.uses for each in listed if each.row.id == token.row.id)


def assert_unauthorized(reply: Reply, error: str = 'error="invalid_token"') -> None:
    assert (reply.status, reply.json()["error"]) == (401, "invalid_token")
    assert error in reply.headers["www-authenticate"]


@pytest.mark.requirement("RFC 7591", "3", "an initial access token lets a client register")
def test_a_client_registers_with_a_token_and_gets_its_policy(registration_world: World) -> None:
    api = registration_world.operator.add_resource()
    token = make_token(registration_world, resources=[api], access_token_lifetime_s=60, security_profile="oauth21")
    reply = register(registration_world.url, token=token.token)
    assert reply.status == 201
    shown = registration_world.operator.show_client(reply.json()["client_id"])
    assert (shown.policy["resources"], shown.policy["access_token_lifetime_s"]) == ([api], 60)
    assert (shown.security_profile, shown.origin) == ("oauth21", "registration")
    assert uses_of(registration_world, token) == 1


def test_a_machine_may_register_where_the_token_says_for_which_apis(registration_world: World) -> None:
    """Nobody consents to what a machine gets, so an operator must have said what that may be."""
    machine = {"grant_types": ["client_credentials"], "redirect_uris": None, "scope": "photos.read"}
    refused = register(registration_world.url, **machine)
    assert (refused.status, refused.json()["error"]) == (400, "invalid_client_metadata")
    api = registration_world.operator.add_resource()
    token = make_token(registration_world, resources=[api])
    registered = register(registration_world.url, token=token.token, **machine).json()
    reply = registration_world.machine(as_client(registered)).try_get_token(resource=api)
    assert reply.status == 200


def test_94_a_token_that_is_wrong_expired_revoked_or_used_up_registers_nothing(registration_world: World) -> None:
    """Case 94, also where registration is open: who sends a token counts on what it says."""
    expired, revoked = make_token(registration_world, expires_in_s=60), make_token(registration_world)
    used_up = make_token(registration_world, max_uses=1)
    revoke_initial_access_token(registration_world.operator.deployment, revoked.row.id)
    assert register(registration_world.url, token=used_up.token).status == 201
    registration_world.clock.move(seconds=61)
    before = len(list_clients(registration_world.operator.deployment))
    for token in ("wrong", "th_ia_wrong", "x" * 5000, expired.token, revoked.token, used_up.token):
        assert_unauthorized(register(registration_world.url, token=token))
    assert len(list_clients(registration_world.operator.deployment)) == before
    assert [uses_of(registration_world, each) for each in (expired, revoked, used_up)] == [0, 0, 1]


def test_94_a_refused_document_does_not_use_the_token(registration_world: World) -> None:
    token = make_token(registration_world)
    assert register(registration_world.url, token=token.token, logo_uri="javascript:alert(1)").status == 400
    assert uses_of(registration_world, token) == 0
    assert register(registration_world.url, token=token.token).status == 201


def test_94_a_token_for_three_clients_registers_three_however_many_come_at_once(registration_world: World) -> None:
    token = make_token(registration_world, max_uses=3)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: register(registration_world.url, token=token.token).status, range(8)))
    assert sorted(replies) == [201] * 3 + [401] * 5
    assert uses_of(registration_world, token) == 3


def test_96_a_policy_that_contradicts_what_the_client_says_is_refused(registration_world: World) -> None:
    """Case 96: policy and metadata are judged together."""
    token = make_token(registration_world, rotate_refresh_tokens=False)
    refused = register(registration_world.url, token=token.token, token_endpoint_auth_method="none")
    assert (refused.status, refused.json()["error"]) == (400, "invalid_client_metadata")
    assert register(registration_world.url, token=token.token).status == 201


# ----- Where a token is needed -----


@pytest.fixture(scope="module")
def closed_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server where nobody registers without a token, from one address only twice a day, and four in all."""
    directory = tmp_path_factory.mktemp("closed")
    yield from run_world(
        directory,
        f"sqlite:///{directory}/tokenhouse.db",
        registration="token",
        registration_max_clients="4",
        registration_max_clients_per_address_per_day="2",
    )


def test_94_nobody_registers_without_a_token_and_quotas_hold_for_who_has_one(closed_world: World) -> None:
    """Case 94; and quotas, which count for all that register."""
    assert_unauthorized(register(closed_world.url), 'Bearer realm="registration"')
    token = make_token(closed_world, max_uses=100, expires_in_s=10 * 86_400)
    for _ in range(2):
        replies = [register(closed_world.url, token=token.token) for _ in range(3)]
        assert [reply.status for reply in replies] == [201, 201, 429]
        assert int(replies[-1].headers["retry-after"]) > 0
        closed_world.clock.move(seconds=86_401)
    # Another day, but there are four clients already.
    full = register(closed_world.url, token=token.token)
    assert (full.status, full.json()["error"]) == (429, "temporarily_unavailable")
    assert uses_of(closed_world, token) == 4
    assert "th_cs_" not in closed_world.server.log_text()


# ----- Where none is needed -----


def test_94_open_registration_is_limited_per_address_and_has_the_operators_policy(tmp_path: Path) -> None:
    """Case 94: sixty in a minute, of one policy; a token is a way past the limit."""
    settings = {"registration": "open", "registration_policy": '{"resources": ["https://api.example"]}'}
    for world in run_world(tmp_path, f"sqlite:///{tmp_path}/tokenhouse.db", **settings):
        first = register(world.url)
        assert first.status == 201
        shown = world.operator.show_client(first.json()["client_id"])
        assert shown.policy["resources"] == ["https://api.example"]
        # The minute may end meanwhile, and another one begin.
        replies = [register(world.url) for _ in range(125)]
        limited = next(reply for reply in replies if reply.status != 201)
        assert (limited.status, limited.json()["error"]) == (429, "temporarily_unavailable")
        assert 0 < int(limited.headers["retry-after"]) <= 61
        assert register(world.url, token=make_token(world).token).status == 201
