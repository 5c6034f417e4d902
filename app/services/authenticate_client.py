"""Client authentication (RFC 6749 2.3), the same for every endpoint: exactly one method, the registered one.

Client secrets are machine secrets of 256 bits, so a keyed digest is enough and no slow hash stands on this path.
"""

import hmac
from dataclasses import dataclass

from app.services.client_assertions import VerifiedAssertion, use_assertion_alone, verify_client_assertion
from app.services.client_registry import BrokenClient, Client
from app.services.deployment import Deployment
from app.services.refusals import name_unknown_client
from app.specs.protocol_error import Difference, InvalidClient, InvalidRequest, UnauthorizedClient
from app.specs.rfc6749_oauth import parse_basic_credentials
from app.specs.rfc7523_client_assertion import (
    ASSERTION_TYPE,
    ClientAssertion,
    UnverifiedAssertion,
    parse_unverified_assertion,
)
from app.specs.strict_request import Parameters
from app.storage.clients import SecretRow

MAX_SECRET_CHARACTERS = 512
_BASIC_CHALLENGE = {"WWW-Authenticate": 'Basic realm="token", charset="UTF-8"'}


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedCredentials:
    """What a request presents, not yet believed. `assertion_text` is what `unverified_assertion` is read from."""

    method: str
    client_id: str
    unverified_secret: str | None = None
    unverified_assertion: UnverifiedAssertion | None = None
    assertion_text: str = ""

    def __repr__(self) -> str:
        return f"PresentedCredentials(method={self.method!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatedClient:
    """The client, and by what it was known; `secret_created_at` tells a rotated secret from its successor, `kid` one
    key from another. `assertion`: what has to be used up, where `verify_client` left that to its caller.
    """

    client: Client
    method: str
    secret_created_at: int | None
    kid: str | None = None
    assertion: ClientAssertion | None = None


def authenticate_client(
    deployment: Deployment, *, authorization: str | None, parameters: Parameters
) -> AuthenticatedClient:
    """The client that the request proves to come from; for a public client, the one that it names.

    An assertion is used up when this returns. Raises what `verify_client` raises.
    """
    authenticated = verify_client(deployment, authorization=authorization, parameters=parameters)
    if authenticated.assertion is not None:
        use_assertion_alone(deployment, authenticated.assertion)
    return authenticated


def verify_client(deployment: Deployment, *, authorization: str | None, parameters: Parameters) -> AuthenticatedClient:
    """As `authenticate_client`, for a caller who uses the assertion up itself: in the transaction that does what it was
    made for, or alone where there will be none.

    Raises `InvalidRequest` for two methods at once (RFC 6749 2.3: "The client MUST NOT use more than one
    authentication method in each request"), `UnauthorizedClient` for a disabled client that proved who it is,
    `TemporarilyUnavailable` where its keys cannot be looked for now, else `InvalidClient`, which never says what was
    wrong.
    """
    presented = read_credentials(authorization, parameters)
    if presented.unverified_assertion is not None and "client_assertions" not in deployment.settings.feature_names:
        raise _refusal(presented, "client assertions are switched off")
    try:
        client = deployment.registry.find_client(presented.client_id)
    except BrokenClient as error:
        raise _refusal(presented, str(error)) from error
    if client is None:
        raise _refusal(presented, f"unknown client_id {name_unknown_client(presented.client_id)!r:.300}")
    registered = client.metadata.token_endpoint_auth_method
    if presented.method != registered:
        raise _refusal(presented, f"registered for {registered}, presented {presented.method}")
    verified, secret = _verify(deployment, client, presented)
    # Last: only who has proven to be the client hears that it was disabled.
    if client.is_disabled:
        if verified is not None:
            use_assertion_alone(deployment, verified.assertion)
        raise UnauthorizedClient("the client may not do this at present", detail="the client is disabled")
    if client.is_confidential:
        # Of a public client only its name was said, by whomever: it is used when something is issued to it.
        deployment.client_uses.note(client)
    return AuthenticatedClient(
        client=client,
        method=presented.method,
        secret_created_at=secret.created_at if secret is not None else None,
        kid=verified.kid if verified is not None else None,
        assertion=verified.assertion if verified is not None else None,
    )


def read_credentials(authorization: str | None, parameters: Parameters) -> PresentedCredentials:
    """The one method that the request uses. Does not check the credentials."""
    client_id = parameters.get("client_id")
    client_secret = parameters.get("client_secret")
    if "client_assertion" in parameters or "client_assertion_type" in parameters:
        if authorization is not None or client_secret is not None:
            raise InvalidRequest("two client authentication methods in one request")
        return _read_assertion(parameters, client_id)
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
    return PresentedCredentials(method="none", client_id=client_id)


def _read_assertion(parameters: Parameters, client_id: str | None) -> PresentedCredentials:
    """RFC 7521 4.2: type and assertion belong together, and `client_id` "MUST identify the same client"."""
    text, assertion_type = parameters.get("client_assertion"), parameters.get("client_assertion_type")
    if text is None or assertion_type is None:
        raise InvalidRequest("client_assertion and client_assertion_type belong together")
    if assertion_type != ASSERTION_TYPE:
        raise InvalidClient("client assertions of this type are not supported")
    unverified = parse_unverified_assertion(text)
    if client_id is not None and client_id != unverified.client_id:
        difference = Difference(what="client_id", expected=unverified.client_id[:300], received=client_id[:300])
        raise InvalidClient("client_id is not the assertion's", differences=[difference])
    return PresentedCredentials(
        method=unverified.method, client_id=unverified.client_id, unverified_assertion=unverified, assertion_text=text
    )


def _verify(
    deployment: Deployment, client: Client, presented: PresentedCredentials
) -> tuple[VerifiedAssertion | None, SecretRow | None]:
    """By what the client is known: an assertion, a secret, both where a secret made the assertion, or nothing."""
    if presented.unverified_assertion is not None:
        verified = verify_client_assertion(deployment, client, presented.unverified_assertion, presented.assertion_text)
        return verified, verified.secret
    if presented.unverified_secret is not None:
        return None, _verify_secret(deployment, client, presented)
    return None, None


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
