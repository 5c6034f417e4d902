"""Grants: one per authorization response, and the codes and access tokens that hang on it."""

import json
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, func, insert, select, update

from app.storage.narrowing import read_snapshot
from app.storage.prepared import Prepared
from app.storage.tables import access_tokens, authorization_codes, clients, grants, session_clients, sessions, users


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRow:
    """What one person granted to one client, once. `snapshot` is written as it was granted, and read as it still holds;

    `narrowing` tells what was taken back since (`storage.narrowing`).
    """

    grant_id: str
    user_id: int | None
    client_pk: int
    session_id: int | None
    parent_grant_id: str | None
    parent_jti: bytes | None = None
    origin_client_pk: int | None = None
    depth: int | None = None
    snapshot: dict[str, Any]
    duration: str
    policy_version: int
    created_at: int
    expires_at: int
    revoked_at: int | None
    narrowing: str | None = None
    last_used_at: int | None = None
    sealed_last_use: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantView:
    """A grant with the wire names of whom it concerns. `sub` is a machine's client_id where no person is behind it."""

    grant: GrantRow
    sub: str | None
    username: str | None
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRow:
    """An authorization code and the state of its grant."""

    digest: bytes
    grant_id: str
    request: dict[str, Any]
    created_at: int
    expires_at: int
    used_at: int | None
    client_pk: int
    user_id: int
    session_id: int | None
    sub: str
    user_claims: dict[str, Any]
    snapshot: dict[str, Any]
    grant_expires_at: int
    grant_revoked_at: int | None
    grant_narrowing: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHolder:
    """Whom a live access token speaks for, and the snapshot of its grant."""

    sub: str
    user_claims: dict[str, Any]
    client_id: str
    snapshot: dict[str, Any]


# Whose token was exchanged, where it was a machine's.
_ORIGIN = clients.alias("origin")

_INSERT_GRANT = Prepared(insert(grants).values({name: bindparam(name) for name in GrantRow.__dataclass_fields__}))
_INSERT_CODE = Prepared(
    insert(authorization_codes).values({column.name: bindparam(column.name) for column in authorization_codes.c})
)
_INSERT_ACCESS_TOKEN = Prepared(
    insert(access_tokens).values({column.name: bindparam(column.name) for column in access_tokens.c})
)

_FIND_CODE = Prepared(
    select(
        authorization_codes.c.digest,
        authorization_codes.c.grant_id,
        authorization_codes.c.request,
        authorization_codes.c.created_at,
        authorization_codes.c.expires_at,
        authorization_codes.c.used_at,
        grants.c.client_pk,
        grants.c.user_id,
        grants.c.session_id,
        users.c.sub,
        users.c.claims,
        grants.c.snapshot,
        grants.c.expires_at,
        grants.c.revoked_at,
        grants.c.narrowing,
    )
    .select_from(
        authorization_codes.join(grants, grants.c.grant_id == authorization_codes.c.grant_id).join(
            users, users.c.id == grants.c.user_id
        )
    )
    .where(authorization_codes.c.digest == bindparam("code_digest"))
)

# FOR SHARE waits for a revocation that is under way and, once it has committed, judges the changed row anew: a plain
# SELECT would issue against what was just revoked. Locked in the order of `of`, by everybody: user, client, session,
# grant. Revocation goes the same way, from the root to what hangs on it; the other way round they would deadlock.
_GRANT_LIVES = (
    (grants.c.grant_id == bindparam("grant_id"))
    & grants.c.revoked_at.is_(None)
    & (grants.c.expires_at > bindparam("now"))
    & clients.c.disabled_at.is_(None)
    & clients.c.removed_at.is_(None)
)
_SESSION_LIVES = sessions.c.revoked_at.is_(None) & (sessions.c.expires_at > bindparam("now"))
_GRANT_OF_CLIENT = grants.join(clients, clients.c.id == grants.c.client_pk)
_GRANT_OF_PERSON = _GRANT_OF_CLIENT.join(users, users.c.id == grants.c.user_id)

