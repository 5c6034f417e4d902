"""A whole verification, and how a verifier is set up. The forged tokens are in test_forged_tokens.py."""

import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from app.specs.protocol_error import InsufficientScope, InvalidToken
from app.specs.rfc7515_jose import encode_base64url
from app.verifier import AccessTokenVerifier
from tests.verifier.conftest import MakeVerifier
from tests.verifier.issuer import API, START_S, MovableClock, SigningKey, make_claims, sign_es256

ISSUER = "https://login.example.com"
NOW_S = int(START_S)


@pytest.fixture
def verifier(key: SigningKey, make_verifier: MakeVerifier) -> AccessTokenVerifier:
    return make_verifier(ISSUER, keys=[key.public_jwk])


def with_claims(**changes: Any) -> Callable[[SigningKey], str]:
    return lambda key: key.sign(make_claims(ISSUER, **changes))


def without_kid(key: SigningKey) -> str:
    parts = ({"alg": "ES256", "typ": "at+jwt"}, make_claims(ISSUER))
    signing_input = ".".join(encode_base64url(json.dumps(part).encode()) for part in parts)
    return f"{signing_input}.{sign_es256(key.key, signing_input)}"


def test_a_token_without_kid_is_tried_with_every_key_that_fits(make_verifier: MakeVerifier, key: SigningKey) -> None:
    strangers = [SigningKey(), SigningKey("RS256")]
    verifier = make_verifier(ISSUER, keys=[*(stranger.public_jwk for stranger in strangers), key.public_jwk])
    assert verifier.verify(without_kid(key)).subject == "alice"


def test_two_keys_of_one_kid_are_both_tried(make_verifier: MakeVerifier, key: SigningKey) -> None:
    twin = {**SigningKey().public_jwk, "kid": key.kid}
    assert make_verifier(ISSUER, keys=[twin, key.public_jwk]).verify(with_claims()(key)).subject == "alice"


@pytest.mark.parametrize("alg", ["ES256", "RS256", "PS256"])
def test_every_algorithm_of_ours_is_verified_and_can_be_left_out(alg: str, make_verifier: MakeVerifier) -> None:
    key = SigningKey(alg)
    token = key.sign(make_claims(ISSUER))
    assert make_verifier(ISSUER, keys=[key.public_jwk]).verify(token).subject == "alice"
    others = {"ES256", "RS256", "PS256"} - {alg}
    with pytest.raises(InvalidToken, match="alg is not accepted"):
        make_verifier(ISSUER, keys=[key.public_jwk], algorithms=others).verify(token)


def test_one_issuers_keys_never_verify_anothers_tokens(make_verifier: MakeVerifier, key: SigningKey) -> None:
    ours, theirs = SigningKey(), key
    verifier = make_verifier(ISSUER, keys=[ours.public_jwk])
    with pytest.raises(InvalidToken, match="no key of the issuer"):
        verifier.verify(theirs.sign(make_claims(ISSUER)))


def test_a_token_lives_until_its_exp_by_the_injected_clock(
    verifier: AccessTokenVerifier, key: SigningKey, clock: MovableClock
) -> None:
    token = key.sign(make_claims(ISSUER))
    clock.advance(309)
    assert verifier.verify(token).expires_at_s == NOW_S + 300
    clock.advance(1)
    with pytest.raises(InvalidToken, match="has expired"):
        verifier.verify(token)


@pytest.mark.parametrize("required", ["", (), "photos.read", ("photos.read",), {"photos.read", "photos.write"}])
def test_the_scopes_that_are_asked_for_must_all_be_there(
    required: Any, verifier: AccessTokenVerifier, key: SigningKey
) -> None:
    token = key.sign(make_claims(ISSUER, scope="photos.read photos.write"))
    assert verifier.verify(token, scope=required).subject == "alice"


@pytest.mark.parametrize("granted", ["photos.read", "photos.readwrite photos", "PHOTOS.WRITE", "photos.write2", ""])
def test_a_missing_scope_is_insufficient_scope(granted: str, verifier: AccessTokenVerifier, key: SigningKey) -> None:
    token = key.sign(make_claims(ISSUER, scope=granted))
    with pytest.raises(InsufficientScope) as refusal:
        verifier.verify(token, scope="photos.write")
    assert refusal.value.description == "the token lacks the scope photos.write"


def test_an_expired_token_is_invalid_and_not_short_of_scope(
    verifier: AccessTokenVerifier, key: SigningKey, clock: MovableClock
) -> None:
    token = key.sign(make_claims(ISSUER))
    clock.advance(3600)
    with pytest.raises(InvalidToken):
        verifier.verify(token, scope="photos.write")


def test_pyjwt_accepts_the_token_that_passes_here(verifier: AccessTokenVerifier, key: SigningKey) -> None:
    token = key.sign(make_claims(ISSUER))
    decoded = jwt.decode(
        token,
        jwt.PyJWK(key.public_jwk),
        algorithms=["ES256"],
        audience=API,
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert decoded == verifier.verify(token).claims


@pytest.mark.parametrize(
    "options",
    [
        {"audience": ""},
        {"audience": ()},
        {"audience": ("https://api.example.com", "")},
        {"algorithms": ()},
        {"algorithms": ("none",)},
        {"algorithms": ("HS256",)},
        {"issuer": "http://login.example.com"},
        {"issuer": "ftp://login.example.com"},
        {"issuer": "https://user:password@login.example.com"},
        {"issuer": "https://login.example.com/#x"},
        {"issuer": "https://login.example.com/ x"},
        {"issuer": "https://login.example.com\n"},
        {"issuer": "https://"},
        {"issuer": "login.example.com"},
        {"issuer": "https://login.example.com:0"},
        {"issuer": "http://127.0.0.1.evil.example"},
        {"jwks_uri": "http://login.example.com/keys"},
        {"jwks_uri": "https://login.example.com/keys", "keys": []},
        {"keys": []},
        {"keys": {"keys": [{"kty": "oct", "k": "AAAA"}]}},
        {"keys": {}},
    ],
    ids=str,
)
def test_a_configuration_that_could_not_work_or_is_not_safe_stops_the_start(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        AccessTokenVerifier(**{"issuer": ISSUER, "audience": API, **options})


@pytest.mark.parametrize(
    "issuer", ["http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost", "http://127.0.0.2"]
)
def test_plain_http_is_for_loopback(issuer: str) -> None:
    assert AccessTokenVerifier(issuer=issuer, audience=API).issuer == issuer
