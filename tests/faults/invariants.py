"""What must hold after every fault, over the database and over what the clients were told.

I1  at most one live set of tokens per code
I2  what was ended is accepted by no node
I3  every 200 is in the database
I4  nothing is granted in part
I5  errors are readable, and our own fault is a 503 with Retry-After
I6  one audit row per change, and no log line without its row
I7  recovery without hand work, and I8 (alive while not ready), are for the tests themselves: `FaultWorld.recovers`
Keys: one that signs and one that stands by per algorithm, and nobody holds a token that no published key verifies.
"""

import base64
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select, text

from app.services.issue_tokens import decode_jti
from app.services.signing_keys import ALGORITHMS
from app.storage.signing_keys import DECRYPTION_ALGORITHMS
from app.storage.tables import (
    access_tokens,
    audit_events,
    authentication_events,
    authorization_codes,
    grants,
    refresh_tokens,
    sessions,
    signing_keys,
)
from tests.actors.http import Reply, send
from tests.actors.relying_party import read_jwt
from tests.faults.fault_world import FaultWorld
from tests.faults.patience import eventually

# The promise is a second; the rest is for a machine that runs other tests meanwhile.
_SEEN_EVERYWHERE_WITHIN_S = 10


def check_invariants(world: FaultWorld, *others: FaultWorld) -> None:
    """Check the deployment, the answers that its witness collected, and the running nodes."""
    nodes = [node for node in (world, *others) if node.server.process is not None]
    with world.operator.deployment.database.reading() as connection:
        check_files(connection)
        check_one_set_of_tokens_per_code(connection, world)
        check_one_living_refresh_token_per_family(connection, world)
        check_answers_are_in_the_database(connection, world)
        check_nothing_is_granted_in_part(connection)
        check_audit_trail(connection, world)
        check_keys(connection)
    check_errors_are_readable(world)
    check_log(world, *others)
    check_ended_tokens_are_refused(world, nodes)
    check_live_tokens_can_be_verified(world, nodes)


def check_files(connection: Connection) -> None:
    """The database itself is whole."""
    if connection.dialect.name == "sqlite":
        assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []


def check_one_set_of_tokens_per_code(connection: Connection, world: FaultWorld) -> None:
    """I1."""
    families = _grants_with_refresh_tokens(connection)
    per_grant = select(access_tokens.c.grant_id, func.count()).group_by(access_tokens.c.grant_id)
    assert [row for row in connection.execute(per_grant) if row[1] > 1 and row[0] not in families] == []
    successes = Counter(exchange.code for exchange in world.witness.exchanges if _is_good(exchange.reply))
    assert all(count == 1 for count in successes.values()), "a code gave tokens twice"


def check_one_living_refresh_token_per_family(connection: Connection, world: FaultWorld) -> None:
    """I1 for families: a generation has one token, the last one alone is unused, and nobody was told of another."""
    rows = connection.execute(
        select(refresh_tokens.c.grant_id, refresh_tokens.c.generation, refresh_tokens.c.used_at).order_by(
            refresh_tokens.c.grant_id, refresh_tokens.c.generation
        )
    ).all()
    for grant_id, family in itertools.groupby(rows, key=lambda row: row.grant_id):
        generations = list(family)
        assert [row.generation for row in generations] == list(range(len(generations))), grant_id
        assert [row.used_at is None for row in generations] == [False] * (len(generations) - 1) + [True], grant_id
    successors: dict[str, set[str]] = {}
    for renewal in world.witness.renewals:
        if renewal.reply is not None and _is_good(renewal.reply):
            successors.setdefault(renewal.refresh_token, set()).add(renewal.reply.json()["refresh_token"])
    assert all(len(tokens) == 1 for tokens in successors.values()), "a refresh token had two successors"


def check_answers_are_in_the_database(connection: Connection, world: FaultWorld) -> None:
    """I3: what was told to a client is there, whatever happened afterwards; until it has expired and may be purged."""
    now_s = world.clock() / 1000
    for token in issued_tokens(world):
        if read_jwt(token)["exp"] > now_s:
            assert _grant_of(connection, token) is not None, "a token was given that the database does not know"


