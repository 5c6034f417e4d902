"""One realistic access token and the keys for it, made by the product's own modules."""

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from app.specs.rfc7515_jose import (
    PrivateKey,
    generate_private_jwk,
    import_private_jwk,
    public_members,
    sign_jws,
)
from app.specs.rfc9068_access_token import TYP, build_claims

ISSUER = "https://auth.example.com"
AUDIENCE = "https://photos.example.com"
SCOPE = "photos:read photos:print"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedToken:
    access_token: str
    # Another one that differs in its `jti` alone.
    twin: str
    jwks: dict[str, Any]
    alg: str
    key: PrivateKey


def make_token(alg: str, **extra: Any) -> SignedToken:
    """A token of an hour's lifetime; its key set has four keys, as a server with active and standby keys publishes.

    `extra` are further claims.
    """
    signing_jwk = generate_private_jwk(alg)
    others = [generate_private_jwk(other) for other in ("ES256", "RS256", alg)]
    now_s = int(time.time())
    claims = build_claims(
        issuer=ISSUER,
        subject="u" + secrets.token_hex(13),
        audience=AUDIENCE,
        client_id="photo-printing-service",
        scope=SCOPE,
        issued_at_s=now_s,
        expires_at_s=now_s + 3600,
        jti=secrets.token_urlsafe(32),
        auth_time_s=now_s - 60,
        acr="urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
        amr=["pwd"],
        extra=extra,
    )
    key = import_private_jwk(signing_jwk, is_our_own=True)
    access_token, twin = (
        sign_jws({"typ": TYP}, json.dumps({**claims, "jti": jti}, separators=(",", ":")).encode(), key, alg)
        for jti in (claims["jti"], secrets.token_urlsafe(32))
    )
    published = [public_members(jwk) for jwk in (*others, signing_jwk)]
    return SignedToken(access_token=access_token, twin=twin, jwks={"keys": published}, alg=alg, key=key)
