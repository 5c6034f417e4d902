import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.http import parse_dict_header

from app.specs.protocol_error import InsufficientScope, InvalidRequest, InvalidToken
from app.specs.rfc6750_bearer import challenge, parse_bearer, parse_presented_token


@pytest.mark.requirement("RFC 6750", "2.1", "Authorization: Bearer b64token")
@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        ("Bearer mF_9.B5f-4.1JqM", "mF_9.B5f-4.1JqM"),
        ("bearer abc", "abc"),
        ("BEARER   abc", "abc"),
        ("Bearer a-b._~+/c==", "a-b._~+/c=="),
    ],
)
def test_a_token_is_read_from_the_header(authorization: str, token: str) -> None:
    assert parse_bearer(authorization) == token


@pytest.mark.parametrize("authorization", [None, "", "Basic YTpi", "DPoP abc", "Bearertoken", "BearerX abc", "abc"])
def test_no_header_or_another_scheme_is_no_token(authorization: str | None) -> None:
    assert parse_bearer(authorization) is None


def test_the_scheme_is_the_callers() -> None:
    assert parse_bearer("DPoP abc", scheme="DPoP") == "abc"
    assert parse_bearer("Bearer abc", scheme="DPoP") is None


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer a,Bearer b",
        "Bearer a, Bearer b",
        "Bearer abc,",
        "Bearer =abc",
        "Bearer a=b",
        'Bearer token="abc"',
        "Bearer abc\n",
        "Bearer abc\x00",
        "Bearer \tabc",
        "Bearer \u00e9",
    ],
)
def test_a_malformed_header_is_invalid_request(authorization: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_bearer(authorization)


@pytest.mark.requirement("RFC 6750", "3.1", "no error code where the request lacks any authentication information")
def test_without_a_token_the_challenge_names_no_error() -> None:
    assert challenge(None, realm="photos", scope="photos.read") == 'Bearer realm="photos", scope="photos.read"'
    assert challenge(None, realm="photos") == 'Bearer realm="photos"'


@pytest.mark.requirement("RFC 6750", "3", "the section's example")
def test_a_refusal_names_its_error() -> None:
    assert challenge(InvalidToken("The access token expired"), realm="example") == (
        'Bearer realm="example", error="invalid_token", error_description="The access token expired"'
    )
    assert challenge(InsufficientScope(), realm="r", scope="a b") == (
        'Bearer realm="r", error="insufficient_scope", scope="a b"'
    )


def test_further_parameters_and_other_schemes_are_possible() -> None:
    assert challenge(None, realm="r", scheme="DPoP", parameters={"algs": "ES256"}) == 'DPoP realm="r", algs="ES256"'


@pytest.mark.parametrize("name", ["realm", "a b", 'a"', "", "a=b", "a,b", "a\r\n"])
def test_a_parameter_that_would_change_the_challenge_is_the_programs_mistake(name: str) -> None:
    with pytest.raises(ValueError, match="parameter"):
        challenge(None, realm="r", parameters={name: "x"})


def test_no_value_can_leave_its_quotes() -> None:
    injected = challenge(InvalidToken('x", error="none\\\r\nSet-Cookie: a=b'), realm='r"', scope='s", a="b')
    assert injected == (
        'Bearer realm="r\'", error="invalid_token", '
        "error_description=\"x', error='none/??Set-Cookie: a=b\", scope=\"s', a='b\""
    )


@given(st.text(max_size=60), st.text(min_size=1, max_size=60))
def test_a_challenge_reads_back_as_what_was_meant(description: str, scope: str) -> None:
    header = challenge(InvalidToken(description), realm="r", scope=scope)
    assert header.isascii()
    assert header.isprintable()
    parsed = parse_dict_header(header.removeprefix("Bearer "))
    assert parsed.keys() == {"realm", "error", "scope"} | ({"error_description"} if description else set())
    assert parsed["error"] == "invalid_token"


@pytest.mark.requirement("RFC 9449", "7.1", "Authorization: DPoP token68")
def test_a_presented_token_keeps_its_scheme_and_not_its_text_in_the_log() -> None:
    for header, scheme in (("Bearer abc", "Bearer"), ("dpop abc", "DPoP"), ("DPOP  abc", "DPoP")):
        presented = parse_presented_token(header)
        assert presented is not None
        assert (presented.scheme, presented.unverified_token) == (scheme, "abc")
        assert "abc" not in repr(presented)
    for other in (None, "", "Basic YTpi", "DPoPabc", "abc", "Digest DPoP abc"):
        assert parse_presented_token(other) is None
    for malformed in ("DPoP", "DPoP a b", "DPoP a, DPoP b", "DPoP a,Bearer b", "Bearer a,DPoP b"):
        with pytest.raises(InvalidRequest):
            parse_presented_token(malformed)
