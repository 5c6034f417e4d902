"""attacks.md, "Every endpoint": a flood of bad requests (case 16), on servers of its own that limit."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.actors.http import Reply, send
from tests.actors.relying_party import RelyingParty, basic
from tests.conftest import run_world
from tests.patience import wait_until
from tests.world import World

MALLORY, EVE, ALICE = "203.0.113.66", "203.0.113.67", "198.51.100.1"


@pytest.fixture
def limited(sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    """A server with the limits that it has by default, behind a proxy: so one machine can be several peers."""
    yield from run_world(tmp_path, sqlite_url, trusted_proxies="127.0.0.0/8")


def attempt(world: World, peer: str, path: str = "/token", method: str = "POST") -> Reply:
    """A bad request of a peer."""
    return send(world.url + path, method=method, headers={"X-Forwarded-For": peer}, body=b"junk")


def flood(world: World, peer: str, path: str = "/token", method: str = "POST", *, most: int = 400) -> int:
    """Bad requests until the first 429; how many were answered before."""
    for number in range(most):
        if attempt(world, peer, path, method).status == 429:
            return number
    raise AssertionError(f"{most} bad requests, and no limit")


def try_secret(world: World, party: RelyingParty, peer: str, secret: str) -> Reply:
    """A token request that has nothing but credentials to show."""
    headers = {"X-Forwarded-For": peer, "Authorization": basic(party.client_id, secret)}
    form = {"grant_type": "authorization_code", "code": "th_ac_x"}
    return send(f"{world.url}/token", method="POST", headers=headers, form=form)


@pytest.mark.parametrize(
    ("path", "method"),
    [("/token", "POST"), ("/userinfo", "POST"), ("/authorize", "GET"), ("/nowhere", "GET"), ("/login", "POST")],
)
def test_a_flood_of_bad_requests_is_limited_for_its_peer_alone(limited: World, path: str, method: str) -> None:
    """Case 16: 429 with Retry-After; other peers, the keys and the health checks are unaffected."""
    flood(limited, MALLORY, path, method)
    for limited_path, limited_method in (("/token", "POST"), ("/authorize", "GET"), ("/userinfo", "GET")):
        reply = attempt(limited, MALLORY, limited_path, limited_method)
        assert reply.status == 429
        assert 1 <= int(reply.headers["retry-after"]) <= 11
        assert reply.headers["cache-control"] == "no-store"
    for public in ("/jwks", "/.well-known/openid-configuration", "/livez", "/readyz"):
        assert send(limited.url + public, headers={"X-Forwarded-For": MALLORY}).status == 200
    assert attempt(limited, ALICE).status == 400
    account, party = limited.operator.add_user(), limited.relying_party()
    assert limited.get_tokens(party, account).claims["sub"] == account.sub


def test_a_limited_peer_is_heard_again_when_its_window_ends(limited: World) -> None:
    """Case 16: a limit is not a ban, and 429s do not prolong it."""
    flood(limited, MALLORY)
    wait_until(lambda: attempt(limited, MALLORY).status != 429)


def test_addresses_of_one_ipv6_network_count_as_one_peer(limited: World) -> None:
    """Case 16: whoever has a /64 has 2^64 addresses."""
    for number in range(400):
        if attempt(limited, f"2001:db8:1:2::{number:x}").status == 429:
            break
    assert attempt(limited, "2001:db8:1:2:ffff::1").status == 429
    assert attempt(limited, "2001:db8:1:3::1").status == 400


def test_guessing_a_secret_is_limited_per_peer_and_client(limited: World) -> None:
    """Cases 16 and 62: the client itself, elsewhere, is not locked out; nor other clients of the same peer."""
    party, other = limited.relying_party(), limited.relying_party()
    statuses = [try_secret(limited, party, MALLORY, f"guess-{number}").status for number in range(40)]
    assert set(statuses) == {401, 429}
    assert statuses == sorted(statuses)
    assert try_secret(limited, party, MALLORY, party.client_secret or "").status == 429
    assert try_secret(limited, party, ALICE, party.client_secret or "").json()["error"] == "invalid_grant"
    assert try_secret(limited, other, MALLORY, other.client_secret or "").json()["error"] == "invalid_grant"
    assert try_secret(limited, party, EVE, "guess").status == 401


def test_what_is_limited_is_counted_and_not_audited(limited: World) -> None:
    """Case 16, model.md 9: junk must not own the only writer."""
    answered = flood(limited, MALLORY)
    for _ in range(300):
        assert attempt(limited, MALLORY).status == 429
    wait_until(lambda: audited_refusals(limited) >= answered)
    assert audited_refusals(limited) == answered
    metrics = send(f"{limited.url}/metrics").text
    assert 'tokenhouse_requests_total{method="POST",route="/token",status="429"} 301.0' in metrics


def test_good_requests_are_not_limited(limited: World) -> None:
    """Case 16: only refusals count."""
    party, browser = limited.relying_party(), limited.browser()
    for _ in range(300):
        assert browser.send_once(party.begin().url).status == 303


def audited_refusals(world: World) -> int:
    """Rows of refusals in the audit trail."""
    with world.operator.deployment.database.reading() as connection:
        count = connection.execute(text("SELECT count(*) FROM audit_events WHERE type = 'request.refused'"))
        return int(count.scalar_one())
