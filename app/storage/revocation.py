"""Ending things: grants with all that hangs on them, single tokens, sessions.

One shape for every reason (a person, a client, a session, a replay): the root rows first, which waits for whatever is
being issued on them; then, in later statements, the grants that were exchanged from theirs, and the tokens of all.
Under READ COMMITTED each statement sees what committed before it, so what won the race for the root is found and ended.
Locks are taken in one order too, or two revocations would wait for each other: grants, the number of a change, tokens.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, exists, literal, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from app.storage import changes
from app.storage.tables import (
    access_tokens,
    clients,
    grants,
    opaque_tokens,
    sessions,
    status_blocks,
    status_revocations,
)

MAX_EXCHANGE_DEPTH: Final = 4
"""How many grants may hang on each other; it bounds the statements of a revocation."""
STILL_TAKEN_MS: Final = 20_000
"""How long after its `exp` a JWT may still be taken somewhere: a verifier's leeway, and as much again for its clock."""


def revoke_grant(connection: Connection, grant_id: str, *, now: int) -> bool:
    """End a grant, what was exchanged from it, and the tokens of all; whether it was alive."""
    return _revoke(connection, grants.c.grant_id == grant_id, now=now) > 0


def revoke_tokens_of_grant(connection: Connection, grant_id: str, *, now: int) -> None:
    """End what was issued on a grant, and what was exchanged from that; the grant lives on, and its refresh tokens.

    The caller holds the grant's row for writing: whoever issues on it has done so by now, or waits and looks again.
    """
    _revoke(connection, grants.c.parent_grant_id == grant_id, now=now)
    _end_access_tokens(connection, access_tokens.c.grant_id == grant_id, now=now)
    _end_opaque_tokens(connection, opaque_tokens.c.grant_id == grant_id, now=now)


def revoke_user_grants(connection: Connection, user_id: int, *, but_of_session: int | None = None, now: int) -> int:
    """End every grant of a person, but those of one session, say the one in which they ask for it; how many."""
    of_user = grants.c.user_id == user_id
    if but_of_session is not None:
        of_user &= grants.c.session_id.is_distinct_from(but_of_session)
    return _revoke(connection, of_user, now=now)


def revoke_grants_to_client(connection: Connection, *, user_id: int, client_pk: int, now: int) -> int:
    """End what one client holds of one person, through others too; how many grants."""
    return _revoke(connection, (grants.c.user_id == user_id) & (grants.c.client_pk == client_pk), now=now)


def revoke_client_grants(connection: Connection, client_pk: int, *, now: int) -> int:
    """End every grant to a client, and what others exchanged for its machine tokens; how many."""
    of_client = (grants.c.client_pk == client_pk) | (grants.c.origin_client_pk == client_pk)
    ended = _revoke(connection, of_client, now=now)
    # A machine's tokens hang on no grant.
    _end_opaque_tokens(connection, opaque_tokens.c.client_pk == client_pk, now=now)
    _end_machine_blocks(connection, client_pk, now=now)
    return ended


