"""The authorization server as Authlib frames it: one list of grants, our client authentication, our answers."""

from typing import Any

from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationServer
from authlib.oauth2.rfc6749.errors import UnsupportedGrantTypeError

from app.oauth.grants.authorization_code import AuthorizationCodeGrant
from app.oauth.grants.client_credentials import ClientCredentialsGrant
from app.oauth.grants.refresh_token import RefreshTokenGrant
from app.oauth.grants.token_exchange import TokenExchangeGrant
from app.oauth.token_request import TokenRequest
from app.oauth.token_response import TokenAnswer
from app.services.authenticate_client import verify_client
from app.services.bind_sender import bind_sender
from app.services.client_assertions import AssertionReplayed, check_is_unused, use_assertion_alone
from app.services.client_registry import Client
from app.services.deployment import Deployment
from app.services.grant_client_credentials import GRANT_TYPE as CLIENT_CREDENTIALS
from app.specs.protocol_error import (
    InvalidRequest,
    ProtocolError,
    TemporarilyUnavailable,
    UnsupportedGrantType,
    UseDpopNonce,
)
from app.specs.rfc8414_metadata import endpoint_url
from app.specs.strict_request import ProtocolRequest

# What this server grants, as a table of contents.
GRANTS = (
    ("authorization_code", AuthorizationCodeGrant),
    ("refresh_tokens", RefreshTokenGrant),
    ("client_credentials", ClientCredentialsGrant),
    ("token_exchange", TokenExchangeGrant),
)


class TokenServer(AuthorizationServer):  # type: ignore[misc]
    """Hosts the grants. Its methods only translate; every rule is in the services."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__()
        self.deployment = deployment
        for feature, grant in GRANTS:
            if feature in deployment.settings.feature_names:
                self.register_grant(grant)

    def answer(self, request: ProtocolRequest) -> TokenAnswer:
        """The answer of the token endpoint. Raises `ProtocolError`, Authlib's refusals translated."""
        token_request = TokenRequest(request)
        try:
            answer: TokenAnswer = self.create_token_response(token_request)
        except (AssertionReplayed, UseDpopNonce, TemporarilyUnavailable):
            # Used up already; or nobody was refused anything: the same request is good with a nonce, or in a moment.
            raise
        except ProtocolError:
            # Nothing was issued, and with that no assertion was used up. A refused request is not sent twice either.
            if token_request.authenticated is not None and token_request.authenticated.assertion is not None:
                use_assertion_alone(self.deployment, token_request.authenticated.assertion)
            raise
        if token_request.authenticated is not None:
            self.deployment.client_uses.note(token_request.authenticated.client)
        return answer

    def create_oauth2_request(self, request: TokenRequest) -> TokenRequest:
        """Ours already: `answer` made it."""
        return request

    def authenticate_client(self, request: TokenRequest, methods: object, endpoint: str = "token") -> Client:  # noqa: ARG002
        """One rule for every grant and endpoint, whatever methods Authlib would let each choose.

        At the token endpoint the sender is bound here too: the client is known, and no grant has spent anything yet.
        """
        authenticated = verify_client(
            self.deployment, authorization=request.authorization, parameters=request.parameters
        )
        request.authenticated = authenticated
        if authenticated.assertion is not None and request.payload.grant_type != CLIENT_CREDENTIALS:
            # The replay of a whole request must not spend its code, or end the family of its refresh token.
            check_is_unused(self.deployment, authenticated.assertion)
        if endpoint == "token":
            request.binding = bind_sender(
                self.deployment,
                authenticated.client,
                dpop=request.headers.get("dpop"),
                method=request.method,
                url=endpoint_url(self.deployment.issuer, request.uri),
                address=request.remote_address,
                assertion=authenticated.assertion,
            )
        return authenticated.client

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens: what happened is told by `record_event`, in the transaction that did it."""

    def handle_response(self, status: int, body: Any, headers: Any) -> TokenAnswer:
        """The answer as plain values."""
        return status, body, headers

    def handle_error_response(self, request: TokenRequest, error: OAuth2Error) -> TokenAnswer:
        """Authlib's refusals leave as ours."""
        raise translate_error(error, grant_type=request.payload.grant_type) from error


def translate_error(error: OAuth2Error, *, grant_type: str | None) -> ProtocolError:
    """Our error for one of Authlib's; the only ones it raises here are about the grant type."""
    if isinstance(error, UnsupportedGrantTypeError):
        if grant_type is None:
            return InvalidRequest("grant_type is missing")
        return UnsupportedGrantType("the grant type is not supported", detail=f"{grant_type!r:.200}")
    return InvalidRequest("the request cannot be read", detail=f"{error.error}: {error.description}")
