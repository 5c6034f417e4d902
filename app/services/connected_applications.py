"""What acts for a person: applications with what was granted to them, who holds what through whom, and how each ends.

Whatever is not this person's looks as if it did not exist.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from app.services.client_registry import Client
from app.services.deployment import Deployment
from app.services.grant_snapshot import GrantSnapshot
from app.services.narrow_grant import UnknownAccess
from app.services.own_account import Person
from app.services.record_event import Event
from app.services.seals import SealError
from app.services.whereabouts import Whereabouts
from app.storage import clients
from app.storage.account_grants import (
    RememberedRow,
    forget_remembered,
    list_grants_of_person,
    list_remembered,
    lock_grant_of_person,
)
from app.storage.database import Connection
from app.storage.grants import GrantRow
from app.storage.revocation import revoke_grant, revoke_grants_to_client

MOST_GRANTS_SHOWN = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """What somebody exchanged a token for, and what was exchanged from that in turn."""

    grant_id: str
    client_id: str
    client: Client | None
    snapshot: GrantSnapshot
    created_at: int
    expires_at: int
    children: "tuple[Delegation, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One living grant. Times in milliseconds; `last_address` is None where it is not known."""

    grant_id: str
    client_id: str
    snapshot: GrantSnapshot
    duration: str
    created_at: int
    expires_at: int
    last_used_at: int | None
    last_address: str | None
    is_narrowed: bool
    delegations: tuple[Delegation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A client with all that a person gave it. `client` is None where it was removed, or cannot be read."""

    client_id: str
    client: Client | None
    accesses: tuple[Access, ...]
    remembered: tuple[RememberedRow, ...]


def list_applications(
    deployment: Deployment, person: Person, *, at_most: int | None = MOST_GRANTS_SHOWN
) -> tuple[Application, ...]:
    """Those with living access, the latest first; then those to which only an answer is remembered.

    Of at most so many grants; of all for None.
    """
    now = deployment.clock()
    with deployment.database.reading() as connection:
        rows = list_grants_of_person(connection, person.user_id, now=now, at_most=at_most)
        remembered = list_remembered(connection, person.user_id, now=now)
        accesses = _read_accesses(deployment, connection, person, rows)
    client_ids = dict.fromkeys([*(access.client_id for access in accesses), *(row.client_id for row in remembered)])
    return tuple(
        Application(
            client_id=client_id,
            client=deployment.registry.find_readable_client(client_id),
            accesses=tuple(access for access in accesses if access.client_id == client_id),
            remembered=tuple(row for row in remembered if row.client_id == client_id),
        )
        for client_id in client_ids
    )


def end_access(deployment: Deployment, person: Person, grant_id: str, origin: Whereabouts) -> None:
    """End a grant, or a branch of what was exchanged from one. Raises `UnknownAccess`.

    With a grant the remembered answers to its client go too: who ends access wants to be asked before there is any.
    """

    def work(connection: Connection) -> None:
        now = deployment.clock()
        row = lock_grant_of_person(connection, person.user_id, grant_id, now=now)
        if row is None or not revoke_grant(connection, grant_id, now=now):
            raise UnknownAccess
        if row.parent_grant_id is None:
            forget_remembered(connection, user_id=person.user_id, client_pk=row.client_pk)
        client = clients.find_client_by_pk(connection, row.client_pk)
        client_id = None if client is None else client.client_id
        event = Event(
            type="grant.revoked",
            actor="user",
            sub=person.sub,
            client_id=client_id,
            grant_id=grant_id,
            personal=origin.personal,
        )
        deployment.recorder.record(connection, event)

    deployment.database.transact(work)


def end_application(deployment: Deployment, person: Person, client_id: str, origin: Whereabouts) -> None:
    """End all that a client holds of a person, and forget what they answered to it. Raises `UnknownAccess`."""

    def work(connection: Connection) -> None:
        now = deployment.clock()
        row = clients.find_client(connection, client_id)
        if row is None:
            raise UnknownAccess
        ended = revoke_grants_to_client(connection, user_id=person.user_id, client_pk=row.id, now=now)
        forgotten = forget_remembered(connection, user_id=person.user_id, client_pk=row.id)
        if not ended and not forgotten:
            raise UnknownAccess
        event = Event(
            type="application.disconnected",
            actor="user",
            sub=person.sub,
            client_id=client_id,
            body={"grants": ended, "answers": forgotten},
            personal=origin.personal,
        )
        deployment.recorder.record(connection, event)

    deployment.database.transact(work)


def _read_accesses(
    deployment: Deployment, connection: Connection, person: Person, rows: Iterable[tuple[GrantRow, str]]
) -> list[Access]:
    known = {row.grant_id: (row, client_id) for row, client_id in rows}
    by_parent: dict[str, list[tuple[GrantRow, str]]] = {}
    for row, client_id in known.values():
        if row.parent_grant_id is not None:
            by_parent.setdefault(row.parent_grant_id, []).append((row, client_id))
    return [
        Access(
            grant_id=row.grant_id,
            client_id=client_id,
            snapshot=GrantSnapshot.from_document(row.snapshot),
            duration=row.duration,
            created_at=row.created_at,
            expires_at=row.expires_at,
            last_used_at=row.last_used_at,
            last_address=_open_address(deployment, connection, person, row),
            is_narrowed=row.narrowing is not None,
            delegations=_grow(deployment, by_parent, row.grant_id),
        )
        for row, client_id in known.values()
        if row.parent_grant_id is None
    ]


def _grow(
    deployment: Deployment, by_parent: dict[str, list[tuple[GrantRow, str]]], parent: str
) -> tuple[Delegation, ...]:
    return tuple(
        Delegation(
            grant_id=row.grant_id,
            client_id=client_id,
            client=deployment.registry.find_readable_client(client_id),
            snapshot=GrantSnapshot.from_document(row.snapshot),
            created_at=row.created_at,
            expires_at=row.expires_at,
            children=_grow(deployment, by_parent, row.grant_id),
        )
        for row, client_id in by_parent.get(parent, ())
    )


def _open_address(deployment: Deployment, connection: Connection, person: Person, row: GrantRow) -> str | None:
    try:
        opened = deployment.recorder.open_for_person(
            connection, person.sub, row.sealed_last_use, table="grants", row=row.grant_id
        )
    except SealError:
        # One row that does not open must not hide the others.
        return None
    return opened.get("address")
