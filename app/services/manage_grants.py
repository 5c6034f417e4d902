"""Grants, as the operator sees and ends them."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.services.account_names import username_key
from app.services.deployment import Deployment
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.storage import grants, revocation
from app.storage.clients import find_client
from app.storage.database import Connection
from app.storage.grants import GrantView
from app.storage.users import find_user_by_name, find_user_by_sub


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantSummary:
    """A grant in a line. Times in milliseconds; `networks` empty: good from anywhere. `claims`: single ones."""

    grant_id: str
    sub: str | None
    client_id: str
    scope: str
    resource: tuple[str, ...]
    created_at: int
    expires_at: int
    parent: str | None
    duration: str
    revoked_at: int | None
    networks: tuple[str, ...]
    claims: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantBranch:
    """A grant, and what was exchanged from it."""

    grant: GrantSummary
    children: "tuple[GrantBranch, ...]"


def list_grants(deployment: Deployment, *, user: str | None = None) -> tuple[GrantSummary, ...]:
    """The grants that are alive, the newest first; of one person where a username or subject is given."""
    with deployment.database.reading() as connection:
        user_id = None if user is None else _get_user_id(connection, user)
        views = grants.list_grants(connection, now=deployment.clock(), user_id=user_id)
    return tuple(_summarise(view) for view in views)


def list_tree(deployment: Deployment, name: str) -> tuple[GrantBranch, ...]:
    """Who holds what through whom, the newest first: what a person granted, and beneath each grant what was exchanged
    from it. `name` is a username or subject, or the client_id of a machine whose own tokens were exchanged.

    Raises `Refusal`. Only what is alive is there: a grant ends with all that hangs on it.
    """
    with deployment.database.reading() as connection:
        user_id = _find_user_id(connection, name)
        now = deployment.clock()
        if user_id is not None:
            return _branches(_summarise(view) for view in grants.list_grants(connection, now=now, user_id=user_id))
        if find_client(connection, name) is None:
            raise Refusal("unknown_user", f"there is no user {name!r}, and no client of that name")
        of_machines = [_summarise(view) for view in grants.list_grants(connection, now=now, of_machines=True)]
        return _branches(grant for grant in of_machines if grant.sub == name)


def show_grant(deployment: Deployment, grant_id: str) -> GrantSummary:
    """One grant, alive or not. Raises `Refusal`."""
    with deployment.database.reading() as connection:
        return _get(connection, grant_id, now=deployment.clock())


def revoke_grant(deployment: Deployment, grant_id: str) -> GrantSummary:
    """End a grant and what hangs on it. Raises `Refusal` where there is none, or where it has been revoked already."""

    def work(connection: Connection) -> GrantSummary:
        now = deployment.clock()
        grant = _get(connection, grant_id, now=now)
        if not revocation.revoke_grant(connection, grant_id, now=now):
            raise Refusal("already_revoked", f"grant {grant_id!r} has been revoked already")
        event = Event(
            type="grant.revoked", actor="operator", sub=grant.sub, client_id=grant.client_id, grant_id=grant_id
        )
        deployment.recorder.record(connection, event)
        return _get(connection, grant_id, now=now)

    return deployment.database.transact(work)


def _get(connection: Connection, grant_id: str, *, now: int) -> GrantSummary:
    views = grants.list_grants(connection, now=now, grant_id=grant_id)
    if not views:
        raise Refusal("unknown_grant", f"there is no grant {grant_id!r}")
    return _summarise(views[0])


def _get_user_id(connection: Connection, name: str) -> int:
    user_id = _find_user_id(connection, name)
    if user_id is None:
        raise Refusal("unknown_user", f"there is no user {name!r}")
    return user_id


def _find_user_id(connection: Connection, name: str) -> int | None:
    row = find_user_by_sub(connection, name) or find_user_by_name(connection, username_key(name))
    return None if row is None else row.id


def _branches(summaries: Iterable[GrantSummary]) -> tuple[GrantBranch, ...]:
    by_parent: dict[str | None, list[GrantSummary]] = {}
    known = {grant.grant_id: grant for grant in summaries}
    for grant in known.values():
        # What has lost its parent is shown all the same: nothing that lives may be missing.
        by_parent.setdefault(grant.parent if grant.parent in known else None, []).append(grant)

    def grow(parent: str | None) -> tuple[GrantBranch, ...]:
        return tuple(GrantBranch(grant=grant, children=grow(grant.grant_id)) for grant in by_parent.get(parent, ()))

    return grow(None)


def _summarise(view: GrantView) -> GrantSummary:
    grant = view.grant
    granted: dict[str, list[str]] = grant.snapshot.get("scope", {})
    return GrantSummary(
        grant_id=grant.grant_id,
        sub=view.sub,
        client_id=view.client_id,
        # A name may belong to two resources; in the summary it stands once.
        scope=" ".join(dict.fromkeys(name for names in granted.values() for name in names)),
        resource=tuple(granted),
        created_at=grant.created_at,
        expires_at=grant.expires_at,
        parent=grant.parent_grant_id,
        duration=grant.duration,
        revoked_at=grant.revoked_at,
        networks=tuple(grant.snapshot.get("networks", ())),
        claims=tuple(grant.snapshot.get("allowed_claims", ())),
    )
