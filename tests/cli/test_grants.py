"""What the operator's commands end, ends at once: grants, people, clients and keys under a running server."""

from tests.actors.http import Reply, send
from tests.attacks.good_conduct import assert_inactive
from tests.cli.processes import CommandLine
from tests.patience import wait_until
from tests.world import World


def ask_userinfo(world: World, token: str) -> Reply:
    return send(f"{world.url}/userinfo", headers={"Authorization": f"Bearer {token}"})


def test_a_grant_is_listed_shown_and_revoked(world: World) -> None:
    command_line = CommandLine(world.environment)
    account, resource = world.operator.add_user(), world.operator.add_resource()
    party = world.relying_party()
    tokens = world.get_tokens(party, account, scope="openid photos.read", resource=resource)
    (grant,) = command_line.json("grants", "list", "--user", account.username)
    assert set(grant) == {
        "grant_id",
        "sub",
        "client_id",
        "scope",
        "resource",
        "created_at",
        "expires_at",
        "parent",
    }
    assert (grant["sub"], grant["client_id"], grant["parent"]) == (account.sub, party.client_id, None)
    assert set(grant["scope"].split()) == {"openid", "photos.read"}
    assert resource in grant["resource"]
    assert grant["created_at"] <= tokens.claims["iat"] < grant["expires_at"]
    shown = command_line.json("grants", "show", grant["grant_id"])
    assert (shown["revoked_at"], shown["networks"]) == (None, [])
    command_line.json("grants", "revoke", grant["grant_id"])
    assert command_line.json("grants", "list", "--user", account.sub) == []
    assert command_line.json("grants", "show", grant["grant_id"])["revoked_at"] is not None
    assert command_line.refusal("grants", "revoke", grant["grant_id"])["error"] == "already_revoked"
    (event,) = command_line.json("audit", "list", "--type", "grant.revoked", "--sub", account.sub)
    assert event["grant_id"] == grant["grant_id"]


def test_a_revoked_grants_token_is_refused_at_once(world: World) -> None:
    command_line = CommandLine(world.environment)
    account, party = world.operator.add_user(), world.relying_party()
    tokens = world.get_tokens(party, account, scope="openid")
    assert ask_userinfo(world, tokens.access_token).status == 200
    (grant,) = command_line.json("grants", "list", "--user", account.username)
    command_line.json("grants", "revoke", grant["grant_id"])
    wait_until(lambda: ask_userinfo(world, tokens.access_token).status == 401)


def test_a_disabled_persons_tokens_and_sessions_end_and_enabling_brings_none_back(world: World) -> None:
    command_line = CommandLine(world.environment)
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    code, pending = world.get_code(party, account, browser=browser, scope="openid")
    token = party.exchange(code, pending).access_token
    command_line.json("user", "disable", account.username)
    wait_until(lambda: ask_userinfo(world, token).status == 401)
    command_line.json("user", "enable", account.username)
    assert ask_userinfo(world, token).status == 401
    assert 'id="login-form"' in browser.get(party.begin(scope="openid").url).text


def test_a_new_password_ends_the_sessions_that_the_old_one_opened(world: World) -> None:
    command_line = CommandLine(world.environment)
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    world.get_code(party, account, browser=browser, scope="openid")
    command_line.json("user", "set-password", account.username, "--password-stdin", stdin="another long password")
    page = browser.get(party.begin(scope="openid").url)
    assert 'id="login-form"' in page.text
    assert 'id="login-form"' in browser.log_in(page, account.username, account.password).text


def test_a_removed_client_gets_nothing_for_the_code_it_holds(world: World) -> None:
    command_line = CommandLine(world.environment)
    account, party = world.operator.add_user(), world.relying_party()
    tokens = world.get_tokens(party, account, scope="openid")
    command_line.json("client", "remove", party.client_id)
    wait_until(lambda: ask_userinfo(world, tokens.access_token).status == 401)
    wait_until(lambda: send(party.begin(scope="openid").url).status == 400)


def test_a_revoked_keys_tokens_are_refused_once_the_command_says_that_the_key_is_gone(world: World) -> None:
    command_line = CommandLine(world.environment)
    account, party, api = world.operator.add_user(), world.relying_party(), world.operator.add_resource()
    tokens = world.get_tokens(party, account, scope="openid")
    at_api, api_server = world.get_tokens(party, account, scope="photos.read", resource=api), world.api_server(api)
    # Their signatures are remembered from now on.
    assert api_server.introspect(at_api.access_token).json()["active"] is True
    (kid,) = [
        key["kid"] for key in command_line.json("keys", "list") if key["state"] == "active" and key["alg"] == "ES256"
    ]
    assert ask_userinfo(world, tokens.access_token).status == 200
    answer = command_line.json("keys", "revoke", kid, "--url", world.url)
    assert answer["gone_from_jwks_after_s"] is not None
    assert ask_userinfo(world, tokens.access_token).status == 401
    assert_inactive(api_server.introspect(at_api.access_token))
    # The standby signs at once, and what it signs is good.
    fresh = world.get_tokens(party, account, scope="openid")
    assert ask_userinfo(world, fresh.access_token).status == 200