_ONLINE_GRANT = (
    select(grants.c.narrowing)
    .select_from(_GRANT_OF_PERSON.join(sessions, sessions.c.id == grants.c.session_id))
    .where(_GRANT_LIVES, _SESSION_LIVES, users.c.disabled_at.is_(None))
)
# Without a session: `offline_access`, or a machine's, which has no person either. An outer join cannot be locked.
_OFFLINE_GRANT = (
    select(grants.c.narrowing)
    .select_from(_GRANT_OF_PERSON)
    .where(_GRANT_LIVES, grants.c.session_id.is_(None), users.c.disabled_at.is_(None))
)
_LOCK_ONLINE_GRANT = Prepared(_ONLINE_GRANT.with_for_update(read=True, of=[users, clients, sessions, grants]))
_LOCK_OFFLINE_GRANT = Prepared(_OFFLINE_GRANT.with_for_update(read=True, of=[users, clients, grants]))
_LOCK_MACHINE_GRANT = Prepared(
    select(grants.c.narrowing)
    .select_from(_GRANT_OF_CLIENT)
    .where(_GRANT_LIVES, grants.c.session_id.is_(None), grants.c.user_id.is_(None))
    .with_for_update(read=True, of=[clients, grants])
)
# Where the use is written down, the grant is not held by two for sharing first: both would then wait for each other.
_LOCK_ABOVE_ONLINE_GRANT = Prepared(_ONLINE_GRANT.with_for_update(read=True, of=[users, clients, sessions]))
_LOCK_ABOVE_OFFLINE_GRANT = Prepared(_OFFLINE_GRANT.with_for_update(read=True, of=[users, clients]))
_USE_GRANT = Prepared(
    update(grants)
    .where(
        grants.c.grant_id == bindparam("used_grant_id"),
        grants.c.revoked_at.is_(None),
        grants.c.expires_at > bindparam("used_at"),
    )
    .values(last_used_at=bindparam("used_at"), sealed_last_use=bindparam("sealed"))
    .returning(grants.c.narrowing)
)

_LOCK_LIVE_SESSION = Prepared(
    select(sessions.c.expires_at, session_clients.c.sid)
    .select_from(
        sessions.join(users, users.c.id == sessions.c.user_id)
        .join(clients, clients.c.id == bindparam("client_pk"))
        .outerjoin(
            session_clients,
            (session_clients.c.session_id == sessions.c.id) & (session_clients.c.client_pk == clients.c.id),
        )
    )
    .where(
        sessions.c.id == bindparam("session_id"),
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > bindparam("now"),
        users.c.disabled_at.is_(None),
        clients.c.disabled_at.is_(None),
        clients.c.removed_at.is_(None),
    )
    .with_for_update(read=True, of=[users, clients, sessions])
)

_FIND_HOLDER = Prepared(
    select(users.c.sub, users.c.claims, clients.c.client_id, grants.c.snapshot, grants.c.narrowing)
    .select_from(
        access_tokens.join(grants, grants.c.grant_id == access_tokens.c.grant_id)
        .outerjoin(sessions, sessions.c.id == grants.c.session_id)
        .join(users, users.c.id == grants.c.user_id)
        .join(clients, clients.c.id == grants.c.client_pk)
    )
    .where(
        access_tokens.c.jti == bindparam("jti"),
        access_tokens.c.revoked_at.is_(None),
        access_tokens.c.expires_at > bindparam("now"),
        grants.c.revoked_at.is_(None),
        grants.c.expires_at > bindparam("now"),
        sessions.c.revoked_at.is_(None),
        users.c.disabled_at.is_(None),
        clients.c.disabled_at.is_(None),
        clients.c.removed_at.is_(None),
    )
)


def insert_grant(connection: Connection, row: GrantRow) -> None:
    """Store a new grant."""
    values = {name: getattr(row, name) for name in row.__slots__}
    _INSERT_GRANT.run(connection, {**values, "snapshot": orjson.dumps(row.snapshot).decode()})


def insert_code(
    connection: Connection,
    *,
    digest: bytes,
    digest_key_id: str,
    grant_id: str,
    request: dict[str, Any],
    now: int,
    expires_at: int,
) -> None:
    """Store a new authorization code, by digest."""
    _INSERT_CODE.run(
        connection,
        {
            "digest": digest,
            "digest_key_id": digest_key_id,
            "grant_id": grant_id,
            "request": orjson.dumps(request).decode(),
            "created_at": now,
            "expires_at": expires_at,
            "used_at": None,
        },
    )


