"""GET and POST /userinfo (OpenID Connect Core 5.3).

The token comes in the header, as a bearer token or with a DPoP proof, or, by POST, as a bearer token in the body.
"""

from app.endpoints.answers import NO_STORE, Answer
from app.endpoints.router import Handler
from app.services.bind_sender import NONCE_HEADER, fresh_nonce
from app.services.deployment import Deployment
from app.services.userinfo import UserinfoRequest, read_userinfo
from app.specs.protocol_error import InvalidDpopProof, InvalidRequest, InvalidToken, ProtocolError, UseDpopNonce
from app.specs.rfc6750_bearer import AuthorizationScheme, PresentedToken, challenge, parse_presented_token
from app.specs.rfc9449_dpop import CHALLENGE_ALGS
from app.specs.strict_request import ProtocolRequest

REALM = "userinfo"


class UnprovenSender(InvalidDpopProof):
    """RFC 9449 7.1: at a protected resource it is a 401."""

    status = 401


class UnknownNonce(UseDpopNonce):
    """RFC 9449 9: at a protected resource it is a 401."""

    status = 401


def userinfo_endpoint(deployment: Deployment) -> Handler:
    """The handler."""

    def answer(request: ProtocolRequest) -> Answer:
        scheme: AuthorizationScheme = "Bearer"
        try:
            presented = find_token(request)
            if presented is None:
                raise InvalidToken("an access token is needed", headers=challenges(None, "Bearer"))
            scheme = presented.scheme
            response = read_userinfo(
                deployment,
                UserinfoRequest(
                    presented=presented,
                    method=request.method,
                    dpop=request.headers.get("dpop"),
                    address=request.remote_address,
                ),
            )
        except ProtocolError as error:
            raise with_challenge(error, scheme) from error
        headers = [
            ("Content-Type", response.media_type),
            NO_STORE,
            ("Pragma", "no-cache"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if scheme == "DPoP":
            headers.append((NONCE_HEADER, fresh_nonce(deployment)))
        return Answer(200, headers, response.body)

    return answer


def find_token(request: ProtocolRequest) -> PresentedToken | None:
    """The token. RFC 6750 2: "Clients MUST NOT use more than one method to transmit the token"."""
    in_header = parse_presented_token(request.authorization)
    in_body = request.parameters.get("access_token")
    if in_header is not None and in_body is not None:
        raise InvalidRequest("the access token was sent twice")
    return in_header if in_body is None else PresentedToken(scheme="Bearer", unverified_token=in_body)


def with_challenge(error: ProtocolError, scheme: AuthorizationScheme) -> ProtocolError:
    """The same refusal with its `WWW-Authenticate` (RFC 6750 3, RFC 9449 7.1), and the status of a resource's."""
    kinds: dict[type[ProtocolError], type[ProtocolError]] = {
        InvalidDpopProof: UnprovenSender,
        UseDpopNonce: UnknownNonce,
    }
    kind = kinds.get(type(error), type(error))
    return kind(
        error.description,
        detail=error.detail,
        differences=error.differences,
        headers={**challenges(error, scheme), **error.headers},
    )


def challenges(error: ProtocolError | None, scheme: AuthorizationScheme) -> dict[str, str]:
    """The header. The scheme that was used has the error; the other one is of use to who needs another token.

    RFC 6750 3.1: without any authentication information no error code is given.
    """
    others: tuple[AuthorizationScheme, ...] = ("Bearer", "DPoP") if error is None or error.status == 401 else ()
    schemes = (scheme, *(other for other in others if other != scheme))
    scope = "openid" if error is not None and error.error == "insufficient_scope" else None
    texts = [
        challenge(
            error if offered == scheme else None,
            realm=REALM,
            scope=scope,
            scheme=offered,
            parameters={"algs": CHALLENGE_ALGS} if offered == "DPoP" else None,
        )
        for offered in schemes
    ]
    return {"WWW-Authenticate": ", ".join(texts)}
