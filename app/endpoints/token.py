"""POST /token (RFC 6749 3.2)."""

from app.endpoints.answers import Answer, json_answer
from app.endpoints.router import Handler
from app.oauth.authorization_server import TokenServer
from app.services.bind_sender import NONCE_HEADER, fresh_nonce
from app.specs.strict_request import ProtocolRequest


def token_endpoint(server: TokenServer) -> Handler:
    """The handler, around the hosted authorization server."""

    def answer(request: ProtocolRequest) -> Answer:
        status, body, _headers = server.answer(request)
        # RFC 9449 8.2: whoever makes proofs learns the next nonce in time, and needs no second request for it.
        nonce = [(NONCE_HEADER, fresh_nonce(server.deployment))] if "dpop" in request.headers else ()
        return json_answer(status, body, nonce)

    return answer
