"""A person takes back a part of what they granted: scopes, time, places. Nothing here can give more than there was.

What was issued on the grant ends at once, with all that was exchanged from it: nothing wider lives on. The application
goes on with its refresh token, or asks again, and gets what is left. What it was told before stays told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.services.client_registry import Resource
from app.services.deployment import Deployment
from app.services.grant_snapshot import GrantSnapshot
from app.services.granted_pairs import GrantedPair, Pair, granted_pairs, scope_of
from app.services.limit_networks import UnusableNetworks, check_choice, checks_networks, read_networks
from app.services.record_event import Event
from app.services.userinfo import userinfo_resource
from app.services.whereabouts import Whereabouts
from app.specs.tokenhouse_networks import Networks, format_networks, narrow
from app.storage.account_grants import (
    decline_remembered,
    forget_remembered,
    limit_remembered,
    lock_grant_of_person,
    set_narrowing,
)
from app.storage.clients import find_client_by_pk
from app.storage.database import Connection
from app.storage.grants import GrantRow
from app.storage.revocation import revoke_tokens_of_grant
from app.storage.sessions import SessionRow

# Why a choice of networks cannot be obeyed, beside the reasons of `limit_networks`; the pages know a sentence for each.
NOT_CHECKED: Final = "an API does not look at where a call is from"
OUTSIDE_OF_LIMIT: Final = "lies outside of the networks to which the access is limited already"
NOT_USABLE: Final = "the application can no longer be used at all"


class UnknownAccess(Exception):
    """There is no such living grant of this person; one of another person's looks the same."""


class NothingLeft(Exception):
    """Everything that can be taken back was: that is the end of the grant, and another button."""


class EndIsPast(Exception):
    """The end is not in the future."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restriction:
    """What a person leaves. `kept`: form values of pairs; `until` in milliseconds; None changes nothing."""

    kept: frozenset[str]
    until: int | None
    networks: Networks | None


def may_be_tied_to_networks(deployment: Deployment, snapshot: GrantSnapshot) -> bool:
    """Whether everybody who gets a token of the grant would obey a choice of networks, as on the consent page."""
    return all(resource is not None and checks_networks(resource) for resource in _resources(deployment, snapshot))


def narrow_grant(
    deployment: Deployment, person: SessionRow, grant_id: str, wish: Restriction, origin: Whereabouts
) -> bool:
    """Leave of a grant what is wished for at most; whether anything has changed.

    Raises `UnknownAccess`, `NothingLeft`, `EndIsPast`, and `UnusableNetworks` with a sentence for the person.
    """

    def work(connection: Connection) -> bool:
        now = deployment.clock()
        row = lock_grant_of_person(connection, person.user_id, grant_id, now=now)
        if row is None or row.parent_grant_id is not None:
            raise UnknownAccess
        # Whose grant it is says the grant, and not the form: the trail must not say what somebody wrote into it.
        client = find_client_by_pk(connection, row.client_pk)
        client_id = "" if client is None else client.client_id
        change = _decide(deployment, row, client_id, wish, now=now)
        if change is None:
            return False
        _write(deployment, connection, person, row, client_id, change, origin, now=now)
        return True

    return deployment.database.transact(work)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    removed: tuple[Pair, ...]
    left: Mapping[str, Any]
    expires_at: int
    networks: Networks | None


def _decide(deployment: Deployment, row: GrantRow, client_id: str, wish: Restriction, *, now: int) -> _Change | None:
    snapshot = GrantSnapshot.from_document(row.snapshot)
    pairs = granted_pairs(deployment, snapshot)
    kept = tuple(each.pair for each in pairs if each.is_required or each.value in wish.kept)
    removed = tuple(each.pair for each in pairs if each.pair not in kept)
    _check_something_is_left(pairs, kept, removed)
    if wish.until is not None and wish.until <= now:
        raise EndIsPast
    expires_at = min(row.expires_at, wish.until or row.expires_at)
    scope, claims = scope_of(kept, userinfo_resource(deployment.issuer))
    networks = (
        None if wish.networks is None else _choose_networks(deployment, snapshot, client_id, wish.networks, scope)
    )
    if not removed and expires_at == row.expires_at and networks is None:
        return None
    left: dict[str, Any] = {"scope": scope, "allowed_claims": claims, "expires_at": expires_at}
    limit = networks or read_networks(snapshot.networks)
    if limit is not None:
        left["networks"] = format_networks(limit)
    return _Change(removed=removed, left=left, expires_at=expires_at, networks=networks)


def _check_something_is_left(pairs: tuple[GrantedPair, ...], kept: tuple[Pair, ...], removed: tuple[Pair, ...]) -> None:
    # As on the consent page: unticking all that can be unticked is a no to the whole.
    optional = [each.pair for each in pairs if not each.is_required]
    if not kept or (removed and optional and len(removed) == len(optional)):
        raise NothingLeft


def _choose_networks(
    deployment: Deployment, snapshot: GrantSnapshot, client_id: str, wished: Networks, scope: Mapping[str, Any]
) -> Networks | None:
    """Where it may still be used: within where it might be used before. None where that is no change."""
    if not may_be_tied_to_networks(deployment, snapshot):
        raise UnusableNetworks(NOT_CHECKED)
    former = read_networks(snapshot.networks)
    chosen = narrow((former, wished))
    if not chosen:
        raise UnusableNetworks(OUTSIDE_OF_LIMIT)
    client = deployment.registry.find_readable_client(client_id)
    if client is None:
        raise UnusableNetworks(NOT_USABLE)
    left = [resource for resource in _resources(deployment, snapshot) if resource and resource.identifier in scope]
    check_choice(client, left, requested=former, chosen=chosen)
    return None if chosen == former else chosen


def _write(
    deployment: Deployment,
    connection: Connection,
    person: SessionRow,
    row: GrantRow,
    client_id: str,
    change: _Change,
    origin: Whereabouts,
    *,
    now: int,
) -> None:
    # The root row first, then what hangs on it: whoever issues meanwhile waits, and then finds another narrowing.
    set_narrowing(connection, row.grant_id, dict(change.left), expires_at=change.expires_at)
    revoke_tokens_of_grant(connection, row.grant_id, now=now)
    of_client = {"user_id": person.user_id, "client_pk": row.client_pk}
    for resource, name in change.removed:
        decline_remembered(connection, **of_client, resource=resource, scope=name, now=now)
    if change.expires_at < row.expires_at:
        limit_remembered(connection, **of_client, until=change.expires_at)
    if change.networks is not None:
        # The memory knows no networks: what holds for some must not give more the next time, unasked.
        forget_remembered(connection, **of_client)
    event = Event(
        type="grant.narrowed",
        actor="user",
        sub=person.sub,
        client_id=client_id,
        grant_id=row.grant_id,
        body={
            "removed": [list(pair) for pair in change.removed],
            "expires_at": change.expires_at // 1000 if change.expires_at < row.expires_at else None,
            "is_tied_to_networks": change.networks is not None,
        },
        personal=origin.personal,
    )
    deployment.recorder.record(connection, event)


def _resources(deployment: Deployment, snapshot: GrantSnapshot) -> list[Resource | None]:
    userinfo, resources = userinfo_resource(deployment.issuer), deployment.registry.resources()
    return [resources.find(identifier) for identifier in snapshot.scope if identifier != userinfo]
