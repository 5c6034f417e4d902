"""What every attack test demands besides its own answer: nothing was written, nothing broke, the next request works."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.actors.http import Reply, send
from tests.actors.relying_party import RelyingParty
from tests.world import World

# A purge may take rows away at any time, so states are compared row by row, not by their number.
_STATES = {
    "grants": "SELECT grant_id, revoked_at FROM grants",
    "consents": "SELECT id, decision FROM consents",
    "authorization_codes": "SELECT grant_id, used_at FROM authorization_codes",
    "access_tokens": "SELECT grant_id, revoked_at FROM access_tokens",
    "opaque_tokens": "SELECT jti, revoked_at FROM opaque_tokens",
    "refresh_tokens": "SELECT digest, used_at FROM refresh_tokens",
    "status_revocations": "SELECT status_list_pk, status_index FROM status_revocations",
    "authorization_transactions": "SELECT transaction_id, session_id, used_at FROM authorization_transactions",
    "browsers": "SELECT id, expires_at FROM browsers",
    "sessions": "SELECT id, revoked_at FROM sessions",
    "authentication_events": "SELECT id, method FROM authentication_events",
    "known_devices": "SELECT user_id, created_at FROM known_devices",
    "clients": "SELECT id, disabled_at FROM clients",
    "authorization_details_types": "SELECT type, created_at FROM authorization_details_types",
    "users": "SELECT id, password_hash FROM users",
}
# By server, the application that sends the good requests: to register one each time would cost more than the attack.
_good_parties: dict[str, RelyingParty] = {}


def read_rows(world: World) -> dict[str, set[tuple[object, ...]]]:
    """Every row that a refused request must leave alone, with what spends or ends it."""
    found = {}
    with world.operator.deployment.database.reading() as connection:
        for table, statement in _STATES.items():
            # By the driver itself: tests share these tables, and make thousands of rows.
            cursor: Any = connection.exec_driver_sql(statement).cursor
            found[table] = set(cursor.fetchall())
    return found


@contextmanager
def nothing_changes(world: World) -> Iterator[None]:
    """NC: no row is written, spent or ended in here."""
    before = read_rows(world)
    yield
    changed = {table: rows - before[table] for table, rows in read_rows(world).items() if not rows <= before[table]}
    assert not changed, changed


@pytest.fixture
def standing(world: World) -> Iterator[World]:
    """The shared server; afterwards it must not have failed, and must still answer a good request."""
    log_begins = world.server.log_path.stat().st_size
    yield world
    with world.server.log_path.open("rb") as log:
        log.seek(log_begins)
        written = log.read().decode(errors="replace")
    assert '"failure"' not in written, written[-2000:]
    assert "Traceback" not in written, written[-2000:]
    if world.issuer not in _good_parties:
        _good_parties[world.issuer] = world.relying_party()
    page = world.browser().get(_good_parties[world.issuer].begin().url)
    assert 'id="login-form"' in page.text


def assert_page(reply: Reply, *, error: str = "invalid_request", status: int = 400) -> None:
    """P: an error page of our own that leads nowhere and leaks nothing."""
    assert reply.status == status, (reply.status, reply.text[:500])
    assert "location" not in reply.headers
    assert "text/html" in reply.headers["content-type"]
    assert f'data-error="{error}"' in reply.text
    assert 'id="login-form"' not in reply.text
    assert "set-cookie" not in reply.headers
    assert_no_store(reply)
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "Traceback" not in reply.text


def assert_json_error(reply: Reply, error: str, status: int = 400) -> None:
    """A refusal in JSON, with an incident at the end of its description."""
    assert reply.status == status, (reply.status, reply.text[:500])
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["error"] == error, reply.text
    assert set(reply.json()) <= {"error", "error_description"}
    assert_no_store(reply)


def assert_inactive(reply: Reply) -> None:
    """An introspection that tells nothing: the same for every token that is no business of the caller's."""
    assert reply.status == 200, reply.text
    assert reply.body == b'{"active":false}'
    assert reply.headers["content-type"] == "application/json"
    assert_no_store(reply)


def assert_no_store(reply: Reply) -> None:
    """Implied for every answer that is not public metadata."""
    assert reply.headers["cache-control"] == "no-store"


def post(world: World, path: str, **request: object) -> Reply:
    """One POST to a path of the server."""
    return send(world.url + path, method="POST", **request)  # type: ignore[arg-type]
