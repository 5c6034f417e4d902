"""The wire of the three logouts: parameters, hints, logout tokens, front-channel addresses."""

from typing import Any

import pytest

from app.specs.oidc_logout import (
    MAX_STATE_CHARACTERS,
    build_backchannel_body,
    build_frontchannel_uri,
    build_logout_token_claims,
    build_post_logout_redirect,
    check_id_token_hint,
    origin_of,
    parse_logout_request,
)
from app.specs.protocol_error import InvalidRequest
from app.specs.strict_request import Parameters

ISSUER = "https://login.example.com"
CLAIMS: dict[str, Any] = {"iss": ISSUER, "sub": "u1", "aud": "client", "sid": "s1", "iat": 0, "exp": 1}


def test_a_request_is_read_and_shows_no_hint() -> None:
    request = parse_logout_request(
        Parameters.of({"id_token_hint": "secret-hint", "client_id": "c", "state": "s", "logout_hint": "x"})
    )
    assert (request.unverified_id_token_hint, request.client_id, request.state) == ("secret-hint", "c", "s")
    assert request.post_logout_redirect_uri is None
    assert "secret-hint" not in repr(request)


def test_a_state_that_is_too_long_is_refused() -> None:
    assert parse_logout_request(Parameters.of({"state": "s" * MAX_STATE_CHARACTERS})).state
    with pytest.raises(InvalidRequest):
        parse_logout_request(Parameters.of({"state": "s" * (MAX_STATE_CHARACTERS + 1)}))


@pytest.mark.parametrize("aud", ["client", ["client"]])
def test_an_expired_hint_says_whom_it_is_about(aud: str | list[str]) -> None:
    hint = check_id_token_hint({**CLAIMS, "aud": aud}, issuer=ISSUER)
    assert (hint.client_id, hint.subject, hint.sid) == ("client", "u1", "s1")
    without_sid = {name: value for name, value in CLAIMS.items() if name != "sid"}
    assert check_id_token_hint(without_sid, issuer=ISSUER).sid is None


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": ["client", "other"]},
        {"aud": 7},
        {"sub": None},
        {"sid": 7},
        {"events": {}},
        {"iat": None},
        {"exp": None},
    ],
    ids=str,
)
def test_what_is_no_id_token_of_this_server_is_no_hint(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        check_id_token_hint({**CLAIMS, **changes}, issuer=ISSUER)


@pytest.mark.requirement("OpenID Connect Back-Channel Logout 1.0", "2.4", "one event without content, no nonce")
def test_a_logout_token_has_exactly_what_it_must() -> None:
    claims = build_logout_token_claims(
        issuer=ISSUER, client_id="client", subject="u1", sid="s1", jti="j1", issued_at_s=1000
    )
    assert claims == {
        "iss": ISSUER,
        "sub": "u1",
        "aud": "client",
        "iat": 1000,
        "exp": 1120,
        "jti": "j1",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        "sid": "s1",
    }
    assert build_backchannel_body("a.b.c") == b"logout_token=a.b.c"


@pytest.mark.requirement("OpenID Connect Front-Channel Logout 1.0", "3", "iss and sid are added to the query")
@pytest.mark.parametrize(
    ("registered", "expected"),
    [
        ("https://rp.example/out", "https://rp.example/out?iss=https%3A%2F%2Flogin.example.com&sid=s1"),
        ("https://rp.example/out?a=b", "https://rp.example/out?a=b&iss=https%3A%2F%2Flogin.example.com&sid=s1"),
    ],
)
def test_a_front_channel_address_carries_issuer_and_session(registered: str, expected: str) -> None:
    assert build_frontchannel_uri(registered, issuer=ISSUER, sid="s1") == expected


def test_the_way_back_has_state_where_it_was_sent() -> None:
    assert build_post_logout_redirect("https://rp.example/", state=None) == "https://rp.example/"
    assert build_post_logout_redirect("https://rp.example/", state="a b&c") == "https://rp.example/?state=a%20b%26c"


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin_of("https://rp.example:8443/out?a=b") == "https://rp.example:8443"
