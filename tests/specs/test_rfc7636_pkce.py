import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.specs.protocol_error import InvalidGrant, InvalidRequest
from app.specs.rfc7636_pkce import (
    check_code_challenge,
    check_code_verifier,
    check_no_code_verifier,
    derive_code_challenge,
)

# Appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
VERIFIERS = st.text(string.ascii_letters + string.digits + "-._~", min_size=43, max_size=128)


# ----- At the authorization endpoint -----


@pytest.mark.requirement("RFC 7636", "4.2", "code_challenge = BASE64URL-ENCODE(SHA256(ASCII(code_verifier)))")
def test_the_example_of_appendix_b_is_derived() -> None:
    assert derive_code_challenge(VERIFIER) == CHALLENGE


def test_an_s256_challenge_is_accepted() -> None:
    check_code_challenge(CHALLENGE, "S256")


@pytest.mark.requirement("RFC 7636", "4.4.1", "a missing code challenge is invalid_request")
@pytest.mark.parametrize("method", [None, "S256", "plain"])
def test_a_missing_challenge_is_refused_whatever_the_method(method: str | None) -> None:
    with pytest.raises(InvalidRequest, match="code_challenge is required"):
        check_code_challenge(None, method)


@pytest.mark.requirement("RFC 9700", "2.1.1", "challenge methods must not expose the verifier: plain is refused")
@pytest.mark.parametrize("method", [None, "", "plain", "s256", "S512", "S256 ", "S256\n", "PLAIN", "Ｓ256"])
def test_any_method_but_s256_is_refused(method: str | None) -> None:
    with pytest.raises(InvalidRequest, match="code_challenge_method must be S256"):
        check_code_challenge(CHALLENGE, method)


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        CHALLENGE[:-1],
        CHALLENGE + "A",
        CHALLENGE + "=",
        CHALLENGE + "\n",
        CHALLENGE[:-1] + "\n",
        CHALLENGE.replace("-", "+"),
        CHALLENGE.replace("-", "."),
        CHALLENGE[:-1] + "é",
        "A" * 128,
    ],
)
def test_a_challenge_that_is_no_base64url_sha256_is_refused(challenge: str) -> None:
    with pytest.raises(InvalidRequest, match="43 base64url"):
        check_code_challenge(challenge, "S256")


# ----- At the token endpoint -----


@given(VERIFIERS)
def test_every_verifier_of_the_grammar_matches_its_own_challenge(verifier: str) -> None:
    challenge = derive_code_challenge(verifier)
    check_code_challenge(challenge, "S256")
    check_code_verifier(verifier, challenge)


@pytest.mark.requirement("RFC 7636", "4.6", "if the values are not equal, invalid_grant must be returned")
@given(VERIFIERS)
def test_another_sessions_verifier_is_refused(verifier: str) -> None:
    with pytest.raises(InvalidGrant, match="does not match"):
        check_code_verifier(verifier, CHALLENGE)


@pytest.mark.requirement("OAuth 2.1", "4.1.3", "a code bound to a challenge is refused without code_verifier")
def test_a_missing_verifier_is_invalid_grant() -> None:
    with pytest.raises(InvalidGrant, match="code_verifier is required"):
        check_code_verifier(None, CHALLENGE)


def test_the_challenge_itself_is_not_a_verifier() -> None:
    with pytest.raises(InvalidGrant, match="does not match"):
        check_code_verifier(CHALLENGE, CHALLENGE)


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda verifier: verifier[::-1]])
def test_a_verifier_is_compared_exactly(change: Callable[[str], str]) -> None:
    with pytest.raises(InvalidGrant, match="does not match"):
        check_code_verifier(change(VERIFIER), CHALLENGE)


@pytest.mark.requirement("RFC 7636", "4.1", "code-verifier = 43*128unreserved")
@pytest.mark.parametrize(
    "verifier",
    [
        "",
        "a" * 42,
        "a" * 129,
        VERIFIER + "\n",
        VERIFIER + " ",
        VERIFIER[:-1] + "+",
        VERIFIER[:-1] + "é",
        "a" * 42 + "\x00",
    ],
)
def test_a_verifier_outside_the_grammar_is_invalid_grant(verifier: str) -> None:
    with pytest.raises(InvalidGrant, match="malformed"):
        check_code_verifier(verifier, CHALLENGE)


@pytest.mark.requirement("RFC 9700", "2.1.1", "a code_verifier is accepted only if a code_challenge was present")
def test_a_verifier_for_a_code_without_a_challenge_is_invalid_grant() -> None:
    check_no_code_verifier(None)
    with pytest.raises(InvalidGrant, match="without a code_challenge"):
        check_no_code_verifier(VERIFIER)
