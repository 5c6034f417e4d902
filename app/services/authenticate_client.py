"""Client authentication (RFC 6749 2.3), the same for every endpoint: exactly one method, the registered one.

Client secrets are machine secrets of 256 bits, so a keyed digest is enough and no slow hash stands on this path.
"""

import hmac
from dataclasses import dataclass

from app.services.client_registry import BrokenClient, Client
from app.services.deployment import Deployment
from app.specs.protocol_error import InvalidClient, InvalidRequest, UnauthorizedClient
from app.specs.rfc6749_oauth import parse_basic_credentials
from app.specs.strict_request import Parameters
from app.storage.clients import SecretRow

MAX_SECRET_CHARACTERS = 512
_BASIC_CHALLENGE = {"WWW-Authenticate": 'Basic realm="token", charset="UTF-8"'}


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedCredentials:
    """What a request presents, not yet believed."""

    method: str
    client_id: str
    unverified_secret: str | None

    def __repr__(self) -> str:
        return f"PresentedCredentials(method={self.method!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatedClient:
    """The client, and by what it was known; `secret_created_at` tells a rotated secret from its successor."""

    client: Client
    method: str
    secret_created_at: int | None


def authenticate_client(
    deployment: Deployment, *, authorization: str | None, parameters: Parameters
) -> AuthenticatedClient:
    """The client that the request proves to come from; for a public client, the one that it names.

    Raises `InvalidRequest` for two methods at once (RFC 6749 2.3: "The client MUST NOT use more than one
    authentication method in each request"), `UnauthorizedClient` for a disabled client that proved who it is, else
    `InvalidClient`, which never says what was wrong.
    """
    presented = read_credentials(authorization, parameters)
    try:
        client = deployment.registry.find_client(presented.client_id)
    except BrokenClient as error:
        raise _refusal(presented, str(error)) from error
    if client is None:
        raise _refusal(presented, f"unknown client_id {presented.client_id!r:.300}")
    registered = client.metadata.token_endpoint_auth_method
    if presented.method != registered:
        raise _refusal(presented, f"registered for {registered}, presented {presented.method}")
    secret = _verify_secret(deployment, client, presented) if presented.unverified_secret is not None else None
    # Last: only who has proven to be the client hears that it was disabled.
    if client.is_disabled:
        raise UnauthorizedClient("the client may not do this at present", detail="the client is disabled")
    return AuthenticatedClient(
        client=client, method=presented.method, secret_created_at=secret.created_at if secret is not None else None
    )


def read_credentials(authorization: str | None, parameters: Parameters) -> PresentedCredentials:
    """The one method that the request uses. Does not check the credentials."""
    client_id = parameters.get("client_id")
    client_secret = parameters.get("client_secret")
    if "client_assertion" in parameters or "client_assertion_type" in parameters:
        if authorization is not None or client_secret is not None:
            raise InvalidRequest("two client authentication methods in one request")
        raise InvalidClient("client assertions are not supported")
    if authorization is not None:
        if client_secret is not None:
            raise InvalidRequest("two client authentication methods in one request")
        try:
            basic_id, basic_secret = parse_basic_credentials(authorization)
        except InvalidClient as error:
            raise InvalidClient(error.description, detail=error.detail, headers=_BASIC_CHALLENGE) from error
        if client_id is not None and client_id != basic_id:
            raise InvalidRequest("client_id differs from the one in the Authorization header")
        return PresentedCredentials(method="client_secret_basic", client_id=basic_id, unverified_secret=basic_secret)
    if client_id is None:
        raise InvalidClient("the client is not named", headers=_BASIC_CHALLENGE)
    if client_secret is not None:
        return PresentedCredentials(method="client_secret_post", client_id=client_id, unverified_secret=client_secret)
    return PresentedCredentials(method="none", client_id=client_id, unverified_secret=None)


def _verify_secret(deployment: Deployment, client: Client, presented: PresentedCredentials) -> SecretRow:
    secret = presented.unverified_secret or ""
    now = deployment.clock()
    if len(secret) <= MAX_SECRET_CHARACTERS:
        digests = deployment.seals.digests("cs", secret)
        for stored in client.secrets:
            if stored.expires_at is not None and stored.expires_at <= now:
                continue
            if any(hmac.compare_digest(digest, stored.digest) for digest in digests):
                return stored
    raise _refusal(presented, "no live secret matches")


def _refusal(presented: PresentedCredentials, detail: str) -> InvalidClient:
    # RFC 6749 5.2: where the Authorization header was used, the answer MUST carry the matching WWW-Authenticate.
    headers = _BASIC_CHALLENGE if presented.method == "client_secret_basic" else None
    return InvalidClient("client authentication failed", detail=detail, headers=headers)