def revoke_sessions(connection: Connection, session_ids: Sequence[int], *, now: int) -> int:
    """End sessions, and with each the grants that hang on it; how many were alive.

    Whoever ends a person's session does it through `services.end_session`, which also tells its clients.
    """
    ended = connection.execute(
        update(sessions).where(sessions.c.id.in_(session_ids), sessions.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    _revoke(connection, grants.c.session_id.in_(session_ids), now=now)
    return ended.rowcount


def revoke_access_token(connection: Connection, jti: bytes, *, now: int) -> bool:
    """End one access token of a person, JWT or opaque, and what was exchanged for it; whether it was alive."""
    of_jwt = select(access_tokens.c.grant_id).where(access_tokens.c.jti == jti)
    of_opaque = select(opaque_tokens.c.grant_id).where(opaque_tokens.c.jti == jti)
    # Whoever exchanges the token holds its grant: what they write is there before its children are looked for.
    holder = select(grants.c.grant_id).where(grants.c.grant_id.in_(of_jwt.union_all(of_opaque)))
    connection.execute(holder.with_for_update(key_share=True))
    _revoke(connection, grants.c.parent_jti == jti, now=now)
    ended = _end_access_tokens(connection, access_tokens.c.jti == jti, now=now)
    ended += _end_opaque_tokens(connection, opaque_tokens.c.jti == jti, now=now)
    return ended > 0


def revoke_machine_token(
    connection: Connection, jti: bytes, *, client_pk: int, status_list_pk: int, status_index: int, now: int
) -> bool:
    """End one JWT of a machine, which is no row but a bit, and what was exchanged for it; whether it was alive.

    An exchange holds the machine's client in the token's place, because there is nothing else: so does this.
    """
    connection.execute(select(clients.c.id).where(clients.c.id == client_pk).with_for_update(key_share=True))
    _revoke(connection, grants.c.parent_jti == jti, now=now)
    return _insert_bits(connection, select(literal(status_list_pk), literal(status_index)), now=now) > 0


def _revoke(connection: Connection, roots: ColumnElement[bool], *, now: int) -> int:
    ended = connection.execute(update(grants).where(roots, grants.c.revoked_at.is_(None)).values(revoked_at=now))
    tree = _tree(roots)
    for _ in range(MAX_EXCHANGE_DEPTH):
        # A child's child that was being written during one round is there for the next.
        statement = update(grants).where(grants.c.grant_id.in_(tree), grants.c.revoked_at.is_(None))
        if connection.execute(statement.values(revoked_at=now)).rowcount == 0:
            break
    _end_access_tokens(connection, access_tokens.c.grant_id.in_(tree), now=now)
    _end_opaque_tokens(connection, opaque_tokens.c.grant_id.in_(tree), now=now)
    return ended.rowcount


def _tree(roots: ColumnElement[bool]) -> Select[str]:
    """The grants that `roots` names and all that were exchanged from them, ended or not."""
    tree = select(grants.c.grant_id).where(roots).cte("tree", recursive=True)
    child = grants.alias("child")
    tree = tree.union(select(child.c.grant_id).where(child.c.parent_grant_id == tree.c.grant_id))
    return select(tree.c.grant_id)


def _end_access_tokens(connection: Connection, tokens: ColumnElement[bool], *, now: int) -> int:
    is_taken = access_tokens.c.expires_at > now - STILL_TAKEN_MS
    living = tokens & access_tokens.c.revoked_at.is_(None) & is_taken
    bits = select(access_tokens.c.status_list_pk, access_tokens.c.status_index).where(
        living, access_tokens.c.status_list_pk.is_not(None)
    )
    # Nothing is added to them meanwhile, because what they hang on is locked. Revocations that flip nothing wait for
    # nobody.
    if connection.execute(select(exists(bits))).scalar_one():
        _insert_bits(connection, bits, now=now)
    return connection.execute(update(access_tokens).where(living).values(revoked_at=now)).rowcount


def _end_opaque_tokens(connection: Connection, tokens: ColumnElement[bool], *, now: int) -> int:
    living = tokens & opaque_tokens.c.revoked_at.is_(None) & (opaque_tokens.c.expires_at > now)
    return connection.execute(update(opaque_tokens).where(living).values(revoked_at=now)).rowcount


def _end_machine_blocks(connection: Connection, client_pk: int, *, now: int) -> None:
    """Whatever is minted from such a block, before or after, is revoked; one is leased for a living client only."""
    living = (status_blocks.c.client_pk == client_pk) & status_blocks.c.revoked_at.is_(None)
    if connection.execute(select(exists(select(status_blocks.c.first_counter).where(living)))).scalar_one():
        version = changes.bump(connection, "status_lists")
        connection.execute(update(status_blocks).where(living).values(revoked_at=now, revoked_version=version))


def _insert_bits(connection: Connection, bits: Select[int, int], *, now: int) -> int:
    # The number first: it is part of the rows, and the lock on it keeps numbers in the order of their commits.
    version = changes.bump(connection, "status_lists")
    make = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    columns = ["status_list_pk", "status_index", "revoked_at", "revoked_version"]
    rows = bits.add_columns(literal(now), literal(version))
    statement = make(status_revocations).from_select(columns, rows).on_conflict_do_nothing()
    # Otherwise nobody asks psycopg how many rows an INSERT made.
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount
