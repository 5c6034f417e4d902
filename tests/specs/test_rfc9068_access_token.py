from typing import Any

import pytest

from app.specs.protocol_error import InvalidToken
from app.specs.rfc9068_access_token import AccessTokenClaims, build_claims, check_claims

ISSUER = "https://login.example.com"
API = "https://api.example.com/photos"
NOW_S = 1_800_000_000


def make_claims(**changes: Any) -> dict[str, Any]:
    """A valid claims set, changed; a value of `...` takes the claim out."""
    claims = build_claims(
        issuer=ISSUER,
        subject="u2345",
        audience=API,
        client_id="printer",
        scope="photos.read photos.write",
        issued_at_s=NOW_S - 60,
        expires_at_s=NOW_S + 240,
        jti="id-1",
        auth_time_s=NOW_S - 600,
        acr="pwd",
        amr=["pwd"],
    )
    return {name: value for name, value in {**claims, **changes}.items() if value is not ...}


def check(claims: dict[str, Any], *, now_s: float = NOW_S) -> AccessTokenClaims:
    return check_claims(claims, issuer=ISSUER, audience=API, now_s=now_s)


@pytest.mark.requirement("RFC 9068", "2.2", "the claims of an access token")
def test_built_claims_have_the_wire_names_and_nothing_that_was_not_given() -> None:
    assert make_claims() == {
        "iss": ISSUER,
        "sub": "u2345",
        "aud": API,
        "client_id": "printer",
        "scope": "photos.read photos.write",
        "iat": NOW_S - 60,
        "exp": NOW_S + 240,
        "jti": "id-1",
        "auth_time": NOW_S - 600,
        "acr": "pwd",
        "amr": ["pwd"],
    }
    least = build_claims(
        issuer=ISSUER, subject="s", audience=API, client_id="c", scope="", issued_at_s=1, expires_at_s=2, jti="j"
    )
    assert least.keys() == {"iss", "sub", "aud", "client_id", "iat", "exp", "jti"}


def test_extra_claims_are_added_and_never_replace_one() -> None:
    def build(extra: dict[str, Any]) -> dict[str, Any]:
        return build_claims(
            issuer=ISSUER,
            subject="s",
            audience=API,
            client_id="c",
            scope="",
            issued_at_s=1,
            expires_at_s=2,
            jti="j",
            extra=extra,
        )

    assert build({"status": {"status_list": {"idx": 1}}})["status"] == {"status_list": {"idx": 1}}
    with pytest.raises(ValueError, match="may not replace"):
        build({"sub": "somebody else"})


def test_checked_claims_have_their_own_type() -> None:
    claims = check(make_claims())
    assert claims == AccessTokenClaims(
        issuer=ISSUER,
        subject="u2345",
        client_id="printer",
        scope=frozenset({"photos.read", "photos.write"}),
        audience=(API,),
        issued_at_s=NOW_S - 60,
        expires_at_s=NOW_S + 240,
        jti="id-1",
        auth_time_s=NOW_S - 600,
        acr="pwd",
        actors=(),
        authorization_details=(),
        claims=make_claims(),
    )
    payment = {"type": "payment_initiation", "actions": ["initiate"]}
    (detail,) = check(make_claims(authorization_details=[payment])).authorization_details
    assert (detail.type, detail.members) == ("payment_initiation", payment)
    with pytest.raises(TypeError):
        claims.claims["scope"] = "everything"  # type: ignore[index]


@pytest.mark.parametrize(
    ("changes", "scope"),
    [({"scope": "photos.read"}, {"photos.read"}), ({"scope": ""}, set()), ({"scope": ...}, set())],
)
def test_scope_is_a_set_of_scope_tokens(changes: dict[str, Any], scope: set[str]) -> None:
    assert check(make_claims(**changes)).scope == scope


@pytest.mark.parametrize("aud", [API, [API], [API, "https://other.example"], ["https://other.example", API]])
def test_the_audience_may_be_one_or_a_list_with_ours_in_it(aud: Any) -> None:
    assert API in check(make_claims(aud=aud)).audience


def test_a_resource_may_go_by_several_names() -> None:
    names = ("https://api.example.com", "https://api.example.com/")
    for name in names:
        assert check_claims(make_claims(aud=name), issuer=ISSUER, audience=names, now_s=NOW_S).audience == (name,)


def test_our_audience_is_not_a_substring_search() -> None:
    with pytest.raises(InvalidToken, match="another audience"):
        check_claims(make_claims(aud="https://api"), issuer=ISSUER, audience=API, now_s=NOW_S)


@pytest.mark.parametrize(
    ("claim", "boundary_s"), [("exp", NOW_S - 10), ("iat", NOW_S + 10), ("nbf", NOW_S + 10)], ids=["exp", "iat", "nbf"]
)
def test_the_leeway_is_ten_seconds_and_not_more(claim: str, boundary_s: int) -> None:
    outwards = -1 if claim == "exp" else 1
    others = {"iat": NOW_S - 600} if claim == "exp" else {}
    inside = {claim: boundary_s + (0.5 if claim == "exp" else 0), **others}
    assert check(make_claims(**inside)).subject == "u2345"
    with pytest.raises(InvalidToken):
        check(make_claims(**{claim: boundary_s + outwards * (0 if claim == "exp" else 0.5), **others}))


