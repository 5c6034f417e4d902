import hashlib
import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey, RSAKey

from app.specs.protocol_error import InvalidDpopProof, InvalidToken
from app.specs.rfc4648_base64url import encode_base64url
from app.specs.rfc7515_jose import thumbprint
from app.specs.rfc9449_dpop import (
    MAX_AGE_S,
    MAX_AHEAD_S,
    NONCE_PERIOD_S,
    DpopProof,
    check_binding,
    check_scheme,
    confirmation_claim,
    is_jkt,
    is_nonce_valid,
    make_nonce,
    normalise_htu,
    parse_confirmation_claim,
    verify_proof,
)

NOW_S = 1_800_000_000
URL = "https://server.example.com/token"
KEY = ECKey.generate_key("P-256")
PUBLIC_JWK = KEY.as_dict(private=False)
JKT = thumbprint(PUBLIC_JWK)

# RFC 9449, figures 2 and 12.
RFC_JWK = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo"
    "RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
)
RFC_TOKEN_REQUEST_PROOF = (
    RFC_JWK + ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2"
    "VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
RFC_RESOURCE_PROOF = (
    RFC_JWK + ".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm"
    "90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9"
    ".2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
RFC_ACCESS_TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
RFC_JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def make_proof(*, key: ECKey | RSAKey | OKPKey = KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """A good proof, changed; a value of `...` takes the member out."""
    members = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False), **(header or {})}
    claims = {"jti": "jti-1", "htm": "POST", "htu": URL, "iat": NOW_S, **changes}
    kept_header, kept_claims = (
        {name: value for name, value in part.items() if value is not ...} for part in (members, claims)
    )
    alg = str(kept_header["alg"])
    # PyJWT leaves an empty typ out.
    return jwt.api_jws.encode(
        json.dumps(kept_claims).encode(), key.private_key, algorithm=alg, headers={"typ": "", **kept_header}
    )


def verify(proof: str | None, **options: Any) -> DpopProof:
    return verify_proof(proof, **{"method": "POST", "url": URL, "now_s": NOW_S, **options})


@pytest.mark.requirement("RFC 9449", "4.2", "figure 2: a DPoP proof for a token request")
def test_the_specifications_token_request_proof_verifies() -> None:
    proof = verify(RFC_TOKEN_REQUEST_PROOF, now_s=1562262616)
    assert (proof.jkt, proof.jti, proof.htu) == (RFC_JKT, "-BwC3ESc6acc2lTc", URL)
    assert (proof.iat_s, proof.nonce) == (1562262616, None)


@pytest.mark.requirement("RFC 9449", "7.1", "figure 12: a DPoP proof for a protected resource")
def test_the_specifications_resource_proof_verifies_with_its_access_token_only() -> None:
    where = {"method": "GET", "url": "https://resource.example.org/protectedresource", "now_s": 1562262618}
    assert verify_proof(RFC_RESOURCE_PROOF, **where, access_token=RFC_ACCESS_TOKEN).jkt == RFC_JKT
    with pytest.raises(InvalidDpopProof, match=r"not for this access token \(ath\)"):
        verify_proof(RFC_RESOURCE_PROOF, **where, access_token=RFC_ACCESS_TOKEN + "x")


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (KEY, "ES256"),
        (RSAKey.generate_key(2048), "RS256"),
        (RSAKey.generate_key(2048), "PS256"),
        (OKPKey.generate_key("Ed25519"), "EdDSA"),
    ],
    ids=["ES256", "RS256", "PS256", "EdDSA"],
)
def test_every_asymmetric_algorithm_proves_possession(key: ECKey | RSAKey | OKPKey, alg: str) -> None:
    proof = verify(make_proof(key=key, header={"alg": alg}))
    assert proof.jkt == key.thumbprint()


def altered_signature() -> str:
    signing_input, _, _ = make_proof().rpartition(".")
    return signing_input + "." + make_proof(jti="other").rpartition(".")[2]


