"""Token revocation (RFC 7009): a client ends its own tokens, and learns nothing about anybody else's."""

from app.services.client_registry import Client
from app.services.deployment import Deployment
from app.services.find_token import FoundToken, find_token
from app.services.record_event import Event
from app.storage.database import Connection
from app.storage.revocation import STILL_TAKEN_MS, revoke_access_token, revoke_grant, revoke_machine_token


def revoke_token(deployment: Deployment, client: Client, token: str) -> None:
    """End the token, and with a refresh token, used or not, the grant that it hangs on and all of its tokens.

    Returns when that is on disk. Section 2.2: "invalid tokens do not cause an error response", and another client's is
    no different: nothing happens.
    """
    # Somewhere it is taken for a while yet.
    found = find_token(deployment, token, leeway_s=STILL_TAKEN_MS / 1000)
    if found is None or found.client_id != client.client_id:
        return
    if found.machine_token is not None and not found.is_live:
        # Ended already, or signed before the database was restored: the bit there may be somebody else's by now.
        return
    deployment.database.transact(lambda connection: _end(deployment, connection, found))


def _end(deployment: Deployment, connection: Connection, found: FoundToken) -> None:
    now = deployment.clock()
    if found.jti is not None and found.machine_token is not None:
        has_ended = revoke_machine_token(
            connection,
            found.jti,
            client_pk=found.machine_token.client_pk,
            status_list_pk=found.machine_token.status_list_pk,
            status_index=found.machine_token.status_index,
            now=now,
        )
    elif found.jti is not None:
        has_ended = revoke_access_token(connection, found.jti, now=now)
    else:
        # Section 2.1: "the authorization server SHOULD also invalidate all access tokens based on the same
        # authorization grant".
        has_ended = found.grant_id is not None and revoke_grant(connection, found.grant_id, now=now)
    if not has_ended:
        return
    event = Event(
        type="token.revoked",
        actor="client",
        sub=found.sub,
        client_id=found.client_id,
        grant_id=found.grant_id,
        body={"token_type": found.kind},
    )
    deployment.recorder.record(connection, event)
