"""Tokens of issuers that are not Tokenhouse: Authlib's own RFC 9068 generator, and PyJWT with other keys."""

import json
import time
from typing import Any

import jwt
import pytest
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import ECKey, KeySet, RSAKey

from app.specs.protocol_error import InvalidToken
from app.verifier import AccessTokenVerifier
from tests.verifier.conftest import MakeVerifier
from tests.verifier.issuer import API, IssuerServer, MovableClock, answer_json, make_claims


class Photographer:
    def get_user_id(self) -> str:
        return "auth0|507f191e810c19729de860ea"


class Printer:
    def get_client_id(self) -> str:
        return "printer"

    def get_allowed_scope(self, scope: str) -> str:
        return scope


class ForeignGenerator(JWTBearerTokenGenerator):  # type: ignore[misc]
    """As Authlib's documentation shows it: the methods that it leaves to the application."""

    def __init__(self, issuer: str, key: RSAKey | ECKey, alg: str) -> None:
        super().__init__(issuer, alg=alg)
        self.key = key

    def get_jwks(self) -> dict[str, Any]:
        return dict(self.key.as_dict(private=True))

    def get_audiences(self, *_: object) -> list[str]:
        return [API, f"{self.issuer}userinfo"]

    def get_auth_time(self, _: object) -> int:
        return int(time.time()) - 60


@pytest.mark.requirement("RFC 9068", "4", "a resource server validates any issuer's JWT access tokens")
@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True), "RS256"),
        (ECKey.generate_key("P-256", auto_kid=True), "ES256"),
        (RSAKey.generate_key(2048), "RS256"),
    ],
    ids=["RS256", "ES256", "RS256 without kid"],
)
def test_tokens_of_authlibs_generator_verify(key: RSAKey | ECKey, alg: str) -> None:
    # An issuer with a trailing slash and only the OpenID Connect metadata, as widespread services have it.
    with IssuerServer(path="/", metadata_path="/.well-known/openid-configuration") as server:
        server.answers["/keys"] = answer_json(KeySet([key]).as_dict(private=False))
        generate = ForeignGenerator(server.issuer, key, alg)
        token = generate("authorization_code", Printer(), Photographer(), "photos.read openid")["access_token"]

        claims = AccessTokenVerifier(issuer=server.issuer, audience=API).verify(token, scope="photos.read")

    assert (claims.subject, claims.client_id) == ("auth0|507f191e810c19729de860ea", "printer")
    assert claims.audience == (API, f"{server.issuer}userinfo")
    assert claims.auth_time_s is not None


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt"])
def test_tokens_signed_with_ed25519_verify(
    alg: str, typ: str, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    key = Ed25519PrivateKey.generate()
    jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key()))
    token = jwt.encode(
        make_claims("https://other.example", now_s=clock.now_s), key, algorithm="EdDSA", headers={"typ": typ}
    )
    if alg == "Ed25519":
        header, payload, _ = token.split(".")
        signing_input = f"{_rename_alg(header)}.{payload}".encode()
        token = f"{signing_input.decode()}.{jwt.utils.base64url_encode(key.sign(signing_input)).decode()}"
    claims = make_verifier("https://other.example", keys=[{**jwk, "alg": alg}]).verify(token)
    assert claims.subject == "alice"


def test_an_id_token_of_the_same_issuer_and_key_is_no_access_token() -> None:
    key = RSAKey.generate_key(2048, auto_kid=True)
    now_s = int(time.time())
    id_token = {"iss": "https://other.example", "sub": "alice", "aud": API, "iat": now_s, "exp": now_s + 300}
    token = jwt.encode(id_token, key.as_pem(private=True), algorithm="RS256", headers={"kid": key.kid})
    verifier = AccessTokenVerifier(
        issuer="https://other.example", audience=API, keys=KeySet([key]).as_dict(private=False)
    )
    with pytest.raises(InvalidToken, match=r"typ is not at\+jwt"):
        verifier.verify(token)


def test_two_issuers_with_equal_key_ids_stay_apart(make_verifier: MakeVerifier, clock: MovableClock) -> None:
    ours, theirs = (RSAKey.generate_key(2048, {"kid": "1"}) for _ in range(2))
    verifier = make_verifier("https://ours.example", keys=KeySet([ours]).as_dict(private=False))
    token = jwt.encode(
        make_claims("https://ours.example", now_s=clock.now_s),
        theirs.as_pem(private=True),
        algorithm="RS256",
        headers={"typ": "at+jwt", "kid": "1"},
    )
    with pytest.raises(InvalidToken, match="the signature does not verify"):
        verifier.verify(token)


def _rename_alg(header: str) -> str:
    members = {**json.loads(jwt.utils.base64url_decode(header)), "alg": "Ed25519"}
    return jwt.utils.base64url_encode(json.dumps(members).encode()).decode()