def unsigned(alg: str) -> str:
    header = encode_base64url(json.dumps({"typ": "dpop+jwt", "alg": alg, "jwk": PUBLIC_JWK}).encode())
    return f"{header}.{make_proof().split('.')[1]}.AAAA"


REFUSED: dict[str, tuple[str | None, str]] = {
    "none": (None, "a DPoP proof is needed"),
    "an empty header": ("", "a DPoP proof is needed"),
    "two headers": (f"{make_proof()}, {make_proof(jti='2')}", "more than one DPoP header"),
    "no JWS": ("abc", "compact form"),
    "too long": (make_proof(filler="x" * 9000), "too long"),
    "alg none": (unsigned("none"), "alg is not accepted"),
    "alg HS256": (unsigned("HS256"), "alg is not accepted"),
    "another typ": (make_proof(header={"typ": "JWT"}), r"typ is not dpop\+jwt"),
    "no typ": (make_proof(header={"typ": ...}), r"typ is not dpop\+jwt"),
    "no jwk": (make_proof(header={"jwk": ...}), "header has no jwk"),
    "jwk as a text": (make_proof(header={"jwk": "x"}), "header has no jwk"),
    "a private key in jwk": (make_proof(header={"jwk": KEY.as_dict(private=True)}), "private or symmetric"),
    "a symmetric key in jwk": (make_proof(header={"jwk": {"kty": "oct", "k": "AAAA"}}), "private or symmetric"),
    "another key in jwk": (
        make_proof(header={"jwk": ECKey.generate_key("P-256").as_dict(private=False)}),
        "signature does not verify",
    ),
    "a certificate too": (make_proof(header={"x5c": ["MIIB"]}), r"own key \(x5c\)"),
    "a key set's address too": (make_proof(header={"jku": "https://evil.example/"}), r"own key \(jku\)"),
    "crit": (make_proof(header={"crit": ["exp"]}), "not supported"),
    "an altered signature": (altered_signature(), "signature does not verify"),
    "another method": (make_proof(htm="GET"), r"another method \(htm\)"),
    "the method in small letters": (make_proof(htm="post"), r"another method \(htm\)"),
    "no method": (make_proof(htm=...), r"another method \(htm\)"),
    "http for https": (make_proof(htu="http://server.example.com/token"), r"another address \(htu\)"),
    "another host": (make_proof(htu="https://server.example.org/token"), r"another address \(htu\)"),
    "another port": (make_proof(htu="https://server.example.com:8443/token"), r"another address \(htu\)"),
    "another path": (make_proof(htu="https://server.example.com/token/"), r"another address \(htu\)"),
    "a path in another case": (make_proof(htu="https://server.example.com/Token"), r"another address \(htu\)"),
    "a slash that is encoded": (make_proof(htu="https://server.example.com/%2Ftoken"), r"another address \(htu\)"),
    "the path alone": (make_proof(htu="/token"), "htu is not a URL"),
    "a user in htu": (make_proof(htu="https://a@server.example.com/token"), "htu is not a URL"),
    "htu as a number": (make_proof(htu=1), "has no htu"),
    "no htu": (make_proof(htu=...), "has no htu"),
    "no iat": (make_proof(iat=...), "iat is missing"),
    "iat as a text": (make_proof(iat=str(NOW_S)), "iat is missing or not a time"),
    "iat as a truth": (make_proof(iat=True), "iat is missing or not a time"),
    "too old": (make_proof(iat=NOW_S - MAX_AGE_S - 1), "too old"),
    "from the future": (make_proof(iat=NOW_S + MAX_AHEAD_S + 1), "from the future"),
    "no jti": (make_proof(jti=...), "jti is not a text"),
    "an empty jti": (make_proof(jti=""), "jti is not a text"),
    "jti as a number": (make_proof(jti=7), "jti is not a text"),
    "a jti without end": (make_proof(jti="x" * 257), "jti is not a text of 1 to 256"),
    "nonce as a number": (make_proof(nonce=7), "nonce is not a text"),
}