def check_nothing_is_granted_in_part(connection: Connection) -> None:
    """I4. Tokens leave the database when they expire, what the trail says of them stays."""
    used = {row[0] for row in connection.execute(select(authorization_codes.c.grant_id).where(_is_used()))}
    gave_tokens = set(_grants_with(connection, "token.issued"))
    spent_in_vain = set(_grants_with(connection, "code.spent_by_failure"))
    assert gave_tokens <= used, "a token of a code that was not used"
    assert used == gave_tokens | spent_in_vain, "a used code that gave nothing"
    without_event = ~sessions.c.id.in_(select(authentication_events.c.session_id))
    assert connection.execute(select(sessions.c.id).where(without_event)).all() == [], "a session that nobody began"


def check_audit_trail(connection: Connection, world: FaultWorld) -> None:
    """I6: one row per change, in the transaction that made it."""
    created = Counter(_grants_with(connection, "grant.created"))
    assert created == Counter(row[0] for row in connection.execute(select(grants.c.grant_id)))
    issued = Counter(_grants_with(connection, "token.issued"))
    families = _grants_with_refresh_tokens(connection)
    assert all(count == 1 for grant_id, count in issued.items() if grant_id not in families)
    stored = {row[0] for row in connection.execute(select(access_tokens.c.grant_id))}
    assert stored <= set(issued), "a token that the trail does not know"
    assert _grants_with_living_tokens(connection, now_s=world.clock() // 1000) <= stored, "a token that is not stored"
    for at_most_once in ("code.replayed", "code.expired", "code.spent_by_failure", "refresh_token.reused"):
        assert all(count == 1 for count in Counter(_grants_with(connection, at_most_once)).values())
    key_events = Counter(
        (row.type, json.loads(row.body)["kid"])
        for row in connection.execute(
            select(audit_events.c.type, audit_events.c.body).where(audit_events.c.type.like("key.%"))
        )
    )
    assert all(count == 1 for count in key_events.values()), key_events
    for row in connection.execute(select(signing_keys.c.kid, signing_keys.c.state)):
        if row.state in ("retired", "removed"):
            assert key_events[f"key.{row.state}", row.kid] == 1, "a key changed, and the trail does not say so"


def check_keys(connection: Connection) -> None:
    """Exactly one key signs and one stands by, per algorithm; a private half only where it is still of use."""
    rows = connection.execute(select(signing_keys)).mappings().all()
    states = Counter((row["alg"], row["state"]) for row in rows)
    for alg in ALGORITHMS:
        assert states[alg, "active"] == 1, states
        assert states[alg, "standby"] == 1, states
        assert states[alg, "pending"] <= 1, states
    for alg in DECRYPTION_ALGORITHMS:
        assert states[alg, "decryption_active"] == 1, states
    for row in rows:
        is_of_use = row["state"] in ("active", "standby", "pending") or row["state"].startswith("decryption_")
        assert (row["sealed_private_jwk"] is not None) == is_of_use, f"{row['state']} key"


def check_errors_are_readable(world: FaultWorld) -> None:
    """I5."""
    for reply in world.witness.replies:
        if not _is_good(reply):
            check_error_is_readable(reply)


def check_error_is_readable(reply: Reply) -> None:
    """An error that a program and a person can act on."""
    assert reply.status in (400, 401, 429, 503), f"{reply.status}: {reply.text[:500]}"
    document = reply.json()
    assert document["error"]
    assert document["error_description"].endswith("]"), "no incident code"
    assert "Traceback" not in reply.text
    if reply.status == 503:
        assert int(reply.headers["retry-after"]) >= 1


def check_log(*worlds: FaultWorld) -> None:
    """I6 for the log: nothing that was rolled back is told, nothing is told twice; and nothing failed as a bug does."""
    lines = [line for world in worlds for line in read_log(world)]
    assert [line for line in lines if line.get("status") == 500] == []
    told = Counter((line["event"], line["grant_id"]) for line in lines if line.get("grant_id"))
    with worlds[0].operator.deployment.database.reading() as connection:
        rows = connection.execute(
            select(audit_events.c.type, audit_events.c.grant_id).where(audit_events.c.grant_id.is_not(None))
        )
        recorded = Counter((row.type, row.grant_id) for row in rows)
    assert told <= recorded, told - recorded


def check_ended_tokens_are_refused(world: FaultWorld, nodes: Sequence[FaultWorld]) -> None:
    """I2, at the one place of ours that takes access tokens."""
    with world.operator.deployment.database.reading() as connection:
        ended = [token for token in issued_tokens(world) if _has_ended(connection, token)]
    for node in nodes:
        for token in ended:
            assert _userinfo(node, token).status == 401, "an ended token is accepted"


def check_live_tokens_can_be_verified(world: FaultWorld, nodes: Sequence[FaultWorld]) -> None:
    """Every node publishes one and the same key set, and it has the key of every token that lives."""
    now_s = world.clock() / 1000
    kids = {kid_of(token) for token in issued_tokens(world) if read_jwt(token)["exp"] > now_s}
    with world.operator.deployment.database.reading() as connection:
        published = signing_keys.c.state.not_in(["removed", "decryption_retired"])
        expected = {row[0] for row in connection.execute(select(signing_keys.c.kid).where(published))}
    assert kids <= expected, "a live token was signed by a key that is not published"
    for node in nodes:
        eventually(
            lambda node=node: published_kids(node) == expected,  # type: ignore[misc]
            within_s=_SEEN_EVERYWHERE_WITHIN_S,
            what=f"{node.url}/jwks has the published keys {sorted(expected)}",
        )


# ----- What the checks look at -----


def issued_tokens(world: FaultWorld) -> list[str]:
    """The access tokens that clients were given."""
    return [reply.json()["access_token"] for reply in world.witness.replies if _is_good(reply)]


def read_log(world: FaultWorld) -> list[dict[str, Any]]:
    """The lines that the server wrote; what its host wrote is passed over."""
    if not world.server.log_path.exists():
        return []
    # The last line of a killed process may be half a line.
    lines = [line for line in world.server.log_text().splitlines() if line.startswith("{") and line.endswith("}")]
    return [json.loads(line) for line in lines]


def published_kids(world: FaultWorld) -> set[str]:
    """What a node's key set holds now."""
    return {key["kid"] for key in send(f"{world.url}/jwks").json()["keys"]}


def active_kid(world: FaultWorld, alg: str = "ES256") -> str:
    """The key that signs, as the database has it."""
    active = (signing_keys.c.alg == alg) & (signing_keys.c.state == "active")
    with world.operator.deployment.database.reading() as connection:
        kid: str = connection.execute(select(signing_keys.c.kid).where(active)).scalar_one()
    return kid


def _is_good(reply: Reply | None) -> bool:
    return reply is not None and reply.status == 200


def _is_used() -> Any:
    return authorization_codes.c.used_at.is_not(None)


def _grants_with(connection: Connection, event_type: str) -> list[str]:
    # A machine's token hangs on none.
    has_grant = audit_events.c.grant_id.is_not(None)
    query = select(audit_events.c.grant_id).where(audit_events.c.type == event_type, has_grant)
    return [row[0] for row in connection.execute(query)]


def _grants_with_refresh_tokens(connection: Connection) -> set[str]:
    """As the trail has it: the tokens themselves leave with their family."""
    query = select(audit_events.c.grant_id, audit_events.c.body).where(audit_events.c.type == "grant.created")
    return {row[0] for row in connection.execute(query) if json.loads(row[1])["refresh_tokens"] is not None}


def _grants_with_living_tokens(connection: Connection, *, now_s: int) -> set[str]:
    has_grant = audit_events.c.grant_id.is_not(None)
    query = select(audit_events.c.grant_id, audit_events.c.body).where(audit_events.c.type == "token.issued", has_grant)
    return {row[0] for row in connection.execute(query) if json.loads(row[1])["expires_at"] > now_s}


def _grant_of(connection: Connection, token: str) -> Any:
    jti = decode_jti(read_jwt(token)["jti"])
    joined = access_tokens.join(grants, grants.c.grant_id == access_tokens.c.grant_id)
    query = select(grants.c.revoked_at, access_tokens.c.revoked_at.label("token_revoked_at")).select_from(joined)
    return connection.execute(query.where(access_tokens.c.jti == jti)).first()


def _has_ended(connection: Connection, token: str) -> bool:
    row = _grant_of(connection, token)
    return row is None or row.revoked_at is not None or row.token_revoked_at is not None


def _userinfo(node: FaultWorld, token: str) -> Reply:
    return send(f"{node.url}/userinfo", headers={"Authorization": f"Bearer {token}"})


def kid_of(token: str) -> str:
    """The key that signed a token, as its header says."""
    header = token.split(".")[0]
    kid: str = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
    return kid
