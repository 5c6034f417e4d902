"""`grant_type=refresh_token`."""

from authlib.oauth2.rfc6749 import grants

from app.oauth.token_response import TokenAnswer, token_response
from app.services.use_refresh_token import Refresh, use_refresh_token
from app.services.validate_authorization_request import parse_requested_lifetime
from app.specs.protocol_error import InvalidRequest
from app.specs.rfc6749_oauth import parse_scope
from app.specs.rfc9396_authorization_details import CLAIM, parse_authorization_details


class RefreshTokenGrant(grants.RefreshTokenGrant):  # type: ignore[misc]
    """Reads the request; `use_refresh_token` decides. Authlib's query, save and revoke steps are not used."""

    def validate_token_request(self) -> None:
        """Who asks, and what for. Spends nothing."""
        self.request.client = self.authenticate_token_endpoint_client()
        parameters = self.request.parameters
        refresh_token = parameters.get("refresh_token")
        if refresh_token is None:
            raise InvalidRequest("refresh_token is missing")
        self.refresh = Refresh(
            authenticated=self.request.authenticated,
            binding=self.request.binding,
            refresh_token=refresh_token,
            scope=parse_scope(parameters.get("scope")) or None,
            resources=parameters.get_all("resource"),
            access_token_lifetime_s=parse_requested_lifetime(parameters),
            authorization_details=parse_authorization_details(parameters.get(CLAIM)),
        )

    def create_token_response(self) -> TokenAnswer:
        """RFC 6749 5.1."""
        return token_response(use_refresh_token(self.server.deployment, self.refresh))
