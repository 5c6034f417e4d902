"""The one way to end a person's session: with all that hangs on it, and so that its clients hear of it.

The session, its online grants and their tokens end in the caller's transaction (`storage.revocation`); what was granted
with `offline_access` does not hang on the session and lives on (Back-Channel Logout 2.7). In the same transaction the
outbox gets a logout token's worth for every client of the session that registered a `backchannel_logout_uri`.

A session that runs out by itself ends quietly: nothing happens at that moment that anybody could be told of, and a
client that wants to know asks with `prompt=none`, or keeps to the lifetime that it knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from app.services.browser_state import renew_browser_state_of_sessions
from app.services.deployment import Deployment
from app.services.outbox import Message, enqueue
from app.services.record_event import Event
from app.storage.database import Connection
from app.storage.revocation import revoke_sessions
from app.storage.sessions import (
    SessionClientRow,
    list_session_clients,
    lock_live_sessions_of_user,
)

BACKCHANNEL_LOGOUT: Final = "backchannel_logout"
EndReason = Literal[
    "logout",
    "user_disabled",
    "password_set",
    "operator",
    "elsewhere",
    "factors_reset",
    "account_deleted",
    "login_unlinked",
    "provider",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontchannelClient:
    """A client whose page the browser is to open, so that it forgets the session (Front-Channel Logout)."""

    client_id: str
    frontchannel_logout_uri: str
    sid: str


def end_sessions(
    deployment: Deployment,
    connection: Connection,
    session_ids: Sequence[int],
    *,
    sub: str,
    actor: str,
    reason: EndReason,
    now: int,
) -> tuple[FrontchannelClient, ...]:
    """End sessions of one person (`sub`), and say so to their clients: by the outbox, and by what is returned.

    Sessions that have ended already tell nobody again. The caller commits.
    """
    # The root rows first: a code that is being issued meanwhile has joined its client to the session before this
    # statement goes on, or finds the session ended.
    alive = [session_id for session_id in session_ids if revoke_sessions(connection, [session_id], now=now)]
    if not alive:
        return ()
    renew_browser_state_of_sessions(connection, alive)
    clients = list_session_clients(connection, alive)
    enabled = deployment.settings.feature_names
    if "backchannel_logout" in enabled:
        messages = [_message(client, sub) for client in clients if client.metadata.get("backchannel_logout_uri")]
        enqueue(deployment, connection, messages, now=now)
    for session_id in alive:
        told = sum(1 for client in clients if client.session_id == session_id)
        body = {"session": session_id, "reason": reason, "clients": told}
        deployment.recorder.record(connection, Event(type="session.ended", actor=actor, sub=sub, body=body))
    if "frontchannel_logout" not in enabled:
        return ()
    return tuple(
        FrontchannelClient(client_id=client.client_id, frontchannel_logout_uri=uri, sid=client.sid)
        for client in clients
        if isinstance(uri := client.metadata.get("frontchannel_logout_uri"), str)
    )


def end_user_sessions(
    deployment: Deployment, connection: Connection, user_id: int, *, sub: str, actor: str, reason: EndReason, now: int
) -> int:
    """End every session of a person; how many."""
    session_ids = lock_live_sessions_of_user(connection, user_id, now=now)
    end_sessions(deployment, connection, session_ids, sub=sub, actor=actor, reason=reason, now=now)
    return len(session_ids)


def _message(client: SessionClientRow, sub: str) -> Message:
    # `user` for rows from before the client's own name for the person was kept.
    body = {"client_id": client.client_id, "user": sub, "sid": client.sid, "sub": client.client_subject}
    # By client and not by host: whoever names somebody else's host must not hold up what that one is told.
    return Message(kind=BACKCHANNEL_LOGOUT, recipient=client.client_id, body=body, client_pk=client.client_pk)
