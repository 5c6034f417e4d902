"""`grant_type=client_credentials`."""

from authlib.oauth2.rfc6749 import grants

from app.oauth.token_response import TokenAnswer, token_response
from app.services.grant_client_credentials import ClientCredentialsRequest, grant_client_credentials
from app.services.validate_authorization_request import parse_requested_lifetime
from app.specs.protocol_error import InvalidAuthorizationDetails
from app.specs.rfc9396_authorization_details import CLAIM


class ClientCredentialsGrant(grants.ClientCredentialsGrant):  # type: ignore[misc]
    """Reads the request; `grant_client_credentials` decides."""

    def validate_token_request(self) -> None:
        """Who asks, and what for."""
        self.request.client = self.authenticate_token_endpoint_client()
        parameters = self.request.parameters
        if CLAIM in parameters:
            raise InvalidAuthorizationDetails(
                "authorization_details are granted by people, not to a machine for itself"
            )
        self.wanted = ClientCredentialsRequest(
            authenticated=self.request.authenticated,
            binding=self.request.binding,
            scope=parameters.get("scope"),
            resources=parameters.get_all("resource"),
            access_token_lifetime_s=parse_requested_lifetime(parameters),
        )

    def create_token_response(self) -> TokenAnswer:
        """RFC 6749 4.4.3: "A refresh token SHOULD NOT be included." """
        return token_response(grant_client_credentials(self.server.deployment, self.wanted))
