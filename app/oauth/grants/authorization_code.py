"""`grant_type=authorization_code`."""

from collections.abc import Iterable, Mapping
from typing import Any

from authlib.oauth2.rfc6749 import grants

from app.services.exchange_code import CodeExchange, exchange_code
from app.services.validate_authorization_request import parse_requested_lifetime
from app.specs.protocol_error import InvalidRequest

JSON_HEADERS = (("Content-Type", "application/json"),)


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
            code=code,
            redirect_uri=parameters.get("redirect_uri"),
            code_verifier=parameters.get("code_verifier"),
            resources=parameters.get_all("resource"),
            access_token_lifetime_s=parse_requested_lifetime(parameters),
        )

    def create_token_response(self) -> tuple[int, Mapping[str, Any], Iterable[tuple[str, str]]]:
        """RFC 6749 5.1, OpenID Connect Core 3.1.3.3."""
        tokens = exchange_code(self.server.deployment, self.exchange)
        body: dict[str, Any] = {
            "access_token": tokens.access_token,
            "token_type": "Bearer",
            "expires_in": tokens.expires_in_s,
            "scope": tokens.scope,
        }
        if tokens.id_token is not None:
            body["id_token"] = tokens.id_token
        return 200, body, JSON_HEADERS