@pytest.mark.requirement("RFC 9449", "4.3", "checking DPoP proofs")
@pytest.mark.parametrize("name", REFUSED)
def test_a_proof_one_step_away_is_refused_for_its_own_reason(name: str) -> None:
    proof, reason = REFUSED[name]
    with pytest.raises(InvalidDpopProof, match=reason) as refusal:
        verify(proof)
    assert refusal.value.description.isascii()
    assert (refusal.value.error, refusal.value.status) == ("invalid_dpop_proof", 400)


def test_a_claim_twice_is_refused() -> None:
    key = ECKey.generate_key("P-256")
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
    proof = jwt.api_jws.encode(b'{"htm":"POST","htm":"POST"}', key.private_key, algorithm="ES256", headers=header)
    with pytest.raises(InvalidDpopProof, match="read in one way only"):
        verify(proof)


@pytest.mark.parametrize("iat", [NOW_S - MAX_AGE_S, NOW_S + MAX_AHEAD_S, NOW_S + 0.5])
def test_the_window_is_closed_at_both_ends(iat: float) -> None:
    assert verify(make_proof(iat=iat)).iat_s == int(iat)


@pytest.mark.requirement(
    "RFC 9449", "4.3", "ignoring any query and fragment parts; syntax- and scheme-based normalization"
)
@pytest.mark.parametrize(
    "htu",
    [
        "https://server.example.com/token?a=b",
        "https://server.example.com/token#part",
        "https://server.example.com/token?a=b#?c",
        "https://server.example.com:443/token",
        "HTTPS://Server.Example.COM/token",
        "https://server.example.com/%74oken",
        "https://server.example.com/a/../token",
        "https://server.example.com/./token",
    ],
)
def test_spellings_of_the_same_address_are_equal(htu: str) -> None:
    proof = verify(make_proof(htu=htu))
    assert proof.htu == URL
    assert proof.replay_key == verify(make_proof()).replay_key


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("http://a.example:80", "http://a.example/"),
        ("http://a.example:443", "http://a.example:443/"),
        ("https://[::1]:8443/x", "https://[::1]:8443/x"),
        ("https://a.example/%c3%a9%7e", "https://a.example/%C3%A9~"),
        ("https://a.example/a/b/..", "https://a.example/a/"),
        ("https://a.example/a/./b/.", "https://a.example/a/b/"),
        ("https://a.example/../..", "https://a.example/"),
        ("https://a.example//a//b", "https://a.example//a//b"),
    ],
)
def test_the_normal_form(url: str, normal: str) -> None:
    assert normalise_htu(url) == normal
    assert normalise_htu(normal) == normal


@given(st.text(alphabet="/.a%2eE", max_size=12))
def test_normalising_twice_changes_nothing(path: str) -> None:
    try:
        once = normalise_htu(f"https://a.example/{path}")
    except ValueError:
        return
    assert normalise_htu(once) == once


def test_the_replay_key_tells_key_id_and_address_apart() -> None:
    first = verify(make_proof())
    again = verify(make_proof(iat=NOW_S - 5))
    other_id = verify(make_proof(jti="jti-2"))
    other_address = verify(make_proof(htu=URL + "2"), url=URL + "2")
    other_key = verify(make_proof(key=ECKey.generate_key("P-256")))
    assert first.replay_key == again.replay_key
    assert len({proof.replay_key for proof in (first, other_id, other_address, other_key)}) == 4
    moved = DpopProof(jkt=first.jkt + "j", jti="ti-1", htu=first.htu, iat_s=0, nonce=None)
    assert moved.replay_key != first.replay_key


# ----- Nonces -----

NONCE_KEY = b"k" * 32
PERIOD_START_S = 15_000_000 * NONCE_PERIOD_S


