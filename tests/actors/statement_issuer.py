"""Whoever vouches for applications by software statements (RFC 7591 2.3): two whom the operator trusts."""

import json
from typing import Any

from app.specs.rfc7515_jose import sign_jws
from app.specs.rfc7517_jwk import generate_private_jwk, import_private_jwk, public_members
from tests.server import free_port

ISSUER = "https://trust.example"
ISSUER_ELSEWHERE = "https://elsewhere.example"
"""Its keys are at `KEYS_URI`, where somebody must serve them."""
KEYS_PORT = free_port()
KEYS_URI = f"https://127.0.0.1:{KEYS_PORT}/jwks"
PRIVATE_JWK = generate_private_jwk("ES256")
PUBLIC_JWKS = {"keys": [public_members(PRIVATE_JWK)]}


def statement_issuers_setting() -> str:
    """What the operator configures."""
    return json.dumps([{"issuer": ISSUER, "jwks": PUBLIC_JWKS}, {"issuer": ISSUER_ELSEWHERE, "jwks_uri": KEYS_URI}])


def make_statement(*, issuer: str = ISSUER, key: dict[str, str] | None = None, **claims: Any) -> str:
    """A statement; a claim of None is left out."""
    everything = {"iss": issuer, **claims}
    payload = json.dumps({name: value for name, value in everything.items() if value is not None}).encode()
    return sign_jws({"typ": "JWT"}, payload, import_private_jwk(key or PRIVATE_JWK, is_our_own=True), "ES256")
