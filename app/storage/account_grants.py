"""Grants and remembered answers as their person sees and changes them: nothing here reaches another person's rows."""

from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, select, update

from app.storage.grants import GrantRow
from app.storage.narrowing import read_snapshot
from app.storage.tables import clients, consents, grants, users


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedRow:
    """One remembered answer to one client."""

    client_id: str
    resource: str
    scope: str
    decision: str
    decided_at: int
    expires_at: int | None


def list_grants_of_person(
    connection: Connection, user_id: int, *, now: int, at_most: int | None
) -> tuple[tuple[GrantRow, str], ...]:
    """The living grants of a person with the client_id of each, the newest first; with what was exchanged from them.

    All of them for `at_most` None.
    """
    columns = [grants.c[name] for name in GrantRow.__dataclass_fields__]
    query = (
        select(*columns, clients.c.client_id)
        .join(clients, clients.c.id == grants.c.client_pk)
        .where(grants.c.user_id == user_id, grants.c.revoked_at.is_(None), grants.c.expires_at > now)
        .order_by(grants.c.created_at.desc(), grants.c.grant_id)
        .limit(at_most)
    )
    return tuple((_read(row[:-1]), row[-1]) for row in connection.execute(query))


def lock_grant_of_person(connection: Connection, user_id: int, grant_id: str, *, now: int) -> GrantRow | None:
    """A living grant of this person, which nobody else changes until the transaction ends; None for any other."""
    columns = [grants.c[name] for name in GrantRow.__dataclass_fields__]
    query = select(*columns).where(
        grants.c.grant_id == grant_id,
        grants.c.user_id == user_id,
        grants.c.revoked_at.is_(None),
        grants.c.expires_at > now,
    )
    row = connection.execute(query.with_for_update()).first()
    return None if row is None else _read(row)


def set_narrowing(connection: Connection, grant_id: str, narrowing: dict[str, Any], *, expires_at: int) -> None:
    """What is left of a grant, and until when."""
    text = orjson.dumps(narrowing, option=orjson.OPT_SORT_KEYS).decode()
    connection.execute(
        update(grants).where(grants.c.grant_id == grant_id).values(narrowing=text, expires_at=expires_at)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderRow:
    """A person of whom a client holds something that lives, and how many grants."""

    user_id: int
    sub: str
    grants: int


def list_people_of_client(
    connection: Connection, client_pk: int, *, now: int, after: int, limit: int
) -> tuple[HolderRow, ...]:
    """Of whom a client holds living grants, in the order of their internal ids, from the one after `after`."""
    query = (
        select(users.c.id, users.c.sub, func.count())
        .join(users, users.c.id == grants.c.user_id)
        .where(
            grants.c.client_pk == client_pk,
            grants.c.user_id > after,
            grants.c.revoked_at.is_(None),
            grants.c.expires_at > now,
        )
        .group_by(users.c.id, users.c.sub)
        .order_by(users.c.id)
        .limit(limit)
    )
    return tuple(HolderRow(user_id=row[0], sub=row[1], grants=row[2]) for row in connection.execute(query))


# ----- Remembered answers -----


def list_remembered(connection: Connection, user_id: int, *, now: int) -> tuple[RememberedRow, ...]:
    """What a person answered to clients, as far as it still counts."""
    query = (
        select(
            clients.c.client_id,
            consents.c.resource,
            consents.c.scope,
            consents.c.decision,
            consents.c.decided_at,
            consents.c.expires_at,
        )
        .join(clients, clients.c.id == consents.c.client_pk)
        .where(consents.c.user_id == user_id, _still_counts(now))
        .order_by(clients.c.client_id, consents.c.resource, consents.c.scope)
    )
    return tuple(RememberedRow(**row) for row in connection.execute(query).mappings())


def forget_remembered(connection: Connection, *, user_id: int, client_pk: int) -> int:
    """Forget what a person answered to a client, so that they are asked again; how many answers there were."""
    statement = delete(consents).where(consents.c.user_id == user_id, consents.c.client_pk == client_pk)
    return connection.execute(statement).rowcount


def forget_all_remembered(connection: Connection, client_pk: int) -> int:
    """Forget what everybody answered to a client; how many answers there were."""
    return connection.execute(delete(consents).where(consents.c.client_pk == client_pk)).rowcount


def decline_remembered(
    connection: Connection, *, user_id: int, client_pk: int, resource: str, scope: str, now: int
) -> None:
    """Turn a remembered yes into a no. What was never answered stays unanswered."""
    connection.execute(
        update(consents)
        .where(
            consents.c.user_id == user_id,
            consents.c.client_pk == client_pk,
            consents.c.resource == resource,
            consents.c.scope == scope,
        )
        .values(decision="declined", decided_at=now)
    )


def limit_remembered(connection: Connection, *, user_id: int, client_pk: int, until: int) -> None:
    """Let what is remembered count until then at most."""
    connection.execute(
        update(consents)
        .where(
            consents.c.user_id == user_id,
            consents.c.client_pk == client_pk,
            consents.c.expires_at.is_(None) | (consents.c.expires_at > until),
        )
        .values(expires_at=until)
    )


def _still_counts(now: int) -> Any:
    return consents.c.expires_at.is_(None) | (consents.c.expires_at > now)


def _read(row: Any) -> GrantRow:
    fields = dict(zip(GrantRow.__dataclass_fields__, row, strict=True))
    return GrantRow(**{**fields, "snapshot": read_snapshot(fields["snapshot"], fields["narrowing"])})
