"""Client assertions: what they say, and the MAC of one that a secret made."""

import json
from typing import Any

import pytest

from app.specs.protocol_error import InvalidClient
from app.specs.rfc4648_base64url import encode_base64url
from app.specs.rfc7523_client_assertion import (
    MAX_ASSERTION_BYTES,
    ClientAssertion,
    check_claims,
    is_mac_valid,
    parse_unverified_assertion,
)
from tests.actors.asserting import sign_with_secret
from tests.actors.signing_key import SigningKey
from tests.patience import cpu_seconds

NOW_S = 1_800_000_000.0
ISSUER = "https://as.example"
CLAIMS = {"iss": "client", "sub": "client", "aud": ISSUER, "jti": "j", "exp": NOW_S + 60}
KEY = SigningKey()


def check(**changes: Any) -> ClientAssertion:
    return check_claims({**CLAIMS, **changes}, audiences=[ISSUER], may_be_listed=False, now_s=NOW_S)


def test_a_good_assertion_is_identified_by_client_and_jti() -> None:
    assertion = check()
    assert (assertion.client_id, assertion.jti, assertion.expires_at_s) == ("client", "j", NOW_S + 60)
    same = check(exp=NOW_S + 200)
    others = [
        check(jti="k"),
        ClientAssertion(client_id="clien", jti="tj", expires_at_s=0),
        ClientAssertion(client_id="other", jti="j", expires_at_s=0),
    ]
    assert same.replay_key == assertion.replay_key
    assert len({assertion.replay_key, *(other.replay_key for other in others)}) == 4


def test_a_refusal_says_nothing_in_public_and_the_difference_to_the_operator() -> None:
    with pytest.raises(InvalidClient) as refused:
        check(aud="https://as.example/token")
    assert refused.value.description == "client authentication failed"
    (difference,) = refused.value.differences
    assert (difference.what, difference.expected, difference.received) == (
        "aud",
        ISSUER,
        "https://as.example/token",
    )


@pytest.mark.parametrize("exp", [NOW_S, NOW_S - 1, NOW_S + 311, 10**30, -1])
def test_an_assertion_expires_soon_and_not_before_it_came(exp: float) -> None:
    with pytest.raises(InvalidClient):
        check(exp=exp)


@pytest.mark.requirement("OpenID Connect Core 1.0", "10.1", "the key is the octets of the UTF-8 client_secret")
def test_the_secret_that_made_the_mac_is_known_by_it() -> None:
    secret = "S" * 43
    assertion = parse_unverified_assertion(sign_with_secret(secret, json.dumps(CLAIMS).encode()))
    assert assertion.method == "client_secret_jwt"
    assert is_mac_valid(assertion, secret)
    assert not is_mac_valid(assertion, secret + "S")


def test_a_signature_is_never_taken_for_a_mac() -> None:
    assertion = parse_unverified_assertion(KEY.sign(dict(CLAIMS)))
    assert assertion.method == "private_key_jwt"
    assert not is_mac_valid(assertion, "S" * 43)


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "A" * (MAX_ASSERTION_BYTES + 1), "{}", "é.é.é"])
def test_what_could_not_be_an_assertion_is_refused(text: str) -> None:
    with pytest.raises(InvalidClient):
        parse_unverified_assertion(text)


@pytest.mark.parametrize(
    "junk",
    [
        "A" * MAX_ASSERTION_BYTES,
        "." * MAX_ASSERTION_BYTES,
        "e30." * (MAX_ASSERTION_BYTES // 4),
        "e30." + "e30" * 5000,
        encode_base64url(b'{"alg":' + b"[" * 6000) + ".e30.AAAA",
        "eyJhbGciOiJFUzI1NiJ9." + encode_base64url(b'{"iss":' + b"[" * 9000 + b"]" * 1000) + ".AAAA",
        "eyJhbGciOiJFUzI1NiJ9." + encode_base64url(b'{"exp":' + b"9" * 9000 + b"}") + ".AAAA",
    ],
    ids=["one letter", "dots", "parts", "payload", "nested header", "nested payload", "a long number"],
)
def test_60_junk_of_every_form_is_refused_fast(junk: str) -> None:
    def refuse() -> None:
        with pytest.raises(InvalidClient):
            parse_unverified_assertion(junk)

    assert cpu_seconds(refuse) < 0.02
