import pytest

from app.specs.rfc7662_introspection import MEDIA_TYPE, build_response, build_signed_claims, wants_signed


@pytest.mark.requirement("RFC 7662", "2.2", "the members of an introspection response")
def test_a_response_says_what_the_token_says_and_nothing_that_is_not_for_an_api() -> None:
    claims = {"sub": "u", "aud": "https://api.example", "scope": "a b", "amr": ["pwd"], "cnf": {"jkt": "x"}, "odd": 1}
    assert build_response(claims, token_type="Bearer") == {
        "active": True,
        "token_type": "Bearer",
        "sub": "u",
        "aud": "https://api.example",
        "scope": "a b",
        "cnf": {"jkt": "x"},
    }
    assert build_response({}, token_type=None) == {"active": True}


@pytest.mark.requirement("RFC 9701", "5", "sub and exp are not claims of the response itself")
def test_the_signed_form_cannot_be_taken_for_an_access_token() -> None:
    response = {"active": True, "sub": "u", "exp": 9}
    assert build_signed_claims(response, issuer="https://as.example", audience="api", issued_at_s=5) == {
        "iss": "https://as.example",
        "aud": "api",
        "iat": 5,
        "token_introspection": response,
    }


@pytest.mark.requirement("RFC 9701", "4", "the Accept header asks for the signed form")
@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        (MEDIA_TYPE, True),
        (MEDIA_TYPE.upper(), True),
        (f"application/json, {MEDIA_TYPE}", True),
        (f"application/json;q=0.5,{MEDIA_TYPE};q=0.4", False),
        (f"{MEDIA_TYPE};q=0", False),
        (f"{MEDIA_TYPE};q=1e9", False),
        (f"{MEDIA_TYPE};q=", False),
        (f"{MEDIA_TYPE};q=.", False),
        (f"{MEDIA_TYPE};q=\u0663", False),
        (",;,=;q=;" * 100 + MEDIA_TYPE, False),
    ],
)
def test_what_an_accept_header_asks_for(accept: str | None, expected: bool) -> None:
    assert wants_signed(accept) is expected
