"""What is remembered of a session that came from another provider: by what it is known there, and how to log out."""

import json
from collections.abc import Mapping
from typing import Any, Final

from app.services.deployment import Deployment
from app.services.seals import SealError, seal_under, unseal_under
from app.services.transactions import FirstFactor
from app.services.upstream_trip import open_body
from app.storage.database import Connection
from app.storage.linked_identities import digest_subject
from app.storage.upstream_sessions import UpstreamSessionRow, replace_upstream_session
from app.storage.upstream_transactions import find_latest_returned

_USE: Final = "upstream-sessions"
_TABLE: Final = "upstream_sessions"
# A logout there wants the ID token back; one that is larger is not worth a row of that size.
_MOST_BYTES: Final = 16_384


def remember_origin(deployment: Deployment, connection: Connection, session_id: int, origin: Mapping[str, Any]) -> None:
    """The session comes from there, in the caller's transaction."""
    sealed, key_id = None, None
    if origin["end_session_endpoint"] is not None and origin["id_token"] is not None:
        farewell = {"id_token": origin["id_token"], "end_session_endpoint": origin["end_session_endpoint"]}
        plaintext = json.dumps(farewell).encode()
        if len(plaintext) <= _MOST_BYTES:
            key_id = deployment.seals.digest_key_id
            key = deployment.seals.derive_key(key_id, _USE)
            sealed = seal_under(key, plaintext, table=_TABLE, row=str(session_id), purpose=_USE)
    row = UpstreamSessionRow(
        session_id=session_id,
        provider_id=origin["provider_id"],
        subject_digest=digest_subject(origin["issuer"], origin["subject"]),
        sid=origin["sid"],
        sealed_id_token=sealed,
        seal_key_id=key_id,
    )
    replace_upstream_session(connection, row)


def remember_origin_of_first_factor(
    deployment: Deployment, connection: Connection, transaction_id: str, first_factor: FirstFactor, session_id: int
) -> None:
    """After a second factor: the session comes from where the first one did, if that was another provider's login."""
    row = find_latest_returned(connection, transaction_id)
    if row is None or "fed" not in first_factor.methods:
        return
    origin = open_body(deployment, row)
    # Somebody may have gone back, and another may have come by a password since.
    if origin["user_id"] == first_factor.user_id:
        remember_origin(deployment, connection, session_id, origin)


def open_farewell(deployment: Deployment, row: UpstreamSessionRow) -> dict[str, str] | None:
    """`id_token` and `end_session_endpoint` of a session; None where nothing is there, or it does not open."""
    if row.sealed_id_token is None or row.seal_key_id is None:
        return None
    try:
        key = deployment.seals.derive_key(row.seal_key_id, _USE)
        opened: dict[str, str] = json.loads(
            unseal_under(key, row.sealed_id_token, table=_TABLE, row=str(row.session_id), purpose=_USE)
        )
    except SealError:
        return None
    return opened