def test_times_with_a_fraction_are_numeric_dates_too() -> None:
    claims = check(make_claims(exp=NOW_S + 0.75, iat=NOW_S - 0.25, auth_time=NOW_S - 0.5))
    assert (claims.expires_at_s, claims.issued_at_s, claims.auth_time_s) == (NOW_S, NOW_S - 1, NOW_S - 1)


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"iss": "https://evil.example"}, "the token is from another issuer"),
    "our issuer with a slash": ({"iss": ISSUER + "/"}, "the token is from another issuer"),
    "no issuer": ({"iss": ...}, "the token is from another issuer"),
    "a list of issuers": ({"iss": [ISSUER]}, "the token is from another issuer"),
    "another audience": ({"aud": "https://other.example"}, "the token is for another audience"),
    "our audience with a slash": ({"aud": API + "/"}, "the token is for another audience"),
    "no audience": ({"aud": ...}, "the token names no audience"),
    "an empty list": ({"aud": []}, "the token names no audience"),
    "a number in the list": ({"aud": [API, 1]}, "the token names no audience"),
    "an object": ({"aud": {API: API}}, "the token names no audience"),
    "expired": ({"exp": NOW_S - 10}, "the token has expired"),
    "no exp": ({"exp": ...}, "the token's exp is missing or not a time"),
    "exp as a text": ({"exp": str(NOW_S + 60)}, "the token's exp is missing or not a time"),
    "exp as a truth": ({"exp": True}, "the token's exp is missing or not a time"),
    "a negative exp": ({"exp": -1}, "the token's exp is missing or not a time"),
    "exp after the year 9999": ({"exp": 10**15}, "the token's exp is missing or not a time"),
    "no iat": ({"iat": ...}, "the token's iat is missing or not a time"),
    "iat as a text": ({"iat": "now"}, "the token's iat is missing or not a time"),
    "from the future": ({"iat": NOW_S + 11, "exp": NOW_S + 300}, "the token was issued in the future"),
    "expired before issued": ({"iat": NOW_S + 5, "exp": NOW_S + 4}, "the token expired before it was issued"),
    "not yet": ({"nbf": NOW_S + 11}, "the token is not valid yet"),
    "nbf as a text": ({"nbf": "now"}, "the token's nbf is missing or not a time"),
    "nbf null": ({"nbf": None}, "the token's nbf is missing or not a time"),
    "no sub": ({"sub": ...}, "the token's sub is missing or not a text"),
    "an empty sub": ({"sub": ""}, "the token's sub is missing or not a text"),
    "sub as a number": ({"sub": 1}, "the token's sub is missing or not a text"),
    "no client_id": ({"client_id": ...}, "the token's client_id is missing or not a text"),
    "no jti": ({"jti": ...}, "the token's jti is missing or not a text"),
    "jti as a number": ({"jti": 7}, "the token's jti is missing or not a text"),
    "scope as a list": ({"scope": ["photos.read"]}, "the token's scope is not a text"),
    "two spaces": ({"scope": "photos.read  photos.write"}, "the token's scope is malformed"),
    "a space at the end": ({"scope": "photos.read "}, "the token's scope is malformed"),
    "auth_time as a text": ({"auth_time": "now"}, "the token's auth_time is missing or not a time"),
    "acr as a number": ({"acr": 3}, "the token's acr is not a text"),
    "bound to a key": ({"cnf": {"jkt": "x"}}, "the token is constrained by cnf, which is not enforced here"),
    "bound to nothing": ({"cnf": None}, "the token is constrained by cnf, which is not enforced here"),
    "bound to networks": ({"th_networks": []}, "the token is constrained by th_networks, which is not enforced here"),
}


@pytest.mark.requirement("RFC 9068", "4", "validating JWT access tokens")
@pytest.mark.parametrize("name", REFUSALS)
def test_a_claims_set_is_refused_for_its_own_reason(name: str) -> None:
    changes, description = REFUSALS[name]
    with pytest.raises(InvalidToken) as refusal:
        check(make_claims(**changes))
    assert refusal.value.description == description
    assert (refusal.value.error, refusal.value.status) == ("invalid_token", 401)


def test_the_public_description_does_not_repeat_what_the_token_says() -> None:
    with pytest.raises(InvalidToken) as refusal:
        check(make_claims(aud="https://secret.internal"))
    assert "secret.internal" not in refusal.value.description
    assert [difference.received for difference in refusal.value.differences] == ["https://secret.internal"]


def test_a_constraint_passes_only_the_caller_who_enforces_it() -> None:
    claims = make_claims(cnf={"jkt": "x"}, th_networks=["192.0.2.0/24"])
    checked = check_claims(claims, issuer=ISSUER, audience=API, now_s=NOW_S, enforced=frozenset({"cnf", "th_networks"}))
    assert checked.claims["cnf"] == {"jkt": "x"}
    with pytest.raises(InvalidToken, match="th_networks"):
        check_claims(claims, issuer=ISSUER, audience=API, now_s=NOW_S, enforced=frozenset({"cnf"}))
