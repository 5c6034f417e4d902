"""POST /token (RFC 6749 3.2)."""

from app.endpoints.answers import Answer, json_answer
from app.endpoints.router import Handler
from app.oauth.authorization_server import TokenServer
from app.specs.strict_request import ProtocolRequest


def token_endpoint(server: TokenServer) -> Handler:
    """The handler, around the hosted authorization server."""

    def answer(request: ProtocolRequest) -> Answer:
        status, body, _headers = server.answer(request)
        return json_answer(status, body)

    return answer
