"""POST /register (RFC 7591, OpenID Connect Registration 1.0), and each client's own address beneath it (RFC 7592)."""

from collections.abc import Mapping
from typing import Any

from app.endpoints.answers import NO_STORE, Answer, json_answer
from app.endpoints.router import Handler
from app.services.deployment import Deployment
from app.services.limit_requests import RequestLimits
from app.services.manage_registration import (
    ManagementRequest,
    read_registration,
    remove_registration,
    update_registration,
)
from app.services.register_client import RegistrationRequest, register_client
from app.specs.protocol_error import InvalidClientMetadata, InvalidToken, TooManyRequests, UnauthorizedClient
from app.specs.rfc6750_bearer import challenge, parse_bearer
from app.specs.strict_json import StrictJsonError, parse_json_object
from app.specs.strict_request import ProtocolRequest

REALM = "registration"


class Forbidden(UnauthorizedClient):
    """RFC 7592 2.1: a client that may not manage its registration is told so by a 403."""

    status = 403


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


def registered_client_endpoint(deployment: Deployment, limits: RequestLimits) -> Handler:
    """The handler of `/register/<client_id>`."""

    def answer(request: ProtocolRequest) -> Answer:
        token = parse_bearer(request.authorization)
        try:
            return manage(request, token)
        except InvalidToken as error:
            raise with_challenge(error, has_token=token is not None) from error
        except UnauthorizedClient as error:
            raise Forbidden(error.description, detail=error.detail) from error

    def manage(request: ProtocolRequest, token: str | None) -> Answer:
        if token is None:
            raise InvalidToken("a registration access token is needed")
        management = ManagementRequest(client_id=request.path.rpartition("/")[2], registration_access_token=token)
        if request.method == "DELETE":
            remove_registration(deployment, management)
            return Answer(204, [NO_STORE, ("Pragma", "no-cache")], b"")
        if request.method == "PUT":
            check_rate(limits, request.remote_address)
            return json_answer(200, update_registration(deployment, management, read_document(request)).to_document())
        return json_answer(200, read_registration(deployment, management).to_document())

    return answer


def check_rate(limits: RequestLimits, address: str) -> None:
    """Strangers write here, and a change makes every node forget what it remembers of clients. Raises
    `TooManyRequests`.
    """
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
