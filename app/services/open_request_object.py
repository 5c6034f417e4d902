"""From what a client sends to the parameters that count: its request object, fetched, decrypted, verified, checked."""

from app.features import ProfileRules
from app.services.client_registry import Client
from app.services.decrypt_token import decrypt_token
from app.services.deployment import Deployment
from app.specs.protocol_error import InvalidRequest, InvalidRequestObject, RequestNotSupported, RequestUriNotSupported
from app.specs.rfc7515_jose import InvalidJws
from app.specs.rfc7516_jwe import InvalidJwe, is_jwe
from app.specs.rfc9101_request_objects import (
    MAX_BYTES,
    SIGNING_ALGORITHMS,
    check_request_object_claims,
    check_request_uri,
    complete_parameters,
    parse_request_object_claims,
    parse_request_object_header,
    read_request_parameters,
    read_unsigned_claims,
)
from app.specs.strict_request import Parameters


def open_request_object(
    deployment: Deployment, parameters: Parameters, client: Client, rules: ProfileRules, *, address: str
) -> Parameters:
    """The parameters of the request; those of the query or the form where there is no request object.

    `address`: of the peer that asks. Raises `ProtocolError`. Nothing of the object decides where that refusal goes: it
    is not believed yet.
    """
    raw_request_object = _find_request_object(deployment, parameters, client, address)
    if raw_request_object is None:
        # RFC 9101 10.5: "the authorization server MUST reject" a plain request from such a client.
        if client.metadata.require_signed_request_object:
            raise InvalidRequest("the client must send a signed request object")
        return parameters
    if len(raw_request_object) > MAX_BYTES:
        raise InvalidRequestObject(f"the request object is larger than {MAX_BYTES} bytes")
    if is_jwe(raw_request_object):
        raw_request_object = _decrypt(deployment, raw_request_object)
    claims = parse_request_object_claims(_verify(deployment, raw_request_object, client, rules))
    check_request_object_claims(
        claims,
        issuer=deployment.issuer,
        client_id=client.client_id,
        now_s=deployment.clock() // 1000,
        is_strict=rules.request_objects_are_complete,
    )
    return complete_parameters(
        parameters,
        read_request_parameters(claims),
        client_id=client.client_id,
        # RFC 9101 10.5: who must sign the request gets nothing added to it on the way, whatever the profile.
        may_complete=not (rules.request_objects_are_complete or client.metadata.require_signed_request_object),
    )


class OpenedOnce:
    """The request object of one request, fetched and opened once however often the request is validated."""

    def __init__(self, deployment: Deployment, *, address: str) -> None:
        self._deployment = deployment
        self._address = address
        self._parameters: Parameters | None = None

    def open(self, parameters: Parameters, client: Client, rules: ProfileRules) -> Parameters:
        """As `open_request_object`."""
        if self._parameters is None:
            self._parameters = open_request_object(self._deployment, parameters, client, rules, address=self._address)
        return self._parameters


def _find_request_object(deployment: Deployment, parameters: Parameters, client: Client, address: str) -> str | None:
    by_value, request_uri = parameters.get("request"), parameters.get("request_uri")
    if "request_objects" not in deployment.settings.feature_names:
        # OpenID Connect Core 3.1.2.6: what is not supported is refused, never silently dropped.
        if by_value is not None:
            raise RequestNotSupported("request objects are not supported")
        if request_uri is not None:
            raise RequestUriNotSupported("request objects are not supported")
    if request_uri is None:
        return by_value
    if by_value is not None:
        raise InvalidRequest("request and request_uri must not both be sent")
    url = check_request_uri(request_uri, client.metadata.request_uris)
    return deployment.request_object_fetcher.fetch(url, client_id=client.client_id, address=address)


def _decrypt(deployment: Deployment, raw_request_object: str) -> str:
    """The signed object within: it is its signature that says whose it is."""
    try:
        return decrypt_token(deployment, raw_request_object, max_bytes=MAX_BYTES)
    except InvalidJwe as error:
        raise InvalidRequestObject("the encrypted request object is not acceptable", detail=error.detail) from error


def _verify(deployment: Deployment, raw_request_object: str, client: Client, rules: ProfileRules) -> bytes:
    """The payload that the client signed, or may leave unsigned.

    OpenID Connect Registration 2: what is registered "MUST" be used; where nothing is, "any algorithm supported by the
    OP and the RP MAY be used", `none` too, but only under a profile that has it.
    """
    header = parse_request_object_header(raw_request_object)
    registered = client.metadata.request_object_signing_alg
    allowed = (*SIGNING_ALGORITHMS, "none") if registered is None else (registered,)
    if header.alg not in allowed:
        raise InvalidRequestObject("the request object is not signed as the client is registered")
    if header.alg == "none":
        if not rules.unsigned_request_objects or client.metadata.require_signed_request_object:
            raise InvalidRequestObject("the request object must be signed")
        return read_unsigned_claims(raw_request_object)
    try:
        return deployment.client_keys.verify_jws(
            client, raw_request_object, algorithms=(header.alg,), typ=None, max_bytes=MAX_BYTES
        )
    except InvalidJws as error:
        raise InvalidRequestObject("the request object's signature does not verify", detail=str(error)) from error
