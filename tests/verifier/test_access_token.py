"""A whole verification: forged tokens, each refused for its own reason, one field away from one that passes."""

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from app.specs.protocol_error import InsufficientScope, InvalidToken
from app.specs.rfc7515_jose import encode_base64url
from app.verifier import AccessTokenVerifier
from tests.verifier.conftest import MakeVerifier
from tests.verifier.issuer import API, START_S, MovableClock, SigningKey, make_claims

ISSUER = "https://login.example.com"
NOW_S = int(START_S)


@pytest.fixture
def verifier(key: SigningKey, make_verifier: MakeVerifier) -> AccessTokenVerifier:
    return make_verifier(ISSUER, keys=[key.public_jwk])


def sign_raw(key: SigningKey, raw_header: bytes, raw_payload: bytes) -> str:
    """An ES256 signature that holds, over a header and a payload that sign_jws would not write."""
    signing_input = f"{encode_base64url(raw_header)}.{encode_base64url(raw_payload)}"
    r, s = decode_dss_signature(key.key.native.sign(signing_input.encode(), ec.ECDSA(SHA256())))
    return f"{signing_input}.{encode_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def with_header(**members: Any) -> Callable[[SigningKey], str]:
    def forge(key: SigningKey) -> str:
        header = {"alg": "ES256", "kid": key.kid, "typ": "at+jwt", **members}
        kept = {name: value for name, value in header.items() if value is not ...}
        return sign_raw(key, json.dumps(kept).encode(), json.dumps(make_claims(ISSUER)).encode())

    return forge


def with_claims(**changes: Any) -> Callable[[SigningKey], str]:
    return lambda key: key.sign(make_claims(ISSUER, **changes))


def with_payload(payload: bytes) -> Callable[[SigningKey], str]:
    def forge(key: SigningKey) -> str:
        return sign_raw(key, json.dumps({"alg": "ES256", "kid": key.kid, "typ": "at+jwt"}).encode(), payload)

    return forge


def edited(edit: Callable[[str, str, str], str]) -> Callable[[SigningKey], str]:
    return lambda key: edit(*key.sign(make_claims(ISSUER)).split("."))


def other_payload(header: str, _payload: str, signature: str) -> str:
    better = make_claims(ISSUER, scope="photos.read photos.write")
    return f"{header}.{encode_base64url(json.dumps(better).encode())}.{signature}"


def signed_with_the_public_key_as_a_secret(key: SigningKey) -> str:
    header = {"alg": "HS256", "kid": key.kid, "typ": "at+jwt"}
    signing_input = ".".join(encode_base64url(json.dumps(part).encode()) for part in (header, make_claims(ISSUER)))
    mac = hmac.new(json.dumps(key.public_jwk).encode(), signing_input.encode(), hashlib.sha256)
    return f"{signing_input}.{encode_base64url(mac.digest())}"


def by_a_stranger(*, kid: str | None = None, **header: Any) -> Callable[[SigningKey], str]:
    """A stranger's signature; `kid` "ours" claims to be our key."""

    def forge(key: SigningKey) -> str:
        stranger = SigningKey()
        members = {"alg": "ES256", "kid": key.kid if kid == "ours" else kid, "typ": "at+jwt", **header}
        if "jwk" in header:
            members["jwk"] = stranger.public_jwk
        kept = {name: value for name, value in members.items() if value is not None}
        return sign_raw(stranger, json.dumps(kept).encode(), json.dumps(make_claims(ISSUER)).encode())

    return forge


def unsigned(key: SigningKey) -> str:
    return with_header(alg="none")(key).rpartition(".")[0] + "."


