"""All that is held about a person, as one JSON document: what they were told, what they allowed, what happened.

No secret is in it, neither theirs nor ours. Events come in batches, so that a long life costs no more memory than a
short one.
"""

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from app.services.connected_applications import Access, Delegation, list_applications
from app.services.deployment import Deployment
from app.services.list_audit import AuditEvent
from app.services.own_account import Person
from app.services.own_sessions import list_devices
from app.services.record_event import Event
from app.services.security_history import read_events_after
from app.storage.database import Connection
from app.storage.factors import count_unused_recovery_codes
from app.storage.identity_providers import list_providers
from app.storage.known_devices import list_known_devices
from app.storage.linked_identities import list_links, list_subjects
from app.storage.pairwise_subjects import list_pairwise_subjects
from app.storage.passkeys import list_passkeys
from app.storage.totp_secrets import find_totp_secret
from app.storage.users import find_user

MOST_EVENTS: Final = 20_000
_BATCH: Final = 200


def export_person(deployment: Deployment, person: Person, *, actor: str) -> Iterator[bytes]:
    """The document, in pieces. That it was asked for is an event of the person, and written first.

    Of the events the newest 20,000 are in it; `events_are_complete` says whether those are all.
    """
    event = Event(type="account.exported", actor=actor, sub=person.sub)
    deployment.database.transact(lambda connection: deployment.recorder.record(connection, event))
    document = {
        "exported_at": _moment(deployment.clock()),
        "issuer": deployment.issuer,
        **_read_account(deployment, person),
        "sessions": [
            {
                "began_at": _moment(session.created_at),
                "last_used_at": _moment(session.last_used_at),
                "methods": list(session.methods),
                "address": session.address,
                "user_agent": session.user_agent,
            }
            for session in list_devices(deployment, person, at_most=None)
        ],
        "applications": _read_applications(deployment, person),
    }
    return _write(deployment, person, document)


def _write(deployment: Deployment, person: Person, document: Mapping[str, Any]) -> Iterator[bytes]:
    yield orjson.dumps(document)[:-1] + b',"events":['
    before: bytes | None = None
    written, is_first = 0, True
    while written < MOST_EVENTS:
        with deployment.database.reading() as connection:
            events, before = read_events_after(deployment, connection, person.sub, before, limit=_BATCH)
        if events:
            lines = b",\n".join(orjson.dumps(_describe(event)) for event in events)
            yield lines if is_first else b",\n" + lines
            is_first = False
        written += len(events)
        if before is None:
            break
    yield b'],"events_are_complete":' + (b"true}" if before is None else b"false}")


def _describe(event: AuditEvent) -> dict[str, Any]:
    return {
        "at": _moment(event.at),
        "type": event.type,
        "actor": event.actor,
        "client_id": event.client_id,
        "grant_id": event.grant_id,
        "details": event.body,
        "personal": event.personal,
    }


def _read_account(deployment: Deployment, person: Person) -> dict[str, Any]:
    with deployment.database.reading() as connection:
        row = find_user(connection, person.user_id)
        if row is None:
            raise AssertionError("people are emptied and never removed")
        return {
            "profile": {
                "sub": row.sub,
                "username": row.username,
                "email": row.email,
                "is_administrator": row.is_admin,
                "created_at": _moment(row.created_at),
                "has_password": row.password_hash is not None,
            },
            "claims": row.claims,
            "factors": _read_factors(connection, person.user_id),
            "linked_logins": _read_linked_logins(connection, person.user_id),
            # By which somebody who signs in again is no stranger; the secret is the browser's.
            "known_devices": [
                {"known_since": _moment(since), "until": _moment(until)}
                for since, until in list_known_devices(connection, person.user_id)
            ],
            "pairwise_subjects": [
                {"sector": sector, "sub": sub} for sector, sub in list_pairwise_subjects(connection, person.user_id)
            ],
        }


def _read_linked_logins(connection: Connection, user_id: int) -> list[dict[str, Any]]:
    subjects = list_subjects(connection, user_id)
    issuers = {row.id: row.issuer for row in list_providers(connection)}
    return [
        {
            "provider": link.display_name,
            "issuer": issuers.get(link.provider_id),
            "sub": subjects.get(link.id),
            "account": link.label,
            "linked_at": _moment(link.created_at),
            "last_used_at": _moment(link.last_used_at),
        }
        for link in list_links(connection, user_id)
    ]


def _read_factors(connection: Connection, user_id: int) -> dict[str, Any]:
    totp = find_totp_secret(connection, user_id)
    return {
        "passkeys": [
            {
                "name": passkey.name,
                "credential_id": base64.urlsafe_b64encode(passkey.credential_id).decode().rstrip("="),
                "created_at": _moment(passkey.created_at),
                "last_used_at": _moment(passkey.last_used_at),
                "is_backed_up": passkey.is_backed_up,
            }
            for passkey in list_passkeys(connection, user_id)
        ],
        "authenticator_app": None if totp is None else {"confirmed_at": _moment(totp.confirmed_at)},
        "unused_recovery_codes": count_unused_recovery_codes(connection, user_id),
    }


def _read_applications(deployment: Deployment, person: Person) -> list[dict[str, Any]]:
    return [
        {
            "client_id": application.client_id,
            "name": None if application.client is None else application.client.name,
            "grants": [_read_access(access) for access in application.accesses],
            "answers": [
                {
                    "resource": row.resource,
                    "scope": row.scope,
                    "decision": row.decision,
                    "decided_at": _moment(row.decided_at),
                    "expires_at": _moment(row.expires_at),
                }
                for row in application.remembered
            ],
        }
        for application in list_applications(deployment, person, at_most=None)
    ]


def _read_access(access: Access) -> dict[str, Any]:
    snapshot = access.snapshot
    return {
        "grant_id": access.grant_id,
        "scope": snapshot.scope,
        "claims": snapshot.allowed_claims,
        "authorization_details": snapshot.authorization_details,
        "networks": snapshot.networks,
        "duration": access.duration,
        "created_at": _moment(access.created_at),
        "expires_at": _moment(access.expires_at),
        "last_used_at": _moment(access.last_used_at),
        "last_address": access.last_address,
        "passed_on": [_read_delegation(delegation) for delegation in access.delegations],
    }


def _read_delegation(delegation: Delegation) -> dict[str, Any]:
    """What was exchanged from a grant, and from that in turn."""
    snapshot = delegation.snapshot
    return {
        "grant_id": delegation.grant_id,
        "client_id": delegation.client_id,
        "name": None if delegation.client is None else delegation.client.name,
        "scope": snapshot.scope,
        "authorization_details": snapshot.authorization_details,
        "networks": snapshot.networks,
        "created_at": _moment(delegation.created_at),
        "expires_at": _moment(delegation.expires_at),
        "passed_on": [_read_delegation(child) for child in delegation.children],
    }


def _moment(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at / 1000, tz=UTC).isoformat(timespec="seconds")
