"""An ID token of somebody else's: each of its claims, one step away from right."""

from typing import Any

import pytest

from app.specs.oidc_id_token_verification import (
    ExpectedIdToken,
    InvalidIdToken,
    check_at_hash,
    check_id_token_claims,
    check_userinfo_subject,
)

SPEC = "OpenID Connect Core 1.0"
NOW_S = 1_700_000_000
RIGHT: dict[str, Any] = {
    "iss": "https://op.example",
    "sub": "ada",
    "aud": "us",
    "exp": NOW_S + 300,
    "iat": NOW_S,
    "nonce": "n",
    "auth_time": NOW_S - 5,
    "acr": "high",
    "amr": ["pwd", "otp", 7],
    "sid": "s",
}


def expected(**changes: Any) -> ExpectedIdToken:
    values = {"issuer": "https://op.example", "client_id": "us", "nonce": "n", "now_s": NOW_S, **changes}
    return ExpectedIdToken(**values)


def test_what_a_right_one_says() -> None:
    verified = check_id_token_claims(RIGHT, expected())
    assert (verified.subject, verified.auth_time_s, verified.acr, verified.sid) == ("ada", NOW_S - 5, "high", "s")
    assert verified.amr == ("pwd", "otp")


@pytest.mark.requirement(SPEC, "3.1.3.7", "iss, aud, azp, exp, iat and nonce are checked")
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"iss": "https://op.example/"}, "iss is not the provider"),
        ({"aud": []}, "aud is not this client"),
        ({"aud": ["us", "them"]}, "aud holds others"),
        ({"azp": "them"}, "azp is not this client"),
        ({"exp": NOW_S - 60}, "it has expired"),
        ({"exp": None}, "exp is missing"),
        ({"exp": True}, "exp is missing"),
        ({"iat": NOW_S + 61}, "iat is in the future"),
        ({"iat": NOW_S - 3601}, "iat is too long ago"),
        ({"nbf": NOW_S + 61}, "nbf is in the future"),
        ({"nonce": "m"}, "nonce is not the one"),
        ({"nonce": None}, "nonce is not the one"),
        ({"sub": "x" * 256}, "sub is missing"),
        ({"auth_time": NOW_S + 61}, "auth_time is in the future"),
        ({"events": {}}, "it is a logout token"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_one_that_is_wrong_in_one_claim(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidIdToken, match=sentence):
        check_id_token_claims({**RIGHT, **changes}, expected())


@pytest.mark.parametrize("changes", [{"aud": ["us"]}, {"azp": "us"}, {"exp": NOW_S - 59}, {"iat": NOW_S + 60}], ids=str)
def test_one_that_is_right_in_another_way(changes: dict[str, Any]) -> None:
    assert check_id_token_claims({**RIGHT, **changes}, expected()).subject == "ada"


@pytest.mark.requirement(SPEC, "3.1.3.7", "auth_time is checked where max_age was asked")
@pytest.mark.parametrize(
    ("auth_time", "max_age_s", "is_right"),
    [
        (NOW_S - 130, 60, True),
        (NOW_S - 131, 60, False),
        (NOW_S - 70, 0, True),
        (NOW_S - 71, 0, False),
        (None, 0, False),
        (None, None, True),
    ],
)
def test_how_old_a_login_may_be_when_it_was_asked_for_a_minute_ago(
    auth_time: int | None, max_age_s: int | None, is_right: bool
) -> None:
    claims = {**RIGHT, "auth_time": auth_time}
    if auth_time is None:
        del claims["auth_time"]
    demand = expected(max_age_s=max_age_s, asked_at_s=NOW_S - 60)
    if is_right:
        assert check_id_token_claims(claims, demand).auth_time_s == auth_time
    else:
        with pytest.raises(InvalidIdToken, match="auth_time"):
            check_id_token_claims(claims, demand)


@pytest.mark.requirement(SPEC, "3.1.3.8", "at_hash is the access token's, where it is there")
def test_the_hash_of_the_access_token() -> None:
    access_token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
    check_at_hash({}, access_token=access_token, alg="RS256")
    check_at_hash({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}, access_token=access_token, alg="RS256")
    for wrong in ("77QmUPtjPfzWtF2AnpK9Rq", 7, ""):
        with pytest.raises(InvalidIdToken, match="at_hash"):
            check_at_hash({"at_hash": wrong}, access_token=access_token, alg="RS256")


@pytest.mark.requirement(SPEC, "5.3.2", "the sub of the UserInfo response is the ID token's")
def test_the_subject_of_userinfo() -> None:
    check_userinfo_subject({"sub": "ada"}, "ada")
    for userinfo in ({}, {"sub": "eve"}, {"sub": ["ada"]}):
        with pytest.raises(InvalidIdToken, match="sub"):
            check_userinfo_subject(userinfo, "ada")
