"""Cross-origin requests: scripts may call what programs call, without cookies, and read no page."""

import pytest

from tests.actors.http import Reply, send
from tests.world import World

DOCUMENTS = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")
SHARED = ("/token", "/userinfo", "/revoke", "/jwks", "/status-lists", "/status-lists/none", *DOCUMENTS)
PRIVATE = (
    "/introspect",
    "/authorize",
    "/login",
    "/second-factor",
    "/select-account",
    "/consent",
    "/",
    "/livez",
    "/metrics",
    "/static/x",
    "/nowhere",
)


def _cors(reply: Reply) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("path", SHARED)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_scripts_of_any_origin_may_read_what_programs_call_but_never_with_cookies(
    world: World, path: str, method: str
) -> None:
    reply = send(world.url + path, method=method, headers={"Origin": "https://app.example"})
    cors = _cors(reply)
    assert cors["access-control-allow-origin"] == "*", (reply.status, reply.text)
    assert "WWW-Authenticate" in cors["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in cors
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize("path", SHARED)
def test_a_preflight_is_answered_with_what_may_be_sent(world: World, path: str) -> None:
    headers = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    reply = send(world.url + path, method="OPTIONS", headers=headers)
    assert reply.headers["cache-control"] == "no-store"
    assert (reply.status, reply.body) == (204, b"")
    cors = _cors(reply)
    assert cors["access-control-allow-origin"] == "*"
    assert {"Authorization", "Content-Type", "DPoP"} <= set(cors["access-control-allow-headers"].split(", "))
    assert ("POST" in cors["access-control-allow-methods"]) is (path in ("/token", "/userinfo", "/revoke"))
    assert "access-control-allow-credentials" not in cors


@pytest.mark.parametrize("path", PRIVATE)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_no_script_of_another_origin_reads_a_page(world: World, path: str, method: str) -> None:
    reply = send(world.url + path, method=method, headers={"Origin": "https://app.example"})
    assert _cors(reply) == {}