@pytest.mark.requirement("RFC 9449", "8", "a nonce that the server chose and recognises")
def test_a_nonce_lives_through_its_period_and_the_next() -> None:
    nonce = make_nonce(NONCE_KEY, now_s=PERIOD_START_S)
    assert nonce == make_nonce(NONCE_KEY, now_s=PERIOD_START_S + NONCE_PERIOD_S - 1)
    for age_s in (0, NONCE_PERIOD_S, 2 * NONCE_PERIOD_S - 1):
        assert is_nonce_valid(NONCE_KEY, nonce, now_s=PERIOD_START_S + age_s)
    assert not is_nonce_valid(NONCE_KEY, nonce, now_s=PERIOD_START_S + 2 * NONCE_PERIOD_S)


def test_a_nonce_of_a_node_whose_clock_is_a_little_ahead_is_valid() -> None:
    nonce = make_nonce(NONCE_KEY, now_s=PERIOD_START_S)
    assert is_nonce_valid(NONCE_KEY, nonce, now_s=PERIOD_START_S - MAX_AHEAD_S)
    assert not is_nonce_valid(NONCE_KEY, nonce, now_s=PERIOD_START_S - MAX_AHEAD_S - 1)


@pytest.mark.parametrize("nonce", ["", "x", "é", make_nonce(b"other", now_s=NOW_S), make_nonce(NONCE_KEY, now_s=0)])
def test_a_nonce_of_somebody_else_is_not_valid(nonce: str) -> None:
    assert not is_nonce_valid(NONCE_KEY, nonce, now_s=NOW_S)


def test_a_proof_carries_its_nonce() -> None:
    assert verify(make_proof(nonce="n-1")).nonce == "n-1"


# ----- Binding -----


@pytest.mark.requirement("RFC 9449", "6.1", "the jkt confirmation member")
def test_a_token_is_bound_to_the_key_of_its_thumbprint() -> None:
    claims = {"cnf": confirmation_claim(JKT)}
    assert parse_confirmation_claim(claims) == JKT
    assert parse_confirmation_claim({}) is None
    proof = verify(make_proof())
    check_binding(proof, bound_jkt=JKT)
    with pytest.raises(InvalidToken, match="another key"):
        check_binding(proof, bound_jkt=RFC_JKT)


@pytest.mark.parametrize(
    "confirmation",
    [
        {"x5t#S256": RFC_JKT},
        {"jkt": RFC_JKT, "x5t#S256": RFC_JKT},
        {"jwk": PUBLIC_JWK},
        {"kid": "1"},
        {},
        {"jkt": 7},
        {"jkt": RFC_JKT[:-1]},
        {"jkt": RFC_JKT + "A"},
        {"jkt": "é" * 43},
        RFC_JKT,
        None,
        [],
    ],
)
def test_a_binding_that_is_not_enforced_is_refused(confirmation: Any) -> None:
    with pytest.raises(InvalidToken, match="cnf"):
        parse_confirmation_claim({"cnf": confirmation})


@pytest.mark.requirement("RFC 9449", "7.2", "a bound token is never a bearer token")
def test_the_scheme_must_fit_the_binding() -> None:
    check_scheme("DPoP", bound_jkt=JKT)
    check_scheme("Bearer", bound_jkt=None)
    with pytest.raises(InvalidToken, match="not as a bearer token"):
        check_scheme("Bearer", bound_jkt=JKT)
    with pytest.raises(InvalidToken, match="must come as a bearer token"):
        check_scheme("DPoP", bound_jkt=None)


def test_a_thumbprint_is_recognised() -> None:
    assert is_jkt(JKT)
    assert is_jkt(encode_base64url(hashlib.sha256(b"").digest()))
    for text in ("", JKT[:-1], JKT + "=", JKT[:-1] + "+", JKT[:-1] + "B", JKT + "\n", "\ud800" * 43):
        assert not is_jkt(text)
