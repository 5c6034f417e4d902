"""POST /revoke (RFC 7009)."""

from app.endpoints.answers import NO_STORE, Answer
from app.endpoints.router import Handler
from app.services.authenticate_client import authenticate_client
from app.services.deployment import Deployment
from app.services.revoke_token import revoke_token
from app.specs.protocol_error import InvalidRequest
from app.specs.strict_request import ProtocolRequest


def revoke_endpoint(deployment: Deployment) -> Handler:
    """The handler. `token_type_hint` is not read: section 2.1 lets it be wrong, and no token of ours needs it."""

    def answer(request: ProtocolRequest) -> Answer:
        authenticated = authenticate_client(
            deployment, authorization=request.authorization, parameters=request.parameters
        )
        token = request.parameters.get("token")
        if token is None:
            raise InvalidRequest("token is missing")
        revoke_token(deployment, authenticated.client, token)
        # Section 2.2: "The content of the response body is ignored by the client".
        return Answer(200, [NO_STORE, ("Pragma", "no-cache"), ("X-Content-Type-Options", "nosniff")], b"")

    return answer