def find_code(connection: Connection, digests: tuple[bytes, ...]) -> CodeRow | None:
    """The code, used and expired ones too."""
    found = (_FIND_CODE.first(connection, {"code_digest": digest}) for digest in digests)
    row = next((row for row in found if row is not None), None)
    if row is None:
        return None
    return CodeRow(
        digest=row[0],
        grant_id=row[1],
        request=json.loads(row[2]),
        created_at=row[3],
        expires_at=row[4],
        used_at=row[5],
        client_pk=row[6],
        user_id=row[7],
        session_id=row[8],
        sub=row[9],
        user_claims=json.loads(row[10]),
        snapshot=read_snapshot(row[11], row[14]),
        grant_expires_at=row[12],
        grant_revoked_at=row[13],
        grant_narrowing=row[14],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldGrant:
    """A living grant, held for the rest of the transaction. `narrowing` as it is now: what was read before it may have
    been more.
    """

    narrowing: str | None


def lock_live_grant(connection: Connection, grant_id: str, *, session_id: int | None, now: int) -> HeldGrant | None:
    """Hold grant, session, user and client until the transaction ends; None unless all of them are alive.

    `session_id` is the grant's, read before: None for a grant that outlives its session, or that is a machine's.
    """
    parameters = {"grant_id": grant_id, "now": now}
    if session_id is not None:
        row = _LOCK_ONLINE_GRANT.first(connection, parameters)
    else:
        row = _LOCK_OFFLINE_GRANT.first(connection, parameters) or _LOCK_MACHINE_GRANT.first(connection, parameters)
    return None if row is None else HeldGrant(narrowing=row[0])


def use_live_grant(
    connection: Connection, grant_id: str, *, session_id: int | None, now: int, sealed_use: bytes | None
) -> HeldGrant | None:
    """As `lock_live_grant`, for a person's grant, whose last use this is: `sealed_use` tells from where."""
    above = _LOCK_ABOVE_OFFLINE_GRANT if session_id is None else _LOCK_ABOVE_ONLINE_GRANT
    if above.first(connection, {"grant_id": grant_id, "now": now}) is None:
        return None
    row = _USE_GRANT.first(connection, {"used_grant_id": grant_id, "used_at": now, "sealed": sealed_use})
    return None if row is None else HeldGrant(narrowing=row[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSession:
    """A session held for the rest of the transaction."""

    expires_at: int
    sid: str | None


def lock_live_session(connection: Connection, *, session_id: int, client_pk: int, now: int) -> LiveSession | None:
    """Hold session, user and client until the transaction ends; None unless all of them are alive."""
    parameters = {"session_id": session_id, "client_pk": client_pk, "now": now}
    row = _LOCK_LIVE_SESSION.first(connection, parameters)
    return None if row is None else LiveSession(expires_at=row[0], sid=row[1])


def insert_access_token(
    connection: Connection,
    *,
    jti: bytes,
    grant_id: str,
    expires_at: int,
    status_list_pk: int | None = None,
    status_index: int | None = None,
) -> None:
    """Store which grant an access token hangs on, and where its status bit is."""
    parameters = {
        "jti": jti,
        "grant_id": grant_id,
        "status_list_pk": status_list_pk,
        "status_index": status_index,
        "expires_at": expires_at,
        "revoked_at": None,
    }
    _INSERT_ACCESS_TOKEN.run(connection, parameters)


def find_token_holder(connection: Connection, jti: bytes, *, now: int) -> TokenHolder | None:
    """Whom an access token speaks for; None once it, its grant, session, user or client has ended."""
    row = _FIND_HOLDER.first(connection, {"jti": jti, "now": now})
    if row is None:
        return None
    return TokenHolder(
        sub=row[0], user_claims=json.loads(row[1]), client_id=row[2], snapshot=read_snapshot(row[3], row[4])
    )


def list_grants(
    connection: Connection,
    *,
    now: int,
    grant_id: str | None = None,
    user_id: int | None = None,
    of_machines: bool = False,
) -> tuple[GrantView, ...]:
    """The live grants, the newest first; with `grant_id`, that one whether it is alive or not.

    `of_machines`: only those behind which there is no person.
    """
    query = (
        select(
            grants, func.coalesce(users.c.sub, _ORIGIN.c.client_id).label("sub"), users.c.username, clients.c.client_id
        )
        .select_from(
            grants.outerjoin(users, users.c.id == grants.c.user_id)
            .outerjoin(_ORIGIN, _ORIGIN.c.id == grants.c.origin_client_pk)
            .join(clients, clients.c.id == grants.c.client_pk)
        )
        .order_by(grants.c.created_at.desc(), grants.c.grant_id)
    )
    if grant_id is not None:
        query = query.where(grants.c.grant_id == grant_id)
    else:
        query = query.where(grants.c.revoked_at.is_(None), grants.c.expires_at > now)
    if user_id is not None:
        query = query.where(grants.c.user_id == user_id)
    if of_machines:
        query = query.where(grants.c.user_id.is_(None))
    views = []
    for row in connection.execute(query).mappings():
        fields = {name: row[grants.c[name]] for name in GrantRow.__dataclass_fields__}
        grant = GrantRow(**{**fields, "snapshot": read_snapshot(fields["snapshot"], fields["narrowing"])})
        view = GrantView(grant=grant, sub=row["sub"], username=row["username"], client_id=row["client_id"])
        views.append(view)
    return tuple(views)
