"""An application that says what it asks in a request object: how it is made, signed, and sent."""

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from app.specs.rfc7515_jose import encode_base64url
from tests.actors.http import Reply, send
from tests.actors.relying_party import Pending, RelyingParty
from tests.actors.signing_key import SigningKey, jwk_set
from tests.world import World

UNSIGNED_HEADER = encode_base64url(b'{"alg":"none"}')


class Requester:
    """A registered application with a signing key; what it sends is complete unless a test takes something out."""

    def __init__(self, world: World, *, alg: str = "ES256", **metadata: Any) -> None:
        self.world = world
        self.key = SigningKey(alg)
        self.party: RelyingParty = world.relying_party(**{"jwks": jwk_set(self.key), **metadata})

    def begin(self, **changes: Any) -> tuple[Pending, dict[str, Any]]:
        """A request, and the claims of its object; a change of `...` leaves one out."""
        pending = self.party.begin()
        now_s = self.world.clock() // 1000
        claims: dict[str, Any] = {
            **pending.parameters,
            "iss": self.party.client_id,
            "aud": self.world.issuer,
            "iat": now_s,
            "nbf": now_s,
            "exp": now_s + 300,
            "jti": secrets.token_urlsafe(16),
            **changes,
        }
        return pending, {name: value for name, value in claims.items() if value is not ...}

    def url(self, *, beside: Mapping[str, Any] | None = None, **parameters: str) -> str:
        """The URL of a request that holds the parameters, and the client_id that always stands beside an object."""
        query = {"client_id": self.party.client_id, **(beside or {}), **parameters}
        return f"{self.world.issuer}/authorize?{urlencode(query, doseq=True)}"

    def send(self, raw_request_object: str, *, beside: Mapping[str, Any] | None = None) -> Reply:
        """Send an object from a browser in which nobody is logged in; the answer as it is."""
        url = self.url(beside=beside, request=raw_request_object)
        return send(self.world.url + url.removeprefix(self.world.issuer))


def unsigned(claims: bytes) -> str:
    """An object of `alg` none."""
    return f"{UNSIGNED_HEADER}.{encode_base64url(claims)}."
