"""pytest: the fixture `tokenhouse_issuer`, an issuer for the tests of an API. No server, no network, no waiting.

def test_photos_need_the_scope(tokenhouse_issuer):
    app = create_app(verifier=tokenhouse_issuer.verifier())
    token = tokenhouse_issuer.token(scope="photos.read")
    assert app.test_client().get("/photos", headers=tokenhouse_issuer.bearer(token)).status_code == 200
    tokenhouse_issuer.clock.advance(300 + 10)
    assert app.test_client().get("/photos", headers=tokenhouse_issuer.bearer(token)).status_code == 401

The tokens are real, signed with a key of the fixture's own, and the verifier is the real one: only where it takes keys
and status lists from, and its clock, are the fixture's. Comes with the wheel; nothing needs to be imported.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

import pytest

from ..specs.rfc7515_jose import (
    PrivateKey,
    encode_base64url,
    generate_private_jwk,
    import_private_jwk,
    public_members,
    sign_jws,
    thumbprint,
)
from ..specs.rfc9068_access_token import TYP, build_claims
from ..specs.rfc9449_dpop import TYP as DPOP_TYP
from ..specs.rfc9449_dpop import confirmation_claim
from ..specs.token_status_list import TYP as STATUS_LIST_TYP
from ..specs.token_status_list import build_status_list_claims, status_claim
from ..specs.tokenhouse_networks import CLAIM as NETWORKS_CLAIM
from .access_token import AccessTokenVerifier
from .status_lists import FetchedList

ISSUER: Final = "https://login.example.test"
AUDIENCE: Final = "https://api.example.test"

_STATUS_LIST_TTL_S: Final = 5
_MAX_TOKENS: Final = 2**16
_ALG: Final = "ES256"


class MovableClock:
    """Seconds since 1970, for the verifier's clock and for its ages. Begins at the real time and stands still."""

    def __init__(self) -> None:
        self.now_s = float(int(time.time()))

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Moves on. Tokens, proofs, keys and status lists grow older by it."""
        self.now_s += seconds


class DpopKey:
    """A client's key: tokens are bound to it, and it makes the proofs that they need (RFC 9449)."""

    def __init__(self, clock: MovableClock) -> None:
        jwk = generate_private_jwk(_ALG)
        self._clock = clock
        self._key = import_private_jwk(jwk, is_our_own=True)
        self._public_jwk = {name: jwk[name] for name in ("kty", "crv", "x", "y")}
        self.jkt = thumbprint(jwk)

    def proof(self, token: str, url: str, *, method: str = "GET", **claims: Any) -> str:
        """Returns a fresh proof for one request; further keywords replace its claims, None takes one out."""
        members = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url,
            "iat": int(self._clock()),
            "ath": encode_base64url(hashlib.sha256(token.encode()).digest()),
            **claims,
        }
        return _sign({"typ": DPOP_TYP, "jwk": self._public_jwk}, members, self._key)

    def headers(self, token: str, url: str, *, method: str = "GET") -> dict[str, str]:
        """Returns the headers of a request with this token and a fresh proof."""
        return {"Authorization": f"DPoP {token}", "DPoP": self.proof(token, url, method=method)}


class TokenhouseIssuer:
    """Signs access tokens with chosen claims, revokes them, and makes verifiers that trust it."""

    def __init__(self) -> None:
        self.issuer = ISSUER
        self.audience = AUDIENCE
        self.clock = MovableClock()
        jwk = generate_private_jwk(_ALG)
        self._key = import_private_jwk(jwk, is_our_own=True)
        self.jwks: dict[str, Any] = {"keys": [public_members(jwk)]}
        self._list_uri = f"{ISSUER}/status-lists/{secrets.token_urlsafe(9)}"
        self._indexes: dict[str, int] = {}
        self._statuses = bytearray(_MAX_TOKENS // 8)

    def token(
        self,
        *,
        scope: str = "",
        audience: str | None = None,
        subject: str = "alice",
        client_id: str = "test-client",
        expires_in_s: int = 300,
        networks: list[str] | None = None,
        dpop_key: DpopKey | None = None,
        **claims: Any,
    ) -> str:
        """Returns a signed access token. Further keywords are claims as on the wire; None takes one out."""
        now_s = int(self.clock())
        index = len(self._indexes)
        if index >= _MAX_TOKENS:
            raise RuntimeError(f"a test's issuer signs {_MAX_TOKENS} tokens at most")
        members = build_claims(
            issuer=self.issuer,
            subject=subject,
            audience=audience or self.audience,
            client_id=client_id,
            scope=scope,
            issued_at_s=now_s,
            expires_at_s=now_s + expires_in_s,
            jti=secrets.token_urlsafe(16),
            auth_time_s=now_s,
        )
        members["status"] = status_claim(self._list_uri, index)
        if networks is not None:
            members[NETWORKS_CLAIM] = networks
        if dpop_key is not None:
            members["cnf"] = confirmation_claim(dpop_key.jkt)
        token = _sign({"typ": TYP}, {**members, **claims}, self._key)
        self._indexes[token] = index
        return token

    def revoke(self, token: str) -> None:
        """Revokes a token of this issuer, and moves the clock on until every verifier has the new status list."""
        index = self._indexes[token]
        self._statuses[index >> 3] |= 1 << (index & 7)
        self.clock.advance(_STATUS_LIST_TTL_S + 1)

    def bearer(self, token: str) -> dict[str, str]:
        """Returns the headers of a request with this token."""
        return {"Authorization": f"Bearer {token}"}

    def dpop_key(self) -> DpopKey:
        """Returns a new key of a client."""
        return DpopKey(self.clock)

    def verifier(self, *, audience: str | None = None, **options: Any) -> AccessTokenVerifier:
        """Returns a verifier that trusts this issuer and reads its clock; `options` as for AccessTokenVerifier."""
        return AccessTokenVerifier(
            **{
                "issuer": self.issuer,
                "audience": audience or self.audience,
                "keys": self.jwks,
                "status_list_source": self,
                "background": False,
                "clock": self.clock,
                "monotonic": self.clock,
                **options,
            }
        )

    # ----- What the verifier asks for instead of fetching -----

    def fetch_list(self, uri: str, *, etag: str | None) -> FetchedList:  # noqa: ARG002 - the protocol's signature
        """Returns the status list as of now."""
        now_s = int(self.clock())
        claims = build_status_list_claims(
            uri=uri,
            issued_at_s=now_s,
            expires_at_s=now_s + 600,
            ttl_s=_STATUS_LIST_TTL_S,
            statuses=bytes(self._statuses),
        )
        return FetchedList(unverified_list=_sign({"typ": STATUS_LIST_TYP}, claims, self._key))

    def fetch_list_uris(self, aggregation_uri: str) -> tuple[str, ...]:  # noqa: ARG002 - the protocol's signature
        return (self._list_uri,)


@pytest.fixture
def tokenhouse_issuer() -> TokenhouseIssuer:
    """An issuer of access tokens without a server: `token`, `revoke`, `verifier`, `clock`, `dpop_key`."""
    return TokenhouseIssuer()


def _sign(header: Mapping[str, str | Mapping[str, str]], claims: Mapping[str, Any], key: PrivateKey) -> str:
    kept = {name: value for name, value in claims.items() if value is not None}
    return sign_jws(header, json.dumps(kept).encode(), key, _ALG)
