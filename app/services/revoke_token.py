"""Token revocation (RFC 7009): a client ends its own tokens, and learns nothing about anybody else's."""

from app.services.client_registry import Client
from app.services.deployment import Deployment
from app.services.find_token import FoundToken, find_token
from app.services.record_event import Event
from app.specs.protocol_error import UnsupportedTokenType
from app.storage.database import Connection
from app.storage.revocation import revoke_access_token, revoke_grant


def revoke_token(deployment: Deployment, client: Client, token: str) -> None:
    """End the token, and with a refresh token, used or not, the grant that it hangs on and all of its tokens.

    Returns when that is on disk. Section 2.2: "invalid tokens do not cause an error response", and another client's is
    no different: nothing happens. Raises `UnsupportedTokenType` for a machine's own JWT.
    """
    found = find_token(deployment, token)
    if found is None or found.client_id != client.client_id:
        return
    if not found.hangs_on_row:
        # Section 2.2.1: better than a 200 after which the token still works.
        raise UnsupportedTokenType("a token that the client got for itself ends by its exp alone")
    deployment.database.transact(lambda connection: _end(deployment, connection, found))


def _end(deployment: Deployment, connection: Connection, found: FoundToken) -> None:
    now = deployment.clock()
    if found.jti is not None:
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
