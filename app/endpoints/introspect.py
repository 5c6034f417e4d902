"""POST /introspect (RFC 7662), and its signed answers (RFC 9701)."""

from app.endpoints.answers import NO_STORE, Answer, json_answer
from app.endpoints.router import Handler
from app.services.authenticate_client import authenticate_client
from app.services.deployment import Deployment
from app.services.introspect_token import introspect_token, sign_response
from app.specs.protocol_error import InvalidRequest
from app.specs.rfc7662_introspection import MEDIA_TYPE, wants_signed
from app.specs.strict_request import ProtocolRequest


def introspect_endpoint(deployment: Deployment) -> Handler:
    """The handler. `token_type_hint` is not read: no token of ours needs it."""

    def answer(request: ProtocolRequest) -> Answer:
        caller = authenticate_client(
            deployment, authorization=request.authorization, parameters=request.parameters
        ).client
        token = request.parameters.get("token")
        if token is None:
            raise InvalidRequest("token is missing")
        response = introspect_token(deployment, caller, token)
        if not wants_signed(request.headers.get("accept")):
            return json_answer(200, response)
        headers = [
            ("Content-Type", MEDIA_TYPE),
            NO_STORE,
            ("Pragma", "no-cache"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        return Answer(200, headers, sign_response(deployment, caller, response).encode())

    return answer
