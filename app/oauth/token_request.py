"""Our parsed request in the form that Authlib reads."""

from collections import defaultdict
from typing import Any

from authlib.oauth2.rfc6749 import OAuth2Payload, OAuth2Request

from app.specs.strict_request import Parameters, ProtocolRequest


class TokenPayload(OAuth2Payload):  # type: ignore[misc]
    """The body's parameters; the query string is not among them (RFC 6749 2.3.1)."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    @property
    def data(self) -> Parameters:
        """The parameters, with `.get`."""
        return self._parameters

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        """Every value of every parameter."""
        names = self._parameters.names
        return defaultdict(list, {name: list(self._parameters.get_all(name)) for name in names})


class TokenRequest(OAuth2Request):  # type: ignore[misc]
    """A token request. Authlib's own constructor is passed over: it wants a URL to judge, and we have an issuer."""

    def __init__(self, request: ProtocolRequest) -> None:
        self.method = request.method
        self.uri = request.path
        self.headers = request.headers
        self.authorization = request.authorization
        self.remote_address = request.remote_address
        self.payload = TokenPayload(request.parameters)
        self.parameters = request.parameters
        self.client: Any = None
        self.authenticated: Any = None
        self.binding: Any = None
        self._scope = None
        self._body = None