CANONICAL = "read in one way only"
FORGERIES: dict[str, tuple[Callable[[SigningKey], str], str]] = {
    # Form
    "nothing": (edited(lambda *_: ""), "compact form"),
    "two parts": (edited(lambda h, p, _: f"{h}.{p}"), "compact form"),
    "five parts, as if encrypted": (edited(lambda h, p, s: f"{h}.{p}.{s}.{p}.{s}"), "encrypted"),
    "four parts": (edited(lambda h, p, s: f"{h}.{p}.{s}.{s}"), "compact form"),
    "too long": (with_claims(filler="x" * 16384), "too long"),
    "padding": (edited(lambda h, p, s: f"{h}.{p}.{s}=="), "not base64url"),
    "a line break": (edited(lambda h, p, s: f"{h}.{p}.{s}\n"), "canonical base64url"),
    "the standard alphabet": (edited(lambda h, p, s: f"{h}.{p}.+{s[1:]}"), "not base64url"),
    "not ASCII": (edited(lambda h, p, s: f"{h}.{p}.{s}\u00e9"), "compact form"),
    # Header
    "alg none": (with_header(alg="none"), "alg is not accepted"),
    "alg none and no signature": (
        lambda key: with_header(alg="none")(key).rpartition(".")[0] + ".",
        "alg is not accepted",
    ),
    "alg nOnE": (with_header(alg="nOnE"), "alg is not accepted"),
    "no alg": (with_header(alg=...), "names no alg"),
    "alg HS256 over the public key": (signed_with_the_public_key_as_a_secret, "alg is not accepted"),
    "alg of another key type": (with_header(alg="RS256"), "alg does not fit the key"),
    "typ of an ID token": (with_header(typ="JWT"), r"typ is not at\+jwt"),
    "no typ": (with_header(typ=...), r"typ is not at\+jwt"),
    "typ of a logout token": (with_header(typ="logout+jwt"), r"typ is not at\+jwt"),
    "typ of a DPoP proof": (with_header(typ="dpop+jwt"), r"typ is not at\+jwt"),
    "crit": (with_header(crit=["exp"]), r"not supported \(crit\)"),
    "b64": (with_header(b64=False), r"not supported \(b64\)"),
    "zip": (with_header(zip="DEF"), r"not supported \(zip\)"),
    "a header member twice": (
        lambda key: sign_raw(key, b'{"alg":"ES256","typ":"at+jwt","typ":"at+jwt"}', b"{}"),
        CANONICAL,
    ),
    "kid as a number": (with_header(kid=1), "kid is not a text"),
    # Key
    "a key in the header": (by_a_stranger(jwk=True), r"own key \(jwk\)"),
    "a key set in the header": (by_a_stranger(jku="https://evil.example/keys"), r"own key \(jku\)"),
    "a certificate in the header": (by_a_stranger(x5c=["MIIB"]), r"own key \(x5c\)"),
    "a certificate's address": (by_a_stranger(x5u="https://evil.example/c"), r"own key \(x5u\)"),
    "a stranger under our kid": (by_a_stranger(kid="ours"), "the signature does not verify"),
    "a stranger without kid": (by_a_stranger(), "no key of the issuer"),
    "a stranger under its own kid": (by_a_stranger(kid="mine"), "no key of the issuer"),
    "kid as a path": (by_a_stranger(kid="../../dev/null"), "no key of the issuer"),
    "kid as SQL": (by_a_stranger(kid="' OR 1=1 --"), "no key of the issuer"),
    # Signature
    "no signature": (edited(lambda h, p, _: f"{h}.{p}."), "the signature does not verify"),
    "another payload": (edited(other_payload), "the signature does not verify"),
    "a signature of zeros": (edited(lambda h, p, _: f"{h}.{p}.{'A' * 86}"), "the signature does not verify"),
    "another token's signature": (
        lambda key: (
            key.sign(make_claims(ISSUER)).rpartition(".")[0]
            + "."
            + key.sign(make_claims(ISSUER, jti="id-2")).rpartition(".")[2]
        ),
        "the signature does not verify",
    ),
    # Payload
    "an empty payload": (with_payload(b""), CANONICAL),
    "an array": (with_payload(b"[]"), CANONICAL),
    "no JSON": (with_payload(b"hello"), CANONICAL),
    "a claim twice": (
        with_payload(json.dumps(make_claims(ISSUER))[:-1].encode() + b',"scope":"photos.write"}'),
        CANONICAL,
    ),
    "NaN": (with_payload(b'{"exp":NaN}'), CANONICAL),
    "an infinite exp": (with_payload(b'{"exp":1e999}'), CANONICAL),
    "deep nesting": (with_payload(b'{"a":' + b"[" * 4000 + b"]" * 4000 + b"}"), CANONICAL),
    # Claims
    "another issuer": (with_claims(iss="https://evil.example"), "from another issuer"),
    "the issuer with a slash": (with_claims(iss=ISSUER + "/"), "from another issuer"),
    "another audience": (with_claims(aud="https://other.example"), "for another audience"),
    "the client as audience, like an ID token": (with_claims(aud="printer"), "for another audience"),
    "no audience": (with_claims(aud=...), "names no audience"),
    "expired": (with_claims(exp=NOW_S - 10), "has expired"),
    "no exp": (with_claims(exp=...), "exp is missing"),
    "exp as a text": (with_claims(exp="2099-01-01"), "exp is missing or not a time"),
    "not yet": (with_claims(nbf=NOW_S + 60), "not valid yet"),
    "from the future": (with_claims(iat=NOW_S + 60), "issued in the future"),
    "no iat": (with_claims(iat=...), "iat is missing"),
    "no sub": (with_claims(sub=...), "sub is missing"),
    "no client_id": (with_claims(client_id=...), "client_id is missing"),
    "no jti": (with_claims(jti=...), "jti is missing"),
    "scope as a list": (with_claims(scope=["photos.read"]), "scope is not a text"),
    "bound to a key": (with_claims(cnf={"jkt": "x"}), "constrained by cnf"),
    "bound to networks": (with_claims(th_networks=["192.0.2.0/24"]), "constrained by th_networks"),
}


def test_the_token_that_the_forgeries_start_from_passes(verifier: AccessTokenVerifier, key: SigningKey) -> None:
    for genuine in (with_header(), with_claims(), edited(lambda h, p, s: f"{h}.{p}.{s}")):
        claims = verifier.verify(genuine(key), scope="photos.read")
        assert (claims.subject, claims.client_id, *claims.scope) == ("alice", "printer", "photos.read")


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_token_is_refused_for_its_own_reason(
    name: str, verifier: AccessTokenVerifier, key: SigningKey
) -> None:
    forge, reason = FORGERIES[name]
    with pytest.raises(InvalidToken, match=reason) as refusal:
        verifier.verify(forge(key))
    assert refusal.value.description.isascii()


def test_a_token_without_kid_is_tried_with_every_key_that_fits(make_verifier: MakeVerifier, key: SigningKey) -> None:
    strangers = [SigningKey(), SigningKey("RS256")]
    verifier = make_verifier(ISSUER, keys=[*(stranger.public_jwk for stranger in strangers), key.public_jwk])
    assert verifier.verify(with_header(kid=...)(key)).subject == "alice"


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
