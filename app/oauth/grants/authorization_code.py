"""`grant_type=authorization_code`."""

from authlib.oauth2.rfc6749 import grants

from app.oauth.token_response import TokenAnswer, token_response
from app.services.exchange_code import CodeExchange, exchange_code
from app.services.validate_authorization_request import parse_requested_lifetime
from app.specs.protocol_error import InvalidRequest
from app.specs.rfc9396_authorization_details import CLAIM, parse_authorization_details


class AuthorizationCodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
    """Reads the request; `exchange_code` decides. Authlib's query, save and delete steps are not used."""

    def validate_token_request(self) -> None:
        """Who asks, and what for. Spends nothing."""
        self.request.client = self.authenticate_token_endpoint_client()
        parameters = self.request.parameters
        code = parameters.get("code")
        if code is None:
            raise InvalidRequest("code is missing")
        self.exchange = CodeExchange(
            authenticated=self.request.authenticated,
            binding=self.request.binding,
            code=code,
            redirect_uri=parameters.get("redirect_uri"),
            code_verifier=parameters.get("code_verifier"),
            resources=parameters.get_all("resource"),
            access_token_lifetime_s=parse_requested_lifetime(parameters),
            authorization_details=parse_authorization_details(parameters.get(CLAIM)),
        )

    def create_token_response(self) -> TokenAnswer:
        """RFC 6749 5.1."""
        return token_response(exchange_code(self.server.deployment, self.exchange))
