"""GET and POST /userinfo (OpenID Connect Core 5.3), with a bearer token in the header or, by POST, in the body."""

from app.endpoints.answers import Answer, json_answer
from app.endpoints.router import Handler
from app.services.deployment import Deployment
from app.services.userinfo import read_userinfo
from app.specs.protocol_error import InvalidRequest, InvalidToken, ProtocolError
from app.specs.rfc6750_bearer import challenge, parse_bearer
from app.specs.strict_request import ProtocolRequest


def userinfo_endpoint(deployment: Deployment) -> Handler:
    """The handler."""

    def answer(request: ProtocolRequest) -> Answer:
        try:
            token = find_token(request)
        except ProtocolError as error:
            raise with_challenge(error) from error
        if token is None:
            # RFC 6750 3.1: without any authentication information no error code is given.
            refusal = InvalidToken(
                "an access token is needed", headers={"WWW-Authenticate": challenge(None, realm="userinfo")}
            )
            raise refusal
        try:
            return json_answer(200, read_userinfo(deployment, token))
        except ProtocolError as error:
            raise with_challenge(error) from error

    return answer


def find_token(request: ProtocolRequest) -> str | None:
    """The bearer token. RFC 6750 2: "Clients MUST NOT use more than one method to transmit the token"."""
    in_header = parse_bearer(request.authorization)
    in_body = request.parameters.get("access_token")
    if in_header is not None and in_body is not None:
        raise InvalidRequest("the access token was sent twice")
    return in_header if in_header is not None else in_body


def with_challenge(error: ProtocolError) -> ProtocolError:
    """The same refusal with its `WWW-Authenticate` (RFC 6750 3)."""
    scope = "openid" if error.error == "insufficient_scope" else None
    headers = {**error.headers, "WWW-Authenticate": challenge(error, realm="userinfo", scope=scope)}
    return type(error)(error.description, detail=error.detail, headers=headers)
