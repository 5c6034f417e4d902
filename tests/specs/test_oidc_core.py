import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.specs.oidc_core import (
    OPENID_SCOPES,
    SCOPE_CLAIMS,
    at_hash,
    build_id_token_claims,
    parse_max_age,
    parse_prompt,
    select_claims,
)
from app.specs.protocol_error import InvalidRequest

# ----- prompt -----


@pytest.mark.parametrize(
    ("value", "prompts"),
    [
        (None, set()),
        ("", set()),
        ("none", {"none"}),
        ("login", {"login"}),
        ("login consent", {"login", "consent"}),
        ("select_account login login", {"select_account", "login"}),
    ],
)
def test_prompts_are_read_as_a_set(value: str | None, prompts: set[str]) -> None:
    assert parse_prompt(value) == prompts


@pytest.mark.requirement("OpenID Connect Core 1.0", "3.1.2.1", "none with any other value is an error")
@pytest.mark.parametrize("value", ["none login", "consent none", "none select_account"])
def test_none_stands_alone(value: str) -> None:
    with pytest.raises(InvalidRequest, match="must stand alone"):
        parse_prompt(value)


@pytest.mark.parametrize(
    "value", ["bogus", "login bogus", "Login", "login  consent", " login", "login\n", "none,login"]
)
def test_an_unknown_prompt_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest, match="unknown value"):
        parse_prompt(value)


# ----- max_age -----


@pytest.mark.parametrize(
    ("value", "seconds"), [(None, None), ("", None), ("0", 0), ("1", 1), ("10000", 10000), ("2147483647", 2147483647)]
)
def test_max_age_is_a_number_of_seconds(value: str | None, seconds: int | None) -> None:
    assert parse_max_age(value) == seconds


@pytest.mark.parametrize(
    "value", ["-1", "abc", "1.5", "1e3", "+1", " 1", "1 ", "1\n", "١", "0x10", "2147483648", "1" + "0" * 30, "9" * 5000]
)
def test_anything_else_in_max_age_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest, match="max_age"):
        parse_max_age(value)


@given(st.text())
def test_max_age_never_fails_in_another_way(value: str) -> None:
    try:
        seconds = parse_max_age(value)
    except InvalidRequest:
        return
    assert seconds is None if value == "" else seconds == int(value)


# ----- ID token -----


@pytest.mark.requirement("OpenID Connect Core 1.0", "2", "iss, sub, aud, exp and iat are required")
def test_an_id_token_without_options_has_the_five_required_claims() -> None:
    claims = build_id_token_claims(
        issuer="https://op.example", subject="u1", client_id="c1", issued_at_s=1_000, lifetime_s=600
    )
    required = {"iss": "https://op.example", "sub": "u1", "aud": "c1", "exp": 1_600, "iat": 1_000}
    assert claims == {**required, "azp": "c1"}


@pytest.mark.requirement("OpenID Connect Core 1.0", "2", "the nonce value is passed through unmodified")
def test_every_optional_claim_is_written_when_given() -> None:
    nonce = "n-0S6_WzA2Mj" + "~" * 64
    claims = build_id_token_claims(
        issuer="https://op.example",
        subject="u1",
        client_id="c1",
        issued_at_s=1_000,
        lifetime_s=600,
        auth_time_s=0,
        nonce=nonce,
        acr="pwd",
        amr=("pwd", "otp"),
        sid="s1",
        at_hash="h",
    )
    assert claims["nonce"] == nonce
    assert claims["auth_time"] == 0
    assert claims["amr"] == ["pwd", "otp"]
    assert (claims["acr"], claims["sid"], claims["at_hash"]) == ("pwd", "s1", "h")


@pytest.mark.requirement("OpenID Connect Core 1.0", "A.3", "the at_hash of the example access token")
@pytest.mark.parametrize("alg", ["RS256", "ES256", "PS256"])
def test_at_hash_is_that_of_the_example(alg: str) -> None:
    assert at_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", alg) == "77QmUPtjPfzWtF2AnpK9RQ"


@pytest.mark.parametrize(("alg", "characters"), [("ES384", 32), ("RS512", 43)])
def test_at_hash_is_half_of_the_algorithms_hash(alg: str, characters: int) -> None:
    assert len(at_hash("token", alg)) == characters


@pytest.mark.parametrize("alg", ["none", "EdDSA", "", "256"])
def test_at_hash_refuses_an_algorithm_without_a_hash_in_its_name(alg: str) -> None:
    with pytest.raises(ValueError, match="no hash is defined"):
        at_hash("token", alg)


# ----- Claims by scope -----

JANE = {
    "sub": "u1",
    "name": "Jane Doe",
    "name#ja-Kana-JP": "ジェーン",
    "family_name": "",
    "website": None,
    "email": "janedoe@example.com",
    "email_verified": False,
    "address": {"country": "DE"},
    "phone_number": "+1 (310) 123-4567",
    "updated_at": 0,
    "role": "admin",
}


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.4", "the claims that each scope asks for")
def test_the_scopes_ask_for_the_claims_of_section_5_4() -> None:
    assert len(SCOPE_CLAIMS["profile"]) == 14
    assert SCOPE_CLAIMS["email"] == ("email", "email_verified")
    assert SCOPE_CLAIMS["address"] == ("address",)
    assert SCOPE_CLAIMS["phone"] == ("phone_number", "phone_number_verified")
    assert {"openid", "offline_access", "profile", "email", "address", "phone"} == OPENID_SCOPES


def test_a_granted_scope_selects_its_claims_and_no_others() -> None:
    assert select_claims(JANE, ["openid", "email"]) == {"email": "janedoe@example.com", "email_verified": False}
    assert select_claims(JANE, ["openid", "address", "phone"]) == {
        "address": {"country": "DE"},
        "phone_number": "+1 (310) 123-4567",
    }


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.3.2", "a claim without a value is omitted, not null or empty")
def test_empty_claims_are_left_out_and_language_tagged_ones_kept() -> None:
    assert select_claims(JANE, ["profile"]) == {"name": "Jane Doe", "name#ja-Kana-JP": "ジェーン", "updated_at": 0}


@pytest.mark.parametrize("scopes", [[], ["openid"], ["photos.read"], ["name"], ["role"]])
def test_other_scopes_select_nothing(scopes: list[str]) -> None:
    assert select_claims(JANE, scopes) == {}
