"""POST /backchannel-logout/NAME: another provider says that somebody has logged out there (Back-Channel Logout 2.5)."""

from app.endpoints.answers import NO_STORE, Answer
from app.endpoints.router import Handler
from app.services.deployment import Deployment
from app.services.upstream_logout import receive_logout
from app.specs.protocol_error import InvalidRequest
from app.specs.strict_request import ProtocolRequest


def backchannel_logout_endpoint(deployment: Deployment) -> Handler:
    """The handler, by the last segment of its path."""

    def answer(request: ProtocolRequest) -> Answer:
        token = request.parameters.get("logout_token")
        if token is None:
            raise InvalidRequest("logout_token is missing")
        receive_logout(deployment, request.path.rpartition("/")[2], token)
        # Section 2.8: "If the logout succeeded, the RP MUST respond with HTTP 200 OK", known to us or not.
        return Answer(200, [NO_STORE, ("X-Content-Type-Options", "nosniff")], b"")

    return answer
