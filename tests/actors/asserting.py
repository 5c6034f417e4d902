"""A program that authenticates itself by assertions (RFC 7523): with a key of its own, or with its secret."""

import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from app.services.manage_clients import RegisteredClient
from app.specs.rfc4648_base64url import encode_base64url
from app.specs.rfc7523_client_assertion import ASSERTION_TYPE
from tests.actors.http import Reply, send
from tests.actors.machine import Machine
from tests.actors.signing_key import SigningKey, jwk_set
from tests.world import World


class Asserting(Machine):
    """One registered client. `key` None: its secret makes its assertions."""

    def __init__(self, world: World, client: RegisteredClient, key: SigningKey | None) -> None:
        method = client.metadata["token_endpoint_auth_method"]
        super().__init__(client.client_id, client.client_secret, method=method, server_url=world.url)
        self.key = key
        self.issuer = world.issuer
        self._now: Callable[[], int] = world.clock

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims for now; a change of `...` takes one out."""
        now_s = self._now() // 1000
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.issuer,
            "jti": secrets.token_urlsafe(16),
            "iat": now_s,
            "exp": now_s + 60,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not ...}

    def assert_it(
        self, *, header: Mapping[str, Any] | None = None, payload: bytes | None = None, **changes: Any
    ) -> str:
        """A fresh assertion, with whatever a test changes about it."""
        raw = payload if payload is not None else json.dumps(self.claims(**changes)).encode()
        if self.key is not None:
            return self.key.sign(raw, header=dict(header or {}))
        return sign_with_secret(self.client_secret or "", raw, header=header)

    def post(self, path: str, *, headers: Mapping[str, str] | None = None, **form: Any) -> Reply:
        """One request with a fresh assertion, unless `form` brings one."""
        form = {"client_assertion": ..., "client_assertion_type": ASSERTION_TYPE, **form}
        if form["client_assertion"] is ...:
            form["client_assertion"] = self.assert_it()
        sent = {name: value for name, value in form.items() if value is not None}
        return send(f"{self.server_url}{path}", method="POST", headers=headers, form=sent)


def sign_with_secret(secret: str, payload: bytes, *, header: Mapping[str, Any] | None = None) -> str:
    """A compact JWS by HS256, whatever the header says about it."""
    members = {"alg": "HS256", "typ": "JWT", **(header or {})}
    kept = {name: member for name, member in members.items() if member is not ...}
    signed = f"{encode_base64url(json.dumps(kept).encode())}.{encode_base64url(payload)}"
    return f"{signed}.{encode_base64url(hmac.digest(secret.encode(), signed.encode(), 'sha256'))}"


def make_asserting(world: World, *, key: SigningKey | None = None, **metadata: Any) -> Asserting:
    """A new client that acts for itself, with a key of its own (inline unless told otherwise) or by its method."""
    api = world.operator.add_resource()
    method = metadata.get("token_endpoint_auth_method", "private_key_jwt")
    if method == "private_key_jwt":
        key = key or SigningKey()
        if "jwks_uri" not in metadata:
            metadata.setdefault("jwks", jwk_set(key))
    policy = {"resources": [api], **metadata.pop("policy", {})}
    client = world.operator.add_client(
        **{
            "grant_types": ["client_credentials"],
            "redirect_uris": None,
            "token_endpoint_auth_method": method,
            "policy": policy,
            **metadata,
        }
    )
    return Asserting(world, client, key)
