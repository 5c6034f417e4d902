"""POST /register (RFC 7591, OpenID Connect Registration 1.0)."""

from collections.abc import Mapping
from typing import Any

from app.endpoints.answers import Answer, json_answer
from app.endpoints.router import Handler
from app.services.deployment import Deployment
from app.services.limit_requests import RequestLimits
from app.services.register_client import RegistrationRequest, register_client
from app.specs.protocol_error import InvalidClientMetadata, InvalidToken, TooManyRequests
from app.specs.rfc6750_bearer import challenge, parse_bearer
from app.specs.strict_json import StrictJsonError, parse_json_object
from app.specs.strict_request import ProtocolRequest

REALM = "registration"


def register_endpoint(deployment: Deployment, limits: RequestLimits) -> Handler:
    """The handler."""

    def answer(request: ProtocolRequest) -> Answer:
        initial_access_token = parse_bearer(request.authorization)
        if initial_access_token is None:
            check_rate(limits, request.remote_address)
        registration_request = RegistrationRequest(
            document=read_document(request),
            initial_access_token=initial_access_token,
            address=request.remote_address,
        )
        try:
            registration = register_client(deployment, registration_request)
        except InvalidToken as error:
            raise with_challenge(error, has_token=initial_access_token is not None) from error
        return json_answer(201, registration.to_document())

    return answer


def check_rate(limits: RequestLimits, address: str) -> None:
    """RFC 7591 5: open registration "MUST be rate-limited or otherwise limited". Raises `TooManyRequests`."""
    retry_after_s = limits.registration_retry_after_s(address)
    if retry_after_s is not None:
        raise TooManyRequests("too many registrations", headers={"Retry-After": str(retry_after_s)})
    limits.count_registration(address)


def read_document(request: ProtocolRequest) -> Mapping[str, Any]:
    """The client metadata document of a request. Raises `InvalidClientMetadata`."""
    try:
        return parse_json_object(request.json_body)
    except StrictJsonError as cause:
        raise InvalidClientMetadata(f"the document cannot be read: {cause}") from cause


def with_challenge(error: InvalidToken, *, has_token: bool) -> InvalidToken:
    """The same refusal with its `WWW-Authenticate` (RFC 6750 3), which names no error to who brought no token."""
    header = challenge(error if has_token else None, realm=REALM)
    return InvalidToken(error.description, detail=error.detail, headers={"WWW-Authenticate": header})
