"""`grant_type=urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693)."""

from authlib.oauth2.rfc6749 import BaseGrant, TokenEndpointMixin

from app.oauth.token_response import TokenAnswer, token_response
from app.services.exchange_token import TokenExchange, exchange_token
from app.services.validate_authorization_request import parse_requested_lifetime
from app.specs.protocol_error import InvalidRequest
from app.specs.rfc6749_oauth import parse_scope
from app.specs.rfc8693_token_exchange import (
    ACCESS_TOKEN,
    GRANT_TYPE,
    check_no_actor_token,
    check_requested_token_type,
    check_subject_token_type,
)
from app.specs.rfc9396_authorization_details import CLAIM, parse_authorization_details


class TokenExchangeGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]
    """Reads the request; `exchange_token` decides."""

    GRANT_TYPE = GRANT_TYPE

    def validate_token_request(self) -> None:
        """Who asks, and what for (section 2.1)."""
        self.request.client = self.authenticate_token_endpoint_client()
        parameters = self.request.parameters
        subject_token = parameters.get("subject_token")
        if subject_token is None:
            # Never a request with the client's own rights: what is exchanged must be there.
            raise InvalidRequest("subject_token is missing")
        check_subject_token_type(parameters.get("subject_token_type"))
        check_requested_token_type(parameters.get("requested_token_type"))
        check_no_actor_token(
            has_actor_token="actor_token" in parameters, has_actor_token_type="actor_token_type" in parameters
        )
        scope = parameters.get("scope")
        self.exchange = TokenExchange(
            authenticated=self.request.authenticated,
            binding=self.request.binding,
            subject_token=subject_token,
            targets=(*parameters.get_all("resource"), *parameters.get_all("audience")),
            scope=None if scope is None else parse_scope(scope),
            access_token_lifetime_s=parse_requested_lifetime(parameters),
            authorization_details=parse_authorization_details(parameters.get(CLAIM)),
        )

    def create_token_response(self) -> TokenAnswer:
        """Section 2.2.1: "issued_token_type REQUIRED"."""
        tokens = exchange_token(self.server.deployment, self.exchange)
        return token_response(tokens, issued_token_type=ACCESS_TOKEN)
