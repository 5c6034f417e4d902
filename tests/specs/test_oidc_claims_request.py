"""OpenID Connect Core 5.5: the claims parameter, read and applied."""

import json
from typing import Any

import pytest

from app.specs.oidc_claims_request import (
    MAX_CLAIMS,
    NO_CLAIMS,
    ClaimsRequest,
    covering_scope,
    parse_claims_locales,
    parse_claims_request,
    select_requested,
)
from app.specs.protocol_error import InvalidRequest

# Section 5.5.
EXAMPLE = {
    "userinfo": {
        "given_name": {"essential": True},
        "nickname": None,
        "email": {"essential": True},
        "email_verified": {"essential": True},
        "picture": None,
        "http://example.info/claims/groups": None,
    },
    "id_token": {
        "auth_time": {"essential": True},
        "acr": {"values": ["urn:mace:incommon:iap:silver"]},
    },
}


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.5", "the section's example")
def test_the_specifications_example_is_read() -> None:
    request = parse_claims_request(json.dumps(EXAMPLE))
    assert request.userinfo["email"].essential
    assert not request.userinfo["nickname"].essential
    assert request.acr is not None
    assert request.acr.values == ("urn:mace:incommon:iap:silver",)
    assert not request.acr.essential
    # What is asked of the protocol is nothing about the person.
    assert request.id_token == {}
    assert request.names == (
        "given_name",
        "nickname",
        "email",
        "email_verified",
        "picture",
        "http://example.info/claims/groups",
    )
    assert ClaimsRequest.from_document(json.loads(json.dumps(request.to_document()))) == request


@pytest.mark.parametrize("value", [None, "", "{}", '{"userinfo": null}', '{"other": {"name": {}}}'])
def test_nothing_is_asked_for_by_nothing(value: str | None) -> None:
    assert parse_claims_request(value) == NO_CLAIMS


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.5.1", "essential, value and values have their types")
@pytest.mark.parametrize(
    "claims",
    [
        "name",
        "[]",
        "null",
        '{"userinfo": {}, "userinfo": {}}',
        '{"userinfo": []}',
        '{"id_token": "name"}',
        '{"userinfo": {"name": true}}',
        '{"userinfo": {"name": {"essential": "true"}}}',
        '{"userinfo": {"name": {"values": "Ada"}}}',
        '{"userinfo": {"name": {"value": "Ada", "values": ["Ada"]}}}',
        '{"id_token": {"sub": {"values": ["a", "b"]}}}',
        '{"id_token": {"sub": {"value": "a"}}, "userinfo": {"sub": {"value": "b"}}}',
        '{"id_token": {"sub": {"value": 7}}}',
        '{"id_token": {"sub": {"value": ""}}}',
        '{"userinfo": {"name": {"value": 1e999}}}',
        '{"userinfo": ' * 50 + "{}" + "}" * 50,
        "[" * 5000,
        json.dumps({"userinfo": {"name": {"value": "x" * 9000}}}),
        json.dumps({"userinfo": {f"c{number}": None for number in range(MAX_CLAIMS + 1)}}),
    ],
)
def test_39_what_can_be_read_in_two_ways_or_without_end_is_refused(claims: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_claims_request(claims)


@pytest.mark.parametrize(
    "name",
    [
        "Your bank account is safe",
        "na\u0001me",
        "<b>",
        "iss",
        "acr",
        "sid",
        "cnf",
        "th_networks",
        "",
        "name#",
        "x" * 200,
    ],
)
def test_a_name_that_is_no_claim_about_a_person_is_passed_over(name: str) -> None:
    request = parse_claims_request(json.dumps({"userinfo": {name: None, "name": None}}))
    assert request.names == ("name",)


def test_the_scope_that_gives_a_claim() -> None:
    assert covering_scope("name#ja") == "profile"
    assert covering_scope("phone_number_verified") == "phone"
    assert covering_scope("shoe_size") is None


PERSON: dict[str, Any] = {
    "name": "Ada Lovelace",
    "name#fr": "Ada de Lovelace",
    "name#ja-Kana-JP": "アダ",
    "nickname": "",
    "email": "ada@example.com",
    "email_verified": True,
}


def select(wishes: dict[str, Any], *, locales: str = "") -> dict[str, Any]:
    request = parse_claims_request(json.dumps({"userinfo": wishes}))
    return select_requested(PERSON, request.userinfo, locales=parse_claims_locales(locales))


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.2", "claims in the languages that are asked for")
def test_a_claim_comes_in_the_language_that_is_asked_for() -> None:
    assert select({"name": None}) == {"name": "Ada Lovelace"}
    assert select({"name#FR": None}) == {"name#fr": "Ada de Lovelace"}
    assert select({"name": None}, locales="de ja-Kana-JP fr") == {"name": "Ada Lovelace", "name#ja-Kana-JP": "アダ"}
    assert select({"name#de": None}) == {}


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.5.1", "a claim is asked for with a particular value")
def test_a_claim_with_a_value_that_is_not_wanted_is_left_out() -> None:
    assert select({"email": {"value": "ada@example.com"}}) == {"email": "ada@example.com"}
    assert select({"email": {"values": ["a@b.example", "ada@example.com"]}}) == {"email": "ada@example.com"}
    assert select({"email": {"value": "eve@example.com"}}) == {}
    assert select({"email_verified": {"value": 1}}) == {}
    assert select({"nickname": {"essential": True}, "gender": None}) == {}


def test_locales_that_are_none_are_passed_over() -> None:
    assert parse_claims_locales("se <script> en-GB se") == ("se", "en-GB")
    assert parse_claims_locales(None) == ()
